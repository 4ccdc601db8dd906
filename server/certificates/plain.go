package certificates

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// challengePath is where an authority looks for the answer to an HTTP-01
// challenge (RFC 8555, section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// plain serves the domains' HTTP without TLS: it answers challenges and sends
// everything else to HTTPS. Nothing of it reaches the proxied host.
type plain struct {
	domains []string

	// challenge answers the request if it asks for a challenge that is under
	// way, and says whether it did.
	challenge func(http.ResponseWriter, *http.Request) bool
}

// ServeHTTP redirects to the domain that was asked for, on HTTPS's own port, by
// 308: the method and the body stay the same (RFC 9110, section 15.4.9). A host
// that is none of the domains is never a target. It gets 421 (section 15.5.20).
func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(host, ".")
	known := slices.Contains(p.domains, host)
	target := r.URL.RequestURI()
	switch {
	case strings.HasPrefix(r.URL.Path, challengePath):
		if !known || !p.challenge(w, r) {
			http.Error(w, "no such challenge", http.StatusNotFound)
		}
	case !known:
		http.Error(w, "this host is not served here", http.StatusMisdirectedRequest)
	case r.Method == http.MethodConnect || !strings.HasPrefix(target, "/"): // as in "OPTIONS *"
		http.Error(w, "there is only a redirect to HTTPS here", http.StatusBadRequest)
	default:
		w.Header().Set("Location", "https://"+host+target)
		w.WriteHeader(http.StatusPermanentRedirect)
	}
}
