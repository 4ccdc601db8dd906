// Package clientaddr finds the address of a client behind trusted proxies.
//
// A request from a load balancer has the balancer's address. Balancers append the address
// of their peer to X-Forwarded-For or Forwarded (RFC 7239). Anyone may have written the
// earlier elements. So the lists are read from the end, skipping trusted proxies: the
// first other address is the client's.
package clientaddr

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies is a set of trusted proxies. The zero value is empty.
type Proxies struct{ prefixes []netip.Prefix }

// Parse returns the proxies with the given addresses, such as 10.0.0.7, and ranges, such
// as 10.0.0.0/8 and fd00::/8.
func Parse(ranges []string) (Proxies, error) {
	var p Proxies
	for _, text := range ranges {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(text); err == nil {
				prefix, err = address.Unmap().Prefix(address.Unmap().BitLen())
			}
		}
		if err != nil {
			return Proxies{}, fmt.Errorf("invalid range %q: want an address or a CIDR such as 10.0.0.0/8", text)
		}
		p.prefixes = append(p.prefixes, prefix.Masked())
	}
	return p, nil
}

// Trusts reports whether an address belongs to a proxy.
func (p Proxies) Trusts(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	return slices.ContainsFunc(p.prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

// Wrap returns a handler that sets the RemoteAddr of requests to the client's address. The
// port is 0 if no proxy reports it.
func (p Proxies) Wrap(next http.Handler) http.Handler {
	if len(p.prefixes) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, found := p.Client(r); found {
			r.RemoteAddr = client.String()
		}
		next.ServeHTTP(w, r)
	})
}

// Client returns the address of the client of a request. found is false if it is the
// request's RemoteAddr. If both headers are present and lead to different clients, both
// are ignored: a proxy writes one of them and passes the other on.
func (p Proxies) Client(r *http.Request) (client netip.AddrPort, found bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.Trusts(peer.Addr()) {
		return netip.AddrPort{}, false
	}
	forwardedFor, hasForwardedFor := p.last(r.Header["X-Forwarded-For"], parseNode)
	forwarded, hasForwarded := p.last(r.Header["Forwarded"], parseElement)
	switch {
	case hasForwardedFor && hasForwarded && forwardedFor.Addr() != forwarded.Addr():
		return netip.AddrPort{}, false
	case hasForwardedFor:
		return forwardedFor, true
	default:
		return forwarded, hasForwarded
	}
}

// last returns the last untrusted address of a list, or the first address if all are
// trusted. An element that is not an address, such as "unknown", ends the search at the
// address after it.
func (p Proxies) last(fields []string, parse func(string) (netip.AddrPort, bool)) (last netip.AddrPort, found bool) {
	for _, field := range slices.Backward(fields) {
		for more := true; more; {
			var element string
			if i := lastComma(field); i >= 0 {
				field, element = field[:i], field[i+1:]
			} else {
				element, more = field, false
			}
			if element = strings.Trim(element, " \t"); element == "" {
				continue // empty elements are ignored (RFC 9110 §5.6.1)
			}
			address, ok := parse(element)
			if !ok {
				return last, found
			}
			last, found = address, true
			if !p.Trusts(address.Addr()) {
				return last, true
			}
		}
	}
	return last, found
}

// lastComma returns the index of the last comma outside quotes, or -1.
func lastComma(list string) int {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch list[i] {
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// parseElement returns the address of the "for" parameter of an element of Forwarded.
func parseElement(element string) (netip.AddrPort, bool) {
	var node string
	count := 0
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if strings.EqualFold(name, "for") {
			node, count = strings.Trim(value, `"`), count+1
		}
	}
	if count != 1 {
		return netip.AddrPort{}, false
	}
	return parseNode(node)
}

// parseNode parses an address with or without a port. The brackets of an IPv6 address may
// be missing, as in X-Forwarded-For.
func parseNode(node string) (netip.AddrPort, bool) {
	if address, err := netip.ParseAddr(node); err == nil {
		return canonical(netip.AddrPortFrom(address, 0)), true
	}
	if inside, ok := strings.CutPrefix(node, "["); ok && strings.HasSuffix(inside, "]") {
		address, err := netip.ParseAddr(strings.TrimSuffix(inside, "]"))
		return canonical(netip.AddrPortFrom(address, 0)), err == nil
	}
	address, err := netip.ParseAddrPort(node)
	return canonical(address), err == nil
}

// canonical returns an address without a zone, and without the mapping of IPv4 to IPv6.
func canonical(address netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(address.Addr().Unmap().WithZone(""), address.Port())
}
