package upstream

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxRedirects is how many redirects one request may meet on its way.
	maxRedirects = 10

	// What a redirect says in its body, up to this many bytes and within this
	// time, is read for the sake of the connection, and otherwise given up with it.
	maxRedirectBody  = 8 << 10
	redirectBodyWait = 100 * time.Millisecond
)

// place is where a request goes.
type redirectTarget struct {
	origin *url.URL // scheme and host alone
	target string   // in origin-form, or "*"
}

// follow goes where resp, the answer to req at a target of the proxied host,
// leads. A redirect that can't or may not be followed is returned as it is.
func (u *Upstream) follow(ctx context.Context, req *Request, target string, resp *http.Response) (*http.Response, error) {
	at, asked := redirectTarget{&url.URL{Scheme: u.base.Scheme, Host: u.base.Host}, target}, req
	for range maxRedirects {
		to, ok := at.next(resp)
		if !ok {
			return resp, nil
		}
		req, ok = redirectRequest(req, resp.StatusCode)
		if !ok {
			return resp, nil
		}
		asked.BecameGET = asked.BecameGET || req.Method != asked.Method
		var answer *http.Response
		var err error
		switch {
		case at.origin.Scheme == "https" && to.origin.Scheme == "http":
			return resp, nil
		case isSameOrigin(to.origin, u.base):
			if !isSameOrigin(to.origin, at.origin) {
				removeCredentials(req.Header)
			}
			drainAndClose(resp)
			answer, err = u.send(ctx, req, to.target)
		case u.mayCrossOrigin(to.origin):
			removeCredentials(req.Header)
			answer, err = u.sendCrossOrigin(ctx, req, to, resp)
			if errors.Is(err, errNotPublic) {
				return resp, nil
			}
		default:
			return resp, nil
		}
		if err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
		at, resp = to, answer
	}
	return resp, nil
}

// next returns where a redirect leads from a place, and whether it leads to one
// (RFC 9110 §10.2.2).
func (p redirectTarget) next(resp *http.Response) (to redirectTarget, ok bool) {
	location := resp.Header["Location"]
	if !isRedirect(resp.StatusCode) || len(location) != 1 || location[0] == "" {
		return redirectTarget{}, false
	}
	target := p.target
	if target == "*" {
		target = "/"
	}
	from, err := url.Parse(p.origin.String() + escapeLocation(target))
	if err != nil {
		return redirectTarget{}, false
	}
	found, err := from.Parse(escapeLocation(location[0]))
	if err != nil || found.Opaque != "" || found.User != nil || found.Scheme != "http" && found.Scheme != "https" {
		return redirectTarget{}, false
	}
	origin := &url.URL{Scheme: found.Scheme, Host: strings.ToLower(strings.TrimSuffix(found.Host, ":"))}
	name := origin.Hostname()
	if name == "" || strings.ContainsFunc(name, isInvalidHostRune) || !isValidPort(origin.Port()) ||
		strings.Contains(name, ":") && origin.Host[0] != '[' {
		return redirectTarget{}, false
	}
	return redirectTarget{origin, found.RequestURI()}, true
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	default:
		return false
	}
}

// isNoHost reports whether r has no place in a host: it would have to be
// encoded, or decoded first, or names a zone, which is local.
func isInvalidHostRune(r rune) bool { return r <= ' ' || r >= 0x7f || r == '%' }

// escapeURI encodes the bytes that RFC 3986 has no place for, and that are met
// in Location all the same. Among them is the backslash, which browsers take for
// a slash.
func escapeLocation(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c == ' ' || c >= 0x80 || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// redirected returns what req becomes by a redirect (RFC 9110 §15.4), and
// whether that can be sent: a body that is to be sent once more must be at hand.
func redirectRequest(req *Request, status int) (*Request, bool) {
	next := &Request{Method: req.Method, Header: maps.Clone(req.Header), Interim: req.Interim}
	if next.Header == nil {
		next.Header = http.Header{}
	}
	delete(next.Header, "Expect") // the body is at hand, or there is none
	switch {
	case status == http.StatusSeeOther,
		req.Method == http.MethodPost && (status == http.StatusMovedPermanently || status == http.StatusFound):
		if req.Method != http.MethodHead {
			next.Method = http.MethodGet
		}
		removeContentHeaders(next.Header)
		return next, true
	case req.Body == nil:
		return next, true
	case req.replayBody == nil:
		return nil, false
	default:
		next.Body = req.replayBody
		return next, true
	}
}

// dropContent removes what describes a body that is not sent.
func removeContentHeaders(header http.Header) {
	for name := range header {
		switch lower := strings.ToLower(name); {
		case strings.HasPrefix(lower, "content-"), lower == "digest", lower == "repr-digest", lower == "trailer":
			delete(header, name)
		}
	}
}

// dropCredentials removes what is for the proxied host alone: all that
// IsCredential says.
func removeCredentials(header http.Header) {
	for name := range header {
		if IsCredential(name) {
			delete(header, name)
		}
	}
}

// IsCredential reports whether a field may hold a secret, or names an account.
// Beside Authorization and Cookie there are the likes of Api-Key (Azure),
// X-Goog-Api-Key and X-Auth-Token: whatever is called so counts.
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
	// A browser's WebSocket names its key among the subprotocols.
	return strings.HasPrefix(lower, "openai-") || strings.HasPrefix(lower, "sec-websocket-")
}

func isSameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && hostPort(a) == hostPort(b)
}

// mayLeave reports whether a redirect may lead to an origin that isn't the
// proxied host's. Where a proxy of the way out would connect, or a function of
// the caller's, the address can't be checked.
func (u *Upstream) mayCrossOrigin(to *url.URL) bool {
	if u.crossOriginDialer == nil {
		return false
	}
	proxy, err := proxyFor(to, u.config.Proxy)
	return err == nil && proxy == nil
}

// sendAbroad sends a request to another host than the proxied one, on a
// connection that serves this request alone. It lets go of the redirect that led
// there as soon as there is that connection. The error is errNotGlobal if it may
// not be.
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

// letGo lets go of a redirect that is followed.
func drainAndClose(resp *http.Response) {
	if x, ok := resp.Body.(*exchange); ok {
		x.drain(maxRedirectBody, redirectBodyWait)
	}
	_ = resp.Body.Close()
}

// drain reads the rest of a body whose content doesn't matter.
func (x *exchange) drain(limit int64, patience time.Duration) {
	if x.result() != nil {
		return
	}
	_ = x.conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.CopyN(io.Discard, x.body, limit)
	_ = x.conn.SetReadDeadline(time.Time{})
	if !errors.Is(err, io.EOF) {
		err = http.ErrBodyReadAfterClose
	}
	x.end(err)
}
