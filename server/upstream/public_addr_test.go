package upstream

import (
	"errors"
	"net/netip"
	"testing"
)

func TestWhichAddressesRedirectsMayLeadTo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, address string
		may           bool
	}{
		{"a public one", "104.18.7.192", true},
		{"a public one of IPv6", "2606:4700::6812:7c0", true},
		{"a public one, mapped to IPv6", "::ffff:104.18.7.192", true},
		{"a public one, by NAT64", "64:ff9b::6812:7c0", true},
		{"the last before private ones", "9.255.255.255", true},
		{"the first behind private ones", "172.32.0.0", true},
		{"loopback", "127.0.0.1", false},
		{"another of loopback", "127.8.8.8", false},
		{"loopback of IPv6", "::1", false},
		{"loopback, mapped to IPv6", "::ffff:127.0.0.1", false},
		{"loopback, compatible with IPv6", "::127.0.0.1", false},
		{"none", "0.0.0.0", false},
		{"none of IPv6", "::", false},
		{"this network", "0.1.2.3", false},
		{"private, 10/8", "10.255.0.1", false},
		{"private, 172.16/12", "172.31.255.255", false},
		{"private, 192.168/16", "192.168.1.1", false},
		{"private, mapped to IPv6", "::ffff:10.0.0.1", false},
		{"private, by NAT64", "64:ff9b::a00:1", false},
		{"local NAT64", "64:ff9b:1::808:808", false},
		{"private, in 6to4", "2002:a00:1::1", false},
		{"private, in Teredo", "2001:0:a00:1::1", false},
		{"unique local", "fd00:ec2::254", false},
		{"site-local", "fec0::1", false},
		{"link-local, where clouds keep their metadata", "169.254.169.254", false},
		{"link-local of IPv6", "fe80::1", false},
		{"link-local of IPv6 with a zone", "fe80::1%eth0", false},
		{"a public one with a zone", "2606:4700::1%eth0", false},
		{"carrier-grade NAT", "100.100.100.200", false},
		{"Azure's own", "168.63.129.16", false},
		{"protocol assignments", "192.0.0.192", false},
		{"documentation", "203.0.113.7", false},
		{"documentation of IPv6", "2001:db8::1", false},
		{"newer documentation of IPv6", "3fff::1", false},
		{"benchmarks", "198.19.0.1", false},
		{"multicast", "224.0.0.1", false},
		{"multicast of IPv6", "ff02::1", false},
		{"global multicast of IPv6", "ff0e::1", false},
		{"reserved", "250.1.2.3", false},
		{"broadcast", "255.255.255.255", false},
		{"discard-only", "100::1", false},
		{"segment routing", "5f00::1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			addr := netip.MustParseAddr(test.address)
			if got := isPublic(addr); got != test.may {
				t.Errorf("%s: got %v, want %v", test.address, got, test.may)
			}
			err := denyPrivateAddrs("tcp", netip.AddrPortFrom(addr, 443).String(), nil)
			if test.may != (err == nil) || !test.may && !errors.Is(err, errNotPublic) {
				t.Errorf("a dialer would get %v", err)
			}
		})
	}
	if err := denyPrivateAddrs("unix", "/run/socket", nil); !errors.Is(err, errNotPublic) {
		t.Errorf("for what is no IP address a dialer gets %v", err)
	}
}
