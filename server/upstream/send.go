package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

var errConnect = errors.New("CONNECT is not allowed")

// Request is a request to send. Its fields resemble those of a received [http.Request],
// because most requests are forwarded.
type Request struct {
	// Method is sent unchanged. Empty means GET. CONNECT is rejected.
	Method string

	// Target is the request-target as this server received it, such as
	// "/v1/chat/completions?x=1". It is resolved against [Config.BaseURL] and can't name
	// another host.
	Target string

	// Header is sent unchanged, except Host, Content-Length and Transfer-Encoding, which
	// Send sets itself. It must not contain other hop-by-hop headers. Send doesn't add a
	// User-Agent. Send takes ownership of the map.
	Header http.Header

	// Body is the request's content, or nil for none. Send closes an [io.Closer] when it no
	// longer needs it.
	//
	// Over HTTP/1.1, a small body, whose known length is up to 16 KiB, is buffered and sent
	// together with the header, unless reading it takes long or Header has an Expect. Any
	// other body is sent on another goroutine, which may outlive Send, while the response may
	// already arrive. If a response arrives before a small body has been read to its end,
	// Send returns a status of 400 or above at once, and any other response after the end of
	// the body. A small body and a *bytes.Reader can be sent again: on a new connection if a
	// reused one was stale, and after a redirect.
	//
	// Over HTTP/2, every body is sent while it is read, and up to 64 KiB of it are buffered until
	// the response arrives. A request that the upstream didn't process (RFC 9113 §8.7) is
	// sent again if only buffered bytes were read, or if the body is a *bytes.Reader. An
	// idempotent request is also sent again, once, if a reused connection was stale. Before a
	// redirect that keeps a body of up to 16 KiB is followed, the body is read to its end.
	Body io.Reader

	// CancelBody, unless nil, makes a blocked read of Body fail at once. While Send reads a
	// small body, CancelBody is called on another goroutine if the response has a status of
	// 400 or above or can't arrive any more.
	CancelBody func()

	// ContentLength is the length of Body in bytes, or -1 if it is unknown. It is optional
	// for a *bytes.Reader.
	ContentLength int64

	// Trailer is sent after a Body of unknown length. Its keys must be set when Send is
	// called, its values when Body has been read to its end.
	Trailer http.Header

	// Interim, unless nil, is called for each 1xx response except 100 (Continue), which is
	// meant for this hop only, and 101 (Switching Protocols), which Send returns.
	Interim func(status int, header http.Header)

	// BecameGET is set by Send if a redirect turned the request into a GET. The upstream may
	// have processed the original request even if the GET fails.
	BecameGET bool

	replayBody *bytes.Reader // a copy of Body to send after a redirect, or nil; set by Send
}

// Send sends req and returns the response, whatever its status, as soon as its header has
// arrived.
//
// Send follows up to 10 redirects, unless [Config.NoRedirects] is set or Header has an
// Upgrade. A redirect that can't be followed is returned as the response. 301 and 302
// turn a POST into a GET without a body, and 303 does so for any method except HEAD. All
// other redirects keep the method and the body (RFC 9110 §15.4), so they are followed only
// if the body can be sent again. Redirects within the origin of the proxied host are
// followed without restriction. For a redirect to another origin, Send removes every header
// whose name starts with OpenAI- or suggests a credential, and connects directly, over
// HTTP/1.1. Such a redirect is not followed from https to http, to an address that isn't
// public, through a proxy, or with [Config.DialContext].
//
// The caller must close the response's body. Reading it fails with an [*Error] if the
// upstream ends it early, so io.EOF means that the body is complete. The exception is an
// HTTP/1 body with neither Content-Length nor chunks, whose end can't be verified. The body
// may have a method Wait(), which returns when Read would not block. With it, readers of
// event streams need no buffer while they wait.
//
// Send returns status 101 only if Header requested an Upgrade to the same protocol. The body
// is then the connection itself: an io.ReadWriteCloser with CloseWrite and SetReadDeadline.
// The end of ctx no longer closes it.
//
// When ctx is done, Send closes the connection to the upstream at once, whatever it is
// doing. Send, or reading the body, then returns the error of ctx. Every other error is an
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

// send sends req to a target of the proxied host. It doesn't follow redirects.
func (u *Upstream) send(ctx context.Context, req *Request, target string) (*http.Response, error) {
	if u.http2 != nil && req.Header["Upgrade"] == nil { // WebSockets use HTTP/1.1
		return u.http2.send(ctx, req, target)
	}
	return u.http1.send(ctx, req, target)
}
