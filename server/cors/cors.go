// Package cors lets web pages of other origins use the server, by the CORS
// protocol of the Fetch standard (https://fetch.spec.whatwg.org/#http-cors-protocol).
//
// For a server that holds no key it has one rule, [Policy.Wrap]: an answer that
// says which origin may read it, by Access-Control-Allow-Origin, stays as it is,
// to the byte. To any other, and only if the request names an origin, it adds
// what the policy says. So an upstream that knows CORS decides for itself, and
// one that doesn't can be used from a page nevertheless. Where the server holds
// a key, it is the policy that decides, [Policy.Enforce].
package cors

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxAge is how many seconds a browser may remember the answer to a preflight.
// Chromium remembers none for longer.
const maxAge = "7200"

// The fields of the protocol, as net/http spells them.
const (
	allowOrigin    = "Access-Control-Allow-Origin"
	allowMethods   = "Access-Control-Allow-Methods"
	allowHeaders   = "Access-Control-Allow-Headers"
	exposeHeaders  = "Access-Control-Expose-Headers"
	maxAgeHeader   = "Access-Control-Max-Age"
	requestMethod  = "Access-Control-Request-Method"
	requestHeaders = "Access-Control-Request-Headers"
)

// Policy says whose pages may use the server. It never allows credentials, in
// the sense of the Fetch standard: cookies, client certificates and what a
// browser remembers of HTTP authentication. An authorization that the page
// itself sends is none.
type Policy struct {
	any     bool
	origins map[string]bool // as browsers write them
}

// Wrap returns a handler that serves next under the policy. What next answers to
// a preflight stands if it allows an origin. Otherwise, and where the policy
// allows the origin, the answer is 204, with leave for what was asked for.
//
// Every header that an answer has is exposed, by its name: the wildcard would not
// cover all of them in every browser.
//
// Requests without an Origin header reach next untouched.
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

// Enforce returns a handler that serves next as [Policy.Wrap] does, but the
// policy alone decides: what next says to pages is left out of its answers, and
// no preflight reaches it. One that isn't allowed is answered 403.
func (p *Policy) Enforce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isPreflight(r):
			sole := &responseWriter{ResponseWriter: w, policy: p, request: r, sole: true}
			next.ServeHTTP(sole, r)
			sole.finish()
		case p.allowed(r) == "":
			p.vary(w.Header())
			w.WriteHeader(http.StatusForbidden)
		default:
			p.allowRequest(w.Header(), r)
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// Allows reports whether r comes from no page, from one of an origin that is
// allowed, or from one that the server itself, as r names it, has served. The name
// has to be one that is known to be the server's, by [auth.Hosts]: anybody's can
// lead to this server's address for a while (DNS rebinding).
//
// What a page requests without an Origin, an image for example, tells in
// Sec-Fetch-Site that it comes from another one (W3C Fetch Metadata).
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

// allowed is the Access-Control-Allow-Origin of an answer to r, and "" if its
// origin isn't allowed.
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

// silence takes out of the header of an answer what it says to pages.
func silence(header http.Header) {
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(header, name)
		}
	}
}

// vary says in header that the answer depends on the request's origin, if it does.
func (p *Policy) vary(header http.Header) {
	if !p.any && !httpguts.HeaderValuesContainsToken(header["Vary"], "Origin") {
		add(header, "Vary", "Origin")
	}
}

// grant adds to the header of an answer to r what the policy says.
func (p *Policy) grant(header http.Header, r *http.Request) {
	if len(header[allowOrigin]) > 0 || len(r.Header["Origin"]) == 0 {
		return
	}
	if origin := p.allowed(r); origin != "" {
		header[allowOrigin] = []string{origin}
		if names := readable(header); names != "" {
			add(header, exposeHeaders, names)
		}
	}
	p.vary(header)
}

// isPreflight reports whether a browser asks, by r, for leave to send another
// request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header[requestMethod]) > 0
}

// allowRequest makes header that of the answer to the preflight r, which gives
// leave for what it asks for.
func (p *Policy) allowRequest(header http.Header, r *http.Request) {
	connection := header["Connection"] // is the server's own to decide
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

// readable lists the names of the fields in header that a page may read only by
// leave.
func readable(header http.Header) string {
	var names []string
	for name, values := range header {
		if len(values) > 0 && !alwaysReadable(name) && !neverReadable(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// alwaysReadable reports whether a field needs no leave:
// https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
func alwaysReadable(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires", "Last-Modified", "Pragma":
		return true
	}
	return false
}

// neverReadable reports whether no leave helps, or there is nothing to read: of
// what a page never sees, and of the protocol's own fields.
func neverReadable(name string) bool {
	switch name {
	case "Set-Cookie", "Connection", "Trailer", "Transfer-Encoding":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, http.TrailerPrefix)
}

// add adds a field's value. The values may be shared with the message that they
// come from: Clip makes append copy them.
func add(header http.Header, name, value string) {
	header[name] = append(slices.Clip(header[name]), value)
}
