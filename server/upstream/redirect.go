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
	// maxRedirects is the number of redirects of one request that are followed.
	maxRedirects = 10

	// The body of a redirect is read up to maxRedirectBody within redirectBodyWait, so that
	// the connection can be reused. Otherwise the connection is closed.
	maxRedirectBody  = 8 << 10
	redirectBodyWait = 100 * time.Millisecond
)

// redirectTarget is the destination of a request.
type redirectTarget struct {
	origin *url.URL // scheme and host only
	target string   // in origin-form, or "*"
}

// follow follows redirects, starting with resp, the response to req at a target of the
// proxied host. It returns a redirect that must not be followed.
func (u *Upstream) follow(ctx context.Context, req *Request, target string, resp *http.Response) (*http.Response, error) {
	at, first := redirectTarget{&url.URL{Scheme: u.base.Scheme, Host: u.base.Host}, target}, req
	for range maxRedirects {
		to, ok := at.next(resp)
		if !ok {
			return resp, nil
		}
		req, ok = redirectRequest(req, resp.StatusCode)
		if !ok {
			return resp, nil
		}
		first.BecameGET = first.BecameGET || req.Method != first.Method
		var next *http.Response
		var err error
		switch {
		case at.origin.Scheme == "https" && to.origin.Scheme == "http":
			return resp, nil
		case isSameOrigin(to.origin, u.base):
			if !isSameOrigin(to.origin, at.origin) {
				removeCredentials(req.Header)
			}
			drainAndClose(resp)
			next, err = u.send(ctx, req, to.target)
		case u.mayCrossOrigin(to.origin):
			removeCredentials(req.Header)
			next, err = u.sendCrossOrigin(ctx, req, to, resp)
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
		at, resp = to, next
	}
	return resp, nil
}

// next returns the destination of a redirect, and whether it is valid (RFC 9110 §10.2.2).
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

// isInvalidHostRune reports whether r is not allowed in a host: it would require encoding
// or decoding, or starts a zone, which is local.
func isInvalidHostRune(r rune) bool { return r <= ' ' || r >= 0x7f || r == '%' }

// escapeLocation encodes bytes that occur in Location although RFC 3986 forbids them.
// Among them is the backslash, which browsers treat as a slash.
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

// redirectRequest returns the request that follows a redirect of req (RFC 9110 §15.4), and
// whether it can be sent: a body must be available again.
func redirectRequest(req *Request, status int) (*Request, bool) {
	next := &Request{Method: req.Method, Header: maps.Clone(req.Header), Interim: req.Interim}
	if next.Header == nil {
		next.Header = http.Header{}
	}
	delete(next.Header, "Expect") // the body is available, or there is none
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

// removeContentHeaders removes the headers that describe a body.
func removeContentHeaders(header http.Header) {
	for name := range header {
		switch lower := strings.ToLower(name); {
		case strings.HasPrefix(lower, "content-"), lower == "digest", lower == "repr-digest", lower == "trailer":
			delete(header, name)
		}
	}
}

// drainAndClose releases a redirect that is followed.
func drainAndClose(resp *http.Response) {
	if x, ok := resp.Body.(*exchange); ok {
		x.drain(maxRedirectBody, redirectBodyWait)
	}
	_ = resp.Body.Close()
}

// drain reads and discards the rest of the body.
func (x *exchange) drain(limit int64, timeout time.Duration) {
	if x.result() != nil {
		return
	}
	_ = x.conn.SetReadDeadline(time.Now().Add(timeout))
	_, err := io.CopyN(io.Discard, x.body, limit)
	_ = x.conn.SetReadDeadline(time.Time{})
	if !errors.Is(err, io.EOF) {
		err = http.ErrBodyReadAfterClose
	}
	x.end(err)
}
