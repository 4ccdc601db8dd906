package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Hosts are the host names that a server is reached by. A request for another one
// may be of a web page whose name leads to the server's address for a while (DNS
// rebinding): to a browser the server is then the page's own.
//
// An IP address is always served, as no name leads there, and so are localhost and
// the names below it, which lead to the machine itself (RFC 6761 §6.3). Ports do not
// count, as a port may be forwarded. The zero value has no further names.
type Hosts struct {
	names map[string]bool // in lower case and ASCII, without a dot at the end
}

// hostName maps a name to what browsers send for it (RFC 5891). Names of containers
// have underscores.
var hostName = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false), idna.VerifyDNSLength(true))

// NewHosts returns hosts with those names, such as api.example.com. The error says
// which of them is none.
func NewHosts(names []string) (*Hosts, error) {
	h := &Hosts{names: make(map[string]bool, len(names))}
	for _, given := range names {
		if _, err := netip.ParseAddr(strings.Trim(given, "[]")); err == nil {
			continue // as every address
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

// ErrHost is the error of a request for a host that is not served. It is fit to be
// shown to clients.
var ErrHost = errors.New("this server does not serve the host name of the request: start it with --allowed-host and that name")

// Serves reports whether the host of a request is one of them, in its target, its
// authority and its field Host. A request without any is served, as HTTP/1.0 has
// it: browsers send one.
func (h *Hosts) Serves(r *http.Request) bool {
	for _, host := range r.Header["Host"] { // of HTTP/2, beside its authority
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

// cutPort returns a host without its port, and an address of IPv6 without its
// brackets. It returns false for what is no host (RFC 3986 §3.2).
func cutPort(host string) (name string, ok bool) {
	inside, bracketed := strings.CutPrefix(host, "[")
	if !bracketed {
		name, port, _ := strings.Cut(host, ":")
		if strings.Contains(port, ":") {
			return host, true // an address of IPv6 without brackets, or nothing
		}
		return name, isPort(port)
	}
	name, rest, closed := strings.Cut(inside, "]")
	port, found := strings.CutPrefix(rest, ":")
	return name, closed && strings.Contains(name, ":") && (found || rest == "") && isPort(port)
}

func isPort(port string) bool { return strings.Trim(port, "0123456789") == "" }
