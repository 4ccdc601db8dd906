package upstream

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
)

// errNotGlobal is why a redirect isn't followed to an address.
var errNotPublic = errors.New("its address is not a public one")

// notGlobal are the networks that are not globally reachable, by IANA's
// special-purpose address registries (RFC 6890), and what leads into them. Of
// IPv6 only those within 2000::/3 are named: nothing else is global.
//
//nolint:gochecknoglobals // a table
var nonPublicPrefixes = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network
	netip.MustParsePrefix("10.0.0.0/8"),       // private
	netip.MustParsePrefix("100.64.0.0/10"),    // shared, of carrier-grade NAT
	netip.MustParsePrefix("127.0.0.0/8"),      // loopback
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's own, within its virtual machines
	netip.MustParsePrefix("169.254.0.0/16"),   // link-local, and clouds' metadata
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
	netip.MustParsePrefix("2002::/16"),     // 6to4: holds an IPv4 address
	netip.MustParsePrefix("3fff::/20"),     // documentation
}

//nolint:gochecknoglobals // constants, if Go had such
var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
)

// isGlobal reports whether addr is a public unicast address. One that stands for
// an IPv4 address, mapped or by NAT64, is what that is.
func isPublic(addr netip.Addr) bool {
	if addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		whole := addr.As16()
		addr = netip.AddrFrom4([4]byte(whole[12:]))
	}
	if !addr.Is4() && !globalUnicast.Contains(addr) {
		return false
	}
	return !slices.ContainsFunc(nonPublicPrefixes, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// refuseLocal is a [net.Dialer]'s Control. It sees the address that is dialled,
// whatever a name resolved to before.
func denyPrivateAddrs(_, address string, _ syscall.RawConn) error {
	dialled, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(dialled.Addr()) {
		return errNotPublic
	}
	return nil
}
