package upstream

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// removeCredentials removes the headers that are only meant for the proxied host.
func removeCredentials(header http.Header) {
	for name := range header {
		if IsCredential(name) {
			delete(header, name)
		}
	}
}

// IsCredential reports whether a header may contain a secret, or names an account. It decides
// by the name: examples are Authorization, Cookie, Api-Key (Azure), X-Goog-Api-Key and
// X-Auth-Token.
func IsCredential(name string) bool {
	lower := strings.ToLower(name)
	if lower == "idempotency-key" {
		return false
	}
	for _, part := range [...]string{"auth", "cookie", "credential", "key", "password", "secret", "session", "signature", "token"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	// A browser's WebSocket sends its key as a subprotocol.
	return strings.HasPrefix(lower, "openai-") || strings.HasPrefix(lower, "sec-websocket-")
}

func isSameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && hostPort(a) == hostPort(b)
}

// mayCrossOrigin reports whether a redirect to another origin may be followed. With a proxy
// or a DialContext the address can't be checked.
func (u *Upstream) mayCrossOrigin(to *url.URL) bool {
	if u.crossOriginDialer == nil {
		return false
	}
	proxy, err := proxyFor(to, u.config.Proxy)
	return err == nil && proxy == nil
}

// sendCrossOrigin sends a request to another origin, on a new connection for this request
// only. It releases the redirect when it has connected. The error is errNotPublic if the
// address is not public.
func (u *Upstream) sendCrossOrigin(ctx context.Context, req *Request, to redirectTarget, redirect *http.Response) (*http.Response, error) {
	config := u.config
	config.DialContext = u.crossOriginDialer.DialContext
	d := newDialer(to.origin, config, nil)
	d.client.pool = pool{dial: func(ctx context.Context) (*conn, error) {
		c, err := d.dial(ctx)
		if err == nil {
			drainAndClose(redirect)
		}
		return c, err
	}}
	return d.client.send(ctx, req, to.target)
}
