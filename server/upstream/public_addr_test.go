package upstream

import (
	"errors"
	"net/netip"
	"testing"
)

func TestRedirect_OnlyLeadsToPublicAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, address string
		may           bool
	}{
		{"a public address", "104.18.7.192", true},
		{"a public IPv6 address", "2606:4700::6812:7c0", true},
		{"a public address, mapped to IPv6", "::ffff:104.18.7.192", true},
		{"a public address, through NAT64", "64:ff9b::6812:7c0", true},
		{"the last before a private network", "9.255.255.255", true},
		{"the first after a private network", "172.32.0.0", true},
		{"loopback", "127.0.0.1", false},
		{"another loopback address", "127.8.8.8", false},
		{"IPv6 loopback", "::1", false},
		{"loopback, mapped to IPv6", "::ffff:127.0.0.1", false},
		{"loopback, compatible with IPv6", "::127.0.0.1", false},
		{"unspecified", "0.0.0.0", false},
		{"IPv6 unspecified", "::", false},
		{"this network", "0.1.2.3", false},
		{"private, 10/8", "10.255.0.1", false},
		{"private, 172.16/12", "172.31.255.255", false},
		{"private, 192.168/16", "192.168.1.1", false},
		{"private, mapped to IPv6", "::ffff:10.0.0.1", false},
		{"private, through NAT64", "64:ff9b::a00:1", false},
		{"local NAT64", "64:ff9b:1::808:808", false},
		{"private, in 6to4", "2002:a00:1::1", false},
		{"private, in Teredo", "2001:0:a00:1::1", false},
		{"unique local", "fd00:ec2::254", false},
		{"site-local", "fec0::1", false},
		{"link-local, the cloud metadata service", "169.254.169.254", false},
		{"IPv6 link-local", "fe80::1", false},
		{"IPv6 link-local with a zone", "fe80::1%eth0", false},
		{"a public address with a zone", "2606:4700::1%eth0", false},
		{"carrier-grade NAT", "100.100.100.200", false},
		{"Azure's own", "168.63.129.16", false},
		{"protocol assignments", "192.0.0.192", false},
		{"documentation", "203.0.113.7", false},
		{"IPv6 documentation", "2001:db8::1", false},
		{"newer IPv6 documentation", "3fff::1", false},
		{"benchmarks", "198.19.0.1", false},
		{"multicast", "224.0.0.1", false},
		{"IPv6 multicast", "ff02::1", false},
		{"global IPv6 multicast", "ff0e::1", false},
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
				t.Errorf("dialer control: got %v", err)
			}
		})
	}
	if err := denyPrivateAddrs("unix", "/run/socket", nil); !errors.Is(err, errNotPublic) {
		t.Errorf("dialer control for an invalid address: got %v", err)
	}
}
