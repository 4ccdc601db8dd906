// Package cors implements the CORS protocol of the Fetch standard, with which web pages of
// other origins can use the server (https://fetch.spec.whatwg.org/#http-cors-protocol).
//
// A server without an upstream key uses [Policy.Wrap]: a response that has an
// Access-Control-Allow-Origin header stays unchanged. To other responses, if the request
// has an Origin header, it adds the headers of the policy. So an upstream that supports
// CORS decides for itself, and one that does not can still be used from a page. A server
// with an upstream key uses [Policy.Enforce], where only the policy decides.
package cors

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxAge is the number of seconds for which a browser may cache the response to a
// preflight. It is the maximum of Chromium.
const maxAge = "7200"

// The headers of the protocol, in canonical form.
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
	any     bool
	origins map[string]bool // as browsers send them
}

// Wrap returns a handler that adds the policy to the responses of next. The response of
// next to a preflight is kept if it allows an origin. Otherwise, if the policy allows the
// origin, the response is 204 and allows the request.
//
// Every response header is exposed by its name, because the wildcard does not cover all
// of them in every browser.
//
// Requests without an Origin header are passed on unchanged.
func (p *Policy) Wrap(next http.Handler) http.Handler {
	if !p.any && len(p.origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Origin"]) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		granting := &responseWriter{ResponseWriter: w, policy: p, request: r}
		if isPreflight(r) {
			defer granting.endPreflight()
		}
		next.ServeHTTP(granting, r)
		granting.finish()
	})
}

// Enforce is like [Policy.Wrap], but only the policy decides: it removes the CORS headers
// of next, and answers preflights itself, with status 403 if they are not allowed.
func (p *Policy) Enforce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isPreflight(r):
			enforcing := &responseWriter{ResponseWriter: w, policy: p, request: r, enforced: true}
			next.ServeHTTP(enforcing, r)
			enforcing.finish()
		case p.allowed(r) == "":
			p.vary(w.Header())
			w.WriteHeader(http.StatusForbidden)
		default:
			p.allowRequest(w.Header(), r)
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// Allows reports whether r comes from an allowed origin, from the server's own origin, or
// not from a web page. The Host of r must have been checked with [auth.Hosts], because
// any name can temporarily resolve to this server (DNS rebinding).
//
// A request of a page without an Origin header, such as for an image, has a
// Sec-Fetch-Site header instead (W3C Fetch Metadata).
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

// allowed returns the Access-Control-Allow-Origin for a response to r, or "" if the origin
// is not allowed.
func (p *Policy) allowed(r *http.Request) string {
	origin := r.Header["Origin"]
	switch {
	case p.any:
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

// vary adds Vary: Origin if the response depends on the origin.
func (p *Policy) vary(header http.Header) {
	if !p.any && !httpguts.HeaderValuesContainsToken(header["Vary"], "Origin") {
		add(header, "Vary", "Origin")
	}
}

// grant adds the headers of the policy to a response to r.
func (p *Policy) grant(header http.Header, r *http.Request) {
	if len(header[allowOrigin]) > 0 || len(r.Header["Origin"]) == 0 {
		return
	}
	if origin := p.allowed(r); origin != "" {
		header[allowOrigin] = []string{origin}
		if names := exposedHeaders(header); names != "" {
			add(header, exposeHeaders, names)
		}
	}
	p.vary(header)
}

// isPreflight reports whether r is a preflight request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header[requestMethod]) > 0
}

// allowRequest replaces header with the header of a response that allows the preflight r.
func (p *Policy) allowRequest(header http.Header, r *http.Request) {
	connection := header["Connection"] // set by the server itself
	clear(header)
	if connection != nil {
		header["Connection"] = connection
	}
	p.vary(header)
	header[allowOrigin] = []string{p.allowed(r)}
	header[allowMethods] = r.Header[requestMethod]
	if names := r.Header[requestHeaders]; len(names) > 0 {
		header[allowHeaders] = names
	}
	header[maxAgeHeader] = []string{maxAge}
}

// exposedHeaders returns the list of headers that a page can only read if they are
// exposed.
func exposedHeaders(header http.Header) string {
	var names []string
	for name, values := range header {
		if len(values) > 0 && !isSafelisted(name) && !isHidden(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// isSafelisted reports whether a page can always read a header:
// https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
func isSafelisted(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires", "Last-Modified", "Pragma":
		return true
	}
	return false
}

// isHidden reports whether a page can never read a header, or it is one of the protocol.
func isHidden(name string) bool {
	switch name {
	case "Set-Cookie", "Connection", "Trailer", "Transfer-Encoding":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, http.TrailerPrefix)
}

// add adds a value to a header. Clip makes append copy the values, which may be shared
// with another message.
func add(header http.Header, name, value string) {
	header[name] = append(slices.Clip(header[name]), value)
}
