package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

var errConnect = errors.New("CONNECT is not allowed")

// Request is a request to send. It resembles a received request, because most requests
// are forwarded.
type Request struct {
	// Method is sent unchanged. Empty means GET. CONNECT is rejected.
	Method string

	// Target is the request-target as received by this server,
	// "/v1/chat/completions?x=1". It names a resource of the proxied host, under
	// [Config.BaseURL], and never another host.
	Target string

	// Header is sent unchanged, except Host, Content-Length and Transfer-Encoding, which
	// follow from the other fields. It must not contain other hop-by-hop headers. Without a
	// User-Agent none is sent. Send takes ownership of the map.
	Header http.Header

	// Body is the content, nil for none. An [io.Closer] is closed when it is no longer
	// needed.
	//
	// Over HTTP/1.1, a body of a known length up to 16 KiB is sent together with the header,
	// unless reading it takes long or Header has an Expect. Any other body is sent while the
	// response may already arrive, on another goroutine that may outlive Send. A success
	// that arrives before the end of a small body is returned after it, a rejection at once.
	// A small body and a *bytes.Reader can be sent again: over a new connection if a reused
	// one was stale, and after a redirect.
	//
	// Over HTTP/2 each body is sent as it is read. Up to 64 KiB are buffered until the
	// response. A request that the upstream didn't process (RFC 9113 §8.7) is sent again if
	// no more was read, or if the body is a *bytes.Reader. An idempotent request is also sent
	// again, once, if a reused connection was stale. A redirect that keeps the body waits for
	// the end of one of up to 16 KiB.
	Body io.Reader

	// CancelBody, unless nil, makes reading Body fail at once. It is called on another
	// goroutine, when the response has a status of 400 or above or will not arrive, while
	// Send is reading a small body.
	CancelBody func()

	// ContentLength is the length of Body in bytes, or -1 if it is unknown. It is optional
	// for a *bytes.Reader.
	ContentLength int64

	// Trailer is sent after a Body of unknown length. Its keys must be set when Send is
	// called, its values when Body has been read to its end.
	Trailer http.Header

	// Interim, unless nil, is called for each 1xx response except 101, which is final, and
	// 100, which only concerns this hop.
	Interim func(status int, header http.Header)

	// BecameGET is set by Send if a redirect turned the request into a GET. The upstream
	// that redirected it may have processed it, whatever the result of the GET.
	BecameGET bool

	replayBody *bytes.Reader // Body for a redirect, if it can be sent again; set by sending
}

// Send sends req and returns the response as soon as its header has arrived, whatever its
// status.
//
// Send follows up to 10 redirects, unless [Config.NoRedirects] is set or Header has an
// Upgrade. A redirect that can't be followed is returned as the response. 301 and 302
// turn a POST into a GET, and 303 any method except HEAD, without the body. All other
// redirects keep method and body (RFC 9110 §15.4), which requires a body that can be sent
// again. Redirects within the origin of the proxied host are followed without
// restriction. A redirect to another origin loses all credentials: every header whose
// name suggests one or starts with OpenAI-. It is sent directly, over HTTP/1.1. It is not
// followed from https to http, to an address that isn't public, through a proxy, or with
// [Config.DialContext].
//
// The caller must close the response's body. Reading it fails with an [*Error] if the
// upstream ends it early, so that io.EOF means that it is complete. Only an HTTP/1 body with
// neither length nor chunks can't be verified. The body may have a method Wait(), which
// returns when Read would not block, so that readers that wait long, such as those of
// event streams, need no buffer meanwhile.
//
// For status 101, which is only returned for a request with an Upgrade to the same
// protocol, the body is an io.ReadWriteCloser with CloseWrite and SetReadDeadline: the
// connection itself, which ctx no longer closes.
//
// When ctx is done, the connection to the upstream is closed at once, in every state of
// the exchange, and the error of Send or of the body is ctx's. Every other error is an
// [*Error].
func (u *Upstream) Send(ctx context.Context, req *Request) (*http.Response, error) {
	target, err := u.locate(req.Target)
	if err == nil && req.Method == http.MethodConnect {
		err = errConnect
	}
	if err != nil {
		closeBody(req.Body)
		return nil, u.http1.requestError(err)
	}
	resp, err := u.send(ctx, req, target)
	if err != nil || !isRedirect(resp.StatusCode) || u.config.NoRedirects || req.Header["Upgrade"] != nil {
		return resp, err
	}
	return u.follow(ctx, req, target, resp)
}

// send sends req to a target of the proxied host.
func (u *Upstream) send(ctx context.Context, req *Request, target string) (*http.Response, error) {
	if u.http2 != nil && req.Header["Upgrade"] == nil { // WebSockets use HTTP/1.1
		return u.http2.send(ctx, req, target)
	}
	return u.http1.send(ctx, req, target)
}
