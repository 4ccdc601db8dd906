package certificates

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// challengePath is the path of HTTP-01 challenges (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// redirectHandler serves HTTP without TLS. It answers challenges and redirects everything
// else to HTTPS.
type redirectHandler struct {
	domains []string

	// challenge answers a request for a challenge in progress, and reports whether it
	// did.
	challenge func(http.ResponseWriter, *http.Request) bool
}

// ServeHTTP redirects to the requested domain, on the default port of HTTPS, with status
// 308, which preserves the method and the body (RFC 9110 §15.4.9). A request for an
// unknown host gets status 421 (§15.5.20).
func (h *redirectHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(host, ".")
	known := slices.Contains(h.domains, host)
	target := r.URL.RequestURI()
	switch {
	case strings.HasPrefix(r.URL.Path, challengePath):
		if !known || !h.challenge(w, r) {
			http.Error(w, "unknown challenge", http.StatusNotFound)
		}
	case !known:
		http.Error(w, "unknown host", http.StatusMisdirectedRequest)
	case r.Method == http.MethodConnect || !strings.HasPrefix(target, "/"): // as in "OPTIONS *"
		http.Error(w, "only HTTPS is available", http.StatusBadRequest)
	default:
		w.Header().Set("Location", "https://"+host+target)
		w.WriteHeader(http.StatusPermanentRedirect)
	}
}
