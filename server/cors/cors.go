// Package cors implements the CORS protocol of the Fetch standard, which lets web pages of
// other origins use the server (https://fetch.spec.whatwg.org/#http-cors-protocol).
//
// A server without an upstream key uses [Policy.Wrap]. It adds the headers of the policy to
// responses without an Access-Control-Allow-Origin header. An upstream that supports CORS
// therefore applies its own policy. A server with an upstream key uses [Policy.Enforce],
// which replaces the upstream's policy.
package cors

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxAge is the number of seconds for which a browser may cache the response to a
// preflight. Chromium accepts no more than this.
const maxAge = "7200"

// The CORS headers, in canonical form.
const (
	allowOrigin    = "Access-Control-Allow-Origin"
	allowMethods   = "Access-Control-Allow-Methods"
	allowHeaders   = "Access-Control-Allow-Headers"
	exposeHeaders  = "Access-Control-Expose-Headers"
	maxAgeHeader   = "Access-Control-Max-Age"
	requestMethod  = "Access-Control-Request-Method"
	requestHeaders = "Access-Control-Request-Headers"
)

// Policy decides which origins may use the server. It never allows credentials in the sense
// of the Fetch standard: cookies, client certificates and cached HTTP authentication. An
// Authorization header that the page itself sets is not a credential in that sense.
type Policy struct {
	anyOrigin bool
	origins   map[string]bool // in the form in which browsers send them
}

// Wrap returns a handler that adds the headers of the policy to the responses of next. If
// the policy allows the origin of a preflight, and the response of next has no
// Access-Control-Allow-Origin, the response is replaced by a 204 that allows the request.
//
// Each response header is exposed by name, because the wildcard does not cover all headers
// in every browser.
//
// Wrap has no effect on requests without an Origin header.
func (p *Policy) Wrap(next http.Handler) http.Handler {
	if !p.anyOrigin && len(p.origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Origin"]) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		wrapped := &responseWriter{ResponseWriter: w, policy: p, request: r}
		if isPreflight(r) {
			defer wrapped.recoverAbort()
		}
		next.ServeHTTP(wrapped, r)
		wrapped.finish()
	})
}

// Enforce is like [Policy.Wrap], but ignores the CORS policy of next. It removes the CORS
// headers of next, and responds to preflights itself, with status 403 if the origin is not
// allowed.
func (p *Policy) Enforce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isPreflight(r):
			wrapped := &responseWriter{ResponseWriter: w, policy: p, request: r, enforced: true}
			next.ServeHTTP(wrapped, r)
			wrapped.finish()
		case p.allowed(r) == "":
			p.addVary(w.Header())
			w.WriteHeader(http.StatusForbidden)
		default:
			p.allowPreflight(w.Header(), r)
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// Allows reports whether r may be processed: it comes from an allowed origin, from the
// server's own origin, or from a client that is not a web page. The Host of r must have
// been checked with [auth.Hosts], because an attacker's domain can resolve to this server
// (DNS rebinding).
//
// Some requests of web pages, such as for images, have no Origin header. Browsers mark
// them with a Sec-Fetch-Site header (W3C Fetch Metadata).
func (p *Policy) Allows(r *http.Request) bool {
	origin := r.Header["Origin"]
	if p.allowed(r) != "" {
		return true
	}
	if len(origin) == 0 {
		site := r.Header.Get("Sec-Fetch-Site")
		return site == "" || site == "none" || site == "same-origin"
	}
	_, host, found := strings.Cut(origin[0], "://")
	return len(origin) == 1 && found && strings.EqualFold(host, r.Host)
}

// allowed returns the value of Access-Control-Allow-Origin for a response to r, or "" if
// the origin is not allowed.
func (p *Policy) allowed(r *http.Request) string {
	origin := r.Header["Origin"]
	switch {
	case p.anyOrigin:
		return Any
	case len(origin) == 1 && p.origins[origin[0]]:
		return origin[0]
	}
	return ""
}

// stripCORS removes the CORS headers of a response.
func stripCORS(header http.Header) {
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(header, name)
		}
	}
}

// addVary adds "Vary: Origin" if the response depends on the origin.
func (p *Policy) addVary(header http.Header) {
	if !p.anyOrigin && !httpguts.HeaderValuesContainsToken(header["Vary"], "Origin") {
		add(header, "Vary", "Origin")
	}
}

// addCORS adds the headers of the policy to a response to r, unless next has set them.
func (p *Policy) addCORS(header http.Header, r *http.Request) {
	if len(header[allowOrigin]) > 0 || len(r.Header["Origin"]) == 0 {
		return
	}
	if origin := p.allowed(r); origin != "" {
		header[allowOrigin] = []string{origin}
		if names := exposedHeaders(header); names != "" {
			add(header, exposeHeaders, names)
		}
	}
	p.addVary(header)
}

// isPreflight reports whether r is a preflight request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header[requestMethod]) > 0
}

// allowPreflight replaces header with the headers of a response that allows the preflight
// request r.
func (p *Policy) allowPreflight(header http.Header, r *http.Request) {
	connection := header["Connection"] // set by the server itself
	clear(header)
	if connection != nil {
		header["Connection"] = connection
	}
	p.addVary(header)
	header[allowOrigin] = []string{p.allowed(r)}
	header[allowMethods] = r.Header[requestMethod]
	if names := r.Header[requestHeaders]; len(names) > 0 {
		header[allowHeaders] = names
	}
	header[maxAgeHeader] = []string{maxAge}
}

// exposedHeaders returns the value of Access-Control-Expose-Headers: all headers that a web
// page could not read otherwise.
func exposedHeaders(header http.Header) string {
	var names []string
	for name, values := range header {
		if len(values) > 0 && !isSafelisted(name) && !isUnreadable(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// isSafelisted reports whether a web page can read a header that is not exposed. See
// https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
func isSafelisted(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires", "Last-Modified", "Pragma":
		return true
	}
	return false
}

// isUnreadable reports whether a web page cannot or need not read a header: those of the
// connection, cookies and CORS headers.
func isUnreadable(name string) bool {
	switch name {
	case "Set-Cookie", "Connection", "Trailer", "Transfer-Encoding":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, http.TrailerPrefix)
}

// add adds a value to a header without modifying the existing slice of values, which may be
// shared with another message.
func add(header http.Header, name, value string) {
	header[name] = append(slices.Clip(header[name]), value)
}
