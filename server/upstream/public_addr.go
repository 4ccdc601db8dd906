package upstream

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

// errNotPublic is the error for a redirect to a non-public address.
var errNotPublic = errors.New("the address is not public")

// nonPublicPrefixes are the networks that are not globally reachable according to IANA's
// special-purpose address registries (RFC 6890), and networks that translate to them.
// Only IPv6 networks within 2000::/3 are listed, because nothing else is global.
//
//nolint:gochecknoglobals // a table
var nonPublicPrefixes = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // shared, for carrier-grade NAT
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's services for its virtual machines
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local, including cloud metadata services
	netip.MustParsePrefix("172.16.0.0/12"),    // private
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation
	netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
	netip.MustParsePrefix("192.168.0.0/16"),   // private
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("224.0.0.0/3"),      // multicast, reserved, broadcast

	netip.MustParsePrefix("2001::/23"),     // protocol assignments, and Teredo
	netip.MustParsePrefix("2001:db8::/32"), // documentation
	netip.MustParsePrefix("2002::/16"),     // 6to4: contains an IPv4 address
	netip.MustParsePrefix("3fff::/20"),     // documentation
}

//nolint:gochecknoglobals // constants
var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
)

// isPublic reports whether addr is a public unicast address. An IPv4-mapped or NAT64
// address counts as its IPv4 address.
func isPublic(addr netip.Addr) bool {
	if addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if !addr.Is4() && !globalUnicast.Contains(addr) {
		return false
	}
	return !slices.ContainsFunc(nonPublicPrefixes, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// denyPrivateAddrs is the Control of a [net.Dialer]. It checks the address being dialed, so
// that name resolution can't bypass the check.
func denyPrivateAddrs(_, address string, _ syscall.RawConn) error {
	dialed, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(dialed.Addr()) {
		return errNotPublic
	}
	return nil
}
