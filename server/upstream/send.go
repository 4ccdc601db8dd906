package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
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

	// Body is the content, nil for none. It is read on another goroutine,
	// which may outlive Send when the answer comes early, and closed, if it is
	// an io.Closer, when it is no longer needed.
	//
	// A *bytes.Reader is written together with the header, and can be sent once
	// more where a pooled connection turns out to be closed.
	Body io.Reader

	// ContentLength is the length of Body in bytes, or -1 if it is unknown. It
	// need not be set for a *bytes.Reader.
	ContentLength int64

	// Trailer is sent behind a Body of unknown length. Its keys must be there
	// when Send is called, its values when Body has been read to the end.
	Trailer http.Header

	// Interim, unless nil, is told of each 1xx response, except 101, which is
	// final, and 100, which concerns the transport alone. It runs on another
	// goroutine, never after Send has returned.
	Interim func(status int, header http.Header)
}

// Send sends req and returns the response as soon as its header is there.
// Any status is a response; redirects are not followed.
//
// The caller must close the response's body. Reading it fails with an [*Error]
// if the upstream breaks it off, so that io.EOF means the whole of it; only of an
// HTTP/1 body with neither length nor chunks nobody can tell.
// For status 101, which comes only to a request whose Header asks for an
// Upgrade, and with the protocol it names, the body is an io.ReadWriteCloser:
// the connection itself, which ctx no longer closes.
//
// When ctx is done, the connection or stream to the upstream is closed at once,
// at whatever stage the exchange is, and the error of Send or of the body is
// ctx's. Every other error is an [*Error].
func (u *Upstream) Send(ctx context.Context, req *Request) (*http.Response, error) {
	location, err := u.locate(req.Target)
	if err == nil && req.Method == http.MethodConnect {
		err = errConnect
	}
	if err != nil {
		closeBody(req.Body)
		return nil, u.requestError(err)
	}
	try := &attempt{interim: req.Interim}
	out := (&http.Request{
		Method:        req.Method,
		ProtoMajor:    1, // without it the transport would not wait on Expect
		ProtoMinor:    1,
		URL:           location,
		Host:          u.base.Host,
		Header:        req.Header,
		Body:          http.NoBody,
		ContentLength: req.ContentLength,
	}).WithContext(httptrace.WithClientTrace(ctx, try.trace()))
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // or net/http sends its own
	}
	switch body := req.Body.(type) {
	case nil:
		out.ContentLength = 0
		if len(out.Header["Content-Length"]) > 0 {
			// A stated length of zero is stated upstream, for any method.
			out.TransferEncoding = []string{"identity"}
		}
	case *bytes.Reader:
		replayable := *body
		out.ContentLength = int64(body.Len())
		out.Body = io.NopCloser(body)
		out.GetBody = func() (io.ReadCloser, error) {
			again := replayable
			return io.NopCloser(&again), nil
		}
	default:
		try.body = body
		out.Body = (*requestBody)(try)
		if req.ContentLength <= 0 {
			// Named, or net/http tries for some time whether a GET's body is
			// an empty one.
			out.TransferEncoding = []string{"chunked"}
			out.Trailer = req.Trailer
		}
	}
	resp, err := u.transport.RoundTrip(out)
	try.finish()
	if err != nil {
		return nil, u.explain(ctx, try, err)
	}
	switch {
	case resp.StatusCode < 100 || resp.StatusCode > 999: // RFC 9110 §15; net/http lets others through
		_ = resp.Body.Close()
		return nil, u.newError(KindMalformed, "the status is not of three digits")
	case resp.StatusCode != http.StatusSwitchingProtocols:
		resp.Body = &responseBody{ReadCloser: resp.Body, ctx: ctx, upstream: u}
	case !switchedAsAsked(out, resp):
		_ = resp.Body.Close()
		return nil, u.newError(KindMalformed, "it switched to a protocol that was not asked for")
	}
	return resp, nil
}

// switchedAsAsked reports whether resp, of status 101, switches to the protocol
// that req asks for (RFC 9110 §7.8).
func switchedAsAsked(req *http.Request, resp *http.Response) bool {
	asked := req.Header.Get("Upgrade")
	_, writable := resp.Body.(io.Writer)
	return writable && asked != "" && strings.EqualFold(resp.Header.Get("Upgrade"), asked)
}

// The stages that an attempt to send a request comes to.
const (
	stageNew        int32 = iota // the transport has not accepted the request
	stageConnecting              // it looks for a connection, or makes one
	stageHandshake               // it is in a TLS handshake
	stageSent                    // it has a connection and uses it
)

// attempt watches one request on its way through the transport: how far it
// came, so that a failure can be told by its cause, and which interim
// responses came before the final one.
type attempt struct {
	stage   atomic.Int32
	body    io.Reader
	bodyErr atomic.Pointer[error] // what broke reading body, if anything did

	mu       sync.Mutex
	interim  func(status int, header http.Header) // guarded by mu
	finished bool                                 // guarded by mu
}

func (a *attempt) trace() *httptrace.ClientTrace {
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { a.stage.Store(stageConnecting) },
		GotConn: func(httptrace.GotConnInfo) { a.stage.Store(stageSent) },
		// A connection that is being made may be overtaken by one that becomes
		// free, and then goes on behind the request's back.
		TLSHandshakeStart: func() { a.stage.CompareAndSwap(stageConnecting, stageHandshake) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil { // behind a proxy there is more to come
				a.stage.CompareAndSwap(stageHandshake, stageConnecting)
			}
		},
	}
	if a.interim != nil {
		trace.Got1xxResponse = a.gotInterim
	}
	return trace
}

func (a *attempt) gotInterim(status int, header textproto.MIMEHeader) error {
	if status == http.StatusContinue {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.finished {
		a.interim(status, http.Header(header))
	}
	return nil
}

func (a *attempt) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.finished = true
}

// requestBody is an attempt as the transport reads its body. It remembers why
// reading failed: by the error of RoundTrip alone that could not be told from
// a failure of the upstream.
type requestBody attempt

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF {
		b.bodyErr.Store(&err)
	}
	return n, err
}

func (b *requestBody) Close() error {
	closeBody(b.body)
	return nil
}

func closeBody(body io.Reader) {
	if closer, ok := body.(io.Closer); ok {
		_ = closer.Close()
	}
}

// responseBody is a response's content. Its errors are the context's, or say
// which upstream broke off.
type responseBody struct {
	io.ReadCloser

	ctx      context.Context //nolint:containedctx // it is the body's own: the one Send was called with
	upstream *Upstream
}

func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // an end that is wrapped is none
		err = b.upstream.explainBody(b.ctx, err)
	}
	return n, err
}
