package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

var errConnect = errors.New("CONNECT would leave the proxied host")

// Request is what is to be sent. It has the shape of a request that arrived,
// since most of what is sent is one that did.
type Request struct {
	// Method is sent as it is. Empty means GET. CONNECT is refused.
	Method string

	// Target is the request-target as this server received it or would have,
	// "/v1/chat/completions?x=1". It names a place on the proxied host by the
	// rule of [Config.BaseURL], never another host.
	Target string

	// Header is sent as it is, so hop-by-hop fields must have been left out;
	// only Host, Content-Length and Transfer-Encoding follow from the rest of
	// the request. Without a User-Agent none is sent. Send takes the map over.
	Header http.Header

	// Body is the content, nil for none. It is closed, if it is an io.Closer,
	// when it is no longer needed.
	//
	// One of a known length up to 16 KiB is sent together with the head, unless
	// it takes long to read, or the Header has an expectation. Any other is sent
	// while the answer may come already, on another goroutine, which may outlive
	// Send then. (A success that comes before the end of a small body waits for
	// that; a refusal doesn't.) The former, and a *bytes.Reader, can be sent once
	// more: where a connection that was kept turns out to be closing, and where a
	// redirect leads.
	//
	// Over HTTP/2 each body is sent as it comes. Up to 64 KiB of it are kept until
	// there is an answer: a request that the upstream turned away unprocessed (RFC
	// 9113 §8.7) is sent again if no more was read, or if the body is a *bytes.Reader.
	// So is an idempotent one, once, where a connection that was kept ends without a
	// word. A redirect that keeps the body waits for the end of one up to 16 KiB.
	Body io.Reader

	// CancelBody, unless nil, makes reading Body fail at once. It is called, on
	// another goroutine, when there is an answer of 400 or above, or none to
	// come, while Send is held up by reading a small body.
	CancelBody func()

	// ContentLength is the length of Body in bytes, or -1 if it is unknown. It
	// need not be set for a *bytes.Reader.
	ContentLength int64

	// Trailer is sent behind a Body of unknown length. Its keys must be there
	// when Send is called, its values when Body has been read to the end.
	Trailer http.Header

	// Interim, unless nil, is told of each 1xx response, except 101, which is
	// final, and 100, which concerns this server alone.
	Interim func(status int, header http.Header)

	// BecameGET is set by Send where a redirect made a GET of the request: whoever
	// answered it may have acted on it, whatever became of the GET.
	BecameGET bool

	replayBody *bytes.Reader // Body for a redirect, if it was kept; set when it was sent
}

// Send sends req and returns the response as soon as its header is there.
// Any status is a response.
//
// A redirect is followed, up to 10 times, unless [Config.NoRedirects] says
// otherwise, Header asks for an Upgrade, or the answer is one that can't be: the
// response is then the redirect as it came. 301 and 302 make a GET of a POST,
// 303 of all but HEAD, without the body; every other redirect keeps method and
// body (RFC 9110 §15.4), for which the body must be one that can be sent once
// more. Within the proxied host's origin any redirect is followed, to exactly
// what it names. To another origin it takes along no credentials, nor
// any field that is called like one or OpenAI-…; it goes there directly,
// over HTTP/1.1. It is not followed from https to http, to an address that
// isn't public, or where a proxy or a DialContext of one's own stands between.
//
// The caller must close the response's body. Reading it fails with an [*Error]
// if the upstream breaks it off, so that io.EOF means the whole of it; only of an
// HTTP/1 body with neither length nor chunks nobody can tell.
// The body may have a method Wait(), which returns when Read has something to
// tell, so that who waits long, as most of the readers of event streams do, need
// not hold a buffer meanwhile.
// For status 101, which comes only to a request whose Header asks for an
// Upgrade, and with the protocol it names, the body is an io.ReadWriteCloser
// with CloseWrite and SetReadDeadline: the connection itself, which ctx no
// longer closes.
//
// When ctx is done, the connection to the upstream is closed at once, at
// whatever stage the exchange is, and the error of Send or of the body is
// ctx's. Every other error is an [*Error].
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
	if u.http2 != nil && req.Header["Upgrade"] == nil { // to a WebSocket, as HTTP/1.1 has it
		return u.http2.send(ctx, req, target)
	}
	return u.http1.send(ctx, req, target)
}
