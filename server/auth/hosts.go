package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Hosts are the allowed host names of a server. A request for another host may come from
// a web page whose name temporarily resolves to the server's address (DNS rebinding). To
// a browser, such a server has the page's own origin.
//
// IP addresses are always allowed, as DNS rebinding needs a name. So are localhost and
// names below it, which resolve to the machine itself (RFC 6761 §6.3). Ports are ignored,
// as a port may be forwarded. The zero value has no further names.
type Hosts struct {
	names map[string]bool // lower-case ASCII without a trailing dot
}

// hostName converts a name to the form that browsers send (RFC 5891). It allows
// underscores, as in names of containers.
var hostName = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false), idna.VerifyDNSLength(true))

// NewHosts returns hosts with the given names, such as api.example.com. The error names
// the invalid one.
func NewHosts(names []string) (*Hosts, error) {
	h := &Hosts{names: make(map[string]bool, len(names))}
	for _, given := range names {
		if _, err := netip.ParseAddr(strings.Trim(given, "[]")); err == nil {
			continue // always allowed
		}
		name, err := hostName.ToASCII(strings.TrimSuffix(given, "."))
		switch {
		case err != nil, strings.ContainsAny(name, ":/*@ "), name == "":
			return nil, fmt.Errorf("invalid host name %q: want a name such as api.example.com, without a scheme, a port or a wildcard", given)
		}
		h.names[strings.ToLower(name)] = true
	}
	return h, nil
}

// ErrHost is the error of a request for a host that is not allowed. It may be shown to
// clients.
var ErrHost = errors.New("this server does not serve the host name of the request: start it with --allowed-host and that name")

// Serves reports whether the host of a request is allowed, in its target, its authority
// and its Host header. Requests without a host, as in HTTP/1.0, are allowed: browsers
// send one.
func (h *Hosts) Serves(r *http.Request) bool {
	for _, host := range r.Header["Host"] { // in HTTP/2, in addition to the authority
		if !h.serves(host) {
			return false
		}
	}
	return h.serves(r.Host) && h.serves(r.URL.Host)
}

func (h *Hosts) serves(host string) bool {
	if host == "" {
		return true
	}
	name, ok := cutPort(host)
	if !ok {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	name = strings.TrimSuffix(name, ".")
	if strings.ContainsFunc(name, func(c rune) bool { return !isNameCharacter(c) }) {
		return false
	}
	name = strings.ToLower(name)
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || h.names[name]
}

func isNameCharacter(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// cutPort returns a host without its port, and an IPv6 address without its brackets. It
// returns false for an invalid host (RFC 3986 §3.2).
func cutPort(host string) (name string, ok bool) {
	inside, bracketed := strings.CutPrefix(host, "[")
	if !bracketed {
		name, port, _ := strings.Cut(host, ":")
		if strings.Contains(port, ":") {
			return host, true // an IPv6 address without brackets, or invalid
		}
		return name, isPort(port)
	}
	name, rest, closed := strings.Cut(inside, "]")
	port, found := strings.CutPrefix(rest, ":")
	return name, closed && strings.Contains(name, ":") && (found || rest == "") && isPort(port)
}

func isPort(port string) bool { return strings.Trim(port, "0123456789") == "" }
