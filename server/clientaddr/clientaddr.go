// Package clientaddr finds the address of a client behind trusted proxies.
//
// A request that comes through a balancer has the balancer's address. Balancers add
// the address that they got it from at the end of X-Forwarded-For, or of Forwarded
// (RFC 7239). Whatever stands before that, anyone can have written. So the lists are
// read from the end, past the addresses of proxies that are trusted: the first other
// address is the client's.
package clientaddr

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the addresses of proxies that are trusted. The zero value has none.
type Proxies struct{ prefixes []netip.Prefix }

// Parse returns proxies by their addresses, such as 10.0.0.7, or ranges of them, such
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

// Wrap returns a handler whose requests have the client's address as their RemoteAddr.
// Its port is 0 where no proxy tells it.
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

// Client returns the address of the client of a request, and false if that is the
// one that the request came from. Where both lists are there and lead to different
// clients, neither counts: a proxy writes one of them, and passes the other on.
func (p Proxies) Client(r *http.Request) (client netip.AddrPort, found bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.Trusts(peer.Addr()) {
		return netip.AddrPort{}, false
	}
	plain, hasPlain := p.last(r.Header["X-Forwarded-For"], parseNode)
	standard, hasStandard := p.last(r.Header["Forwarded"], parseElement)
	switch {
	case hasPlain && hasStandard && plain.Addr() != standard.Addr():
		return netip.AddrPort{}, false
	case hasPlain:
		return plain, true
	default:
		return standard, hasStandard
	}
}

// last returns the last address of a list that is not trusted, and where all are, the
// first one. What is no address, such as "unknown", ends the search: the address
// behind it is the last one that is known.
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
				continue // an empty element counts as none (RFC 9110 §5.6.1)
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

// lastComma returns the index of the last comma outside of quotes.
func lastComma(text string) int {
	quoted := false
	for i := len(text) - 1; i >= 0; i-- {
		switch text[i] {
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

// parseElement returns the address of the "for" of an element of Forwarded.
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

// parseNode returns an address with or without a port. One of IPv6 may lack its
// brackets, as X-Forwarded-For has it.
func parseNode(node string) (netip.AddrPort, bool) {
	if address, err := netip.ParseAddr(node); err == nil {
		return plain(netip.AddrPortFrom(address, 0)), true
	}
	if inside, ok := strings.CutPrefix(node, "["); ok && strings.HasSuffix(inside, "]") {
		address, err := netip.ParseAddr(strings.TrimSuffix(inside, "]"))
		return plain(netip.AddrPortFrom(address, 0)), err == nil
	}
	address, err := netip.ParseAddrPort(node)
	return plain(address), err == nil
}

// plain is an address without a zone, and of IPv4 if it is a mapped one.
func plain(address netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(address.Addr().Unmap().WithZone(""), address.Port())
}
