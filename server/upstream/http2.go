package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// streamBuffer is how much of one response, in bytes, may wait here for a slow
// reader before the upstream has to pause. At 50 ms to the upstream it allows
// 20 MB/s a stream.
const streamBuffer = 1 << 20

// http2 speaks HTTP/2 to a host, by net/http's Transport, or HTTP/1.1 where the
// host knows nothing else.
type http2 struct {
	host *host
	open func() *http.Transport

	mu        sync.Mutex
	transport *http.Transport // guarded by mu: for new requests
	born      time.Time       // guarded by mu: of transport
	retired   *http.Transport // guarded by mu: for requests that began before; may be nil
}

// newHTTP2 returns what speaks to the host on connections that d makes.
func newHTTP2(h *host, d *dialer, keepAlive time.Duration) *http2 {
	config := d.tls.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	open := func() *http.Transport {
		return &http.Transport{
			DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				over := *d
				over.tls, over.network = config, counted(h, d.network)
				return over.connect(ctx)
			},
			TLSClientConfig:        config,
			DisableCompression:     true,
			MaxIdleConns:           h.pool.maxIdle,
			MaxIdleConnsPerHost:    h.pool.maxIdle,
			IdleConnTimeout:        idleTimeout,
			ResponseHeaderTimeout:  h.headerTimeout,
			ExpectContinueTimeout:  expectContinueTimeout,
			MaxResponseHeaderBytes: h.maxHeaderBytes,
			Protocols:              protocols,
			HTTP2: &http.HTTP2Config{
				SendPingTimeout:           keepAlive,
				PingTimeout:               keepAlive,
				WriteByteTimeout:          h.stallTimeout,
				MaxReceiveBufferPerStream: streamBuffer,
			},
		}
	}
	return &http2{host: h, open: open, transport: open(), born: time.Now()}
}

// current returns the transport for a new request. Connections that are old get
// none, as the pool has it for HTTP/1.1; a transport would keep one for as long
// as it is busy.
func (h *http2) current() *http.Transport {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.born) > maxAge {
		h.retired, h.transport, h.born = h.transport, h.open(), time.Now()
		h.retired.CloseIdleConnections() // the others end idleTimeout after their last request
	}
	return h.transport
}

// closeIdle closes the connections that no request is using.
func (h *http2) closeIdle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.transport.CloseIdleConnections()
	if h.retired != nil {
		h.retired.CloseIdleConnections()
	}
}

// send sends a request and returns its response.
func (h *http2) send(ctx context.Context, req *Request, target string) (*http.Response, error) {
	try := &attempt{interim: req.Interim}
	trace := &httptrace.ClientTrace{}
	if req.Interim != nil {
		trace.Got1xxResponse = try.gotInterim
	}
	out := (&http.Request{
		Method:        req.Method,
		ProtoMajor:    1, // without it the transport would not wait on Expect
		ProtoMinor:    1,
		URL:           h.locate(target),
		Host:          h.host.authority,
		Header:        req.Header,
		Body:          http.NoBody,
		ContentLength: req.ContentLength,
	}).WithContext(httptrace.WithClientTrace(ctx, trace))
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // or net/http sends its own
	}
	try.setBody(out, req)
	resp, err := h.current().RoundTrip(out)
	try.finish()
	if err != nil {
		return nil, h.explain(ctx, try, err)
	}
	if isRedirect(resp.StatusCode) {
		req.again = try.again(req)
	}
	switch {
	case resp.StatusCode < 100 || resp.StatusCode > 999:
		_ = resp.Body.Close()
		return nil, h.host.newError(KindMalformed, errStatus.Error())
	case resp.StatusCode != http.StatusSwitchingProtocols:
		resp.Body = &http2Body{ReadCloser: resp.Body, ctx: ctx, host: h.host}
	case !switchedAsAsked(req, resp):
		_ = resp.Body.Close()
		return nil, h.host.newError(KindMalformed, errSwitch.Error())
	}
	return resp, nil
}

// locate returns the URL that makes net/http write target as it is.
func (h *http2) locate(target string) *url.URL {
	path, query, hasQuery := strings.Cut(target, "?")
	located := &url.URL{
		Scheme:     "https",
		Host:       h.host.authority,
		RawQuery:   query,
		ForceQuery: hasQuery && query == "",
	}
	if !strings.HasPrefix(path, "//") {
		located.Opaque = path
		return located
	}
	// An Opaque of "//a" is written in absolute form, so such a path goes by
	// the decoded way. That has no form for what may not stand in a path
	// unescaped, and for malformed escapes: there the absolute form remains,
	// which every server must accept.
	var err error
	located.RawPath = path
	if located.Path, err = url.PathUnescape(path); err != nil || located.EscapedPath() != path {
		located.Path, located.RawPath = "", ""
		located.Opaque = "//" + h.host.authority + path
	}
	return located
}

// attempt watches one request on its way through the transport.
type attempt struct {
	body    io.Reader
	small   bool                  // body is kept
	bodyErr atomic.Pointer[error] // what broke reading body, if anything did

	memory *bytes.Reader // the body from its beginning, if it is in memory

	mu       sync.Mutex
	kept     []byte                               // guarded by mu: of a small body
	interim  func(status int, header http.Header) // guarded by mu
	finished bool                                 // guarded by mu
}

// setBody gives out the body of req.
func (a *attempt) setBody(out *http.Request, req *Request) {
	body := req.Body
	if memory, ok := body.(*bytes.Reader); ok && memory.Len() == 0 {
		body = nil // net/http takes a length of zero beside a body for an unknown one.
	}
	switch body := body.(type) {
	case nil:
		out.ContentLength = 0
		if len(out.Header["Content-Length"]) > 0 {
			// A stated length of zero is stated upstream, for any method.
			out.TransferEncoding = []string{"identity"}
		}
	case *bytes.Reader:
		replayable := *body
		a.memory = &replayable
		out.ContentLength = int64(body.Len())
		out.Body = io.NopCloser(body)
		out.GetBody = func() (io.ReadCloser, error) {
			again := replayable
			return io.NopCloser(&again), nil
		}
	default:
		a.body, a.small = body, req.ContentLength > 0 && req.ContentLength <= smallBody
		out.Body = (*requestBody)(a)
		if req.ContentLength <= 0 {
			// Named, or net/http tries for some time whether a GET's body is
			// an empty one.
			out.TransferEncoding = []string{"chunked"}
			out.Trailer = req.Trailer
		}
	}
}

// again returns the body of req for another request, nil if there is none or it
// wasn't kept.
func (a *attempt) again(req *Request) *bytes.Reader {
	if a.memory != nil {
		again := *a.memory
		return &again
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.small || int64(len(a.kept)) != req.ContentLength {
		return nil
	}
	return bytes.NewReader(a.kept)
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
	if b.small {
		b.mu.Lock()
		b.kept = append(b.kept, p[:n]...)
		b.mu.Unlock()
	}
	if err != nil && err != io.EOF {
		b.bodyErr.Store(&err)
	}
	return n, err
}

func (b *requestBody) Close() error {
	closeBody(b.body)
	return nil
}

// explain turns an error of the transport into one that says what happened.
func (h *http2) explain(ctx context.Context, try *attempt, err error) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	if cause := try.bodyErr.Load(); cause != nil {
		return h.host.requestError(*cause)
	}
	if connecting, ok := errors.AsType[*Error](err); ok {
		return connecting
	}
	switch text := err.Error(); {
	case strings.HasPrefix(text, "net/http: invalid "): // of the request
		return h.host.requestError(err)
	case strings.Contains(text, "response headers exceeded"), // HTTP/1.1
		strings.Contains(text, "response header list larger"): // HTTP/2
		return h.host.newError(KindHeaderTooLarge, fmt.Sprintf("the limit is %d bytes", h.host.maxHeaderBytes))
	case isTimeout(err):
		return h.host.newError(KindTimeout, fmt.Sprintf("waited %v", h.host.headerTimeout))
	case isStreamBreak(err):
		return h.host.newError(KindClosed, reason(err))
	case strings.HasPrefix(text, "connection error: "): // an error code follows
		return h.host.newError(KindMalformed, text)
	default:
		return h.host.newError(KindMalformed, "")
	}
}

// isTimeout tells the transport's own time-out from the kernel's, which gives
// up a connection whose peer does not acknowledge.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	_, network := errors.AsType[*net.OpError](err)
	return ok && timeout.Timeout() && !network
}

// isStreamBreak is isBreak for a stream.
func isStreamBreak(err error) bool {
	// net/http exports no types for these. Their texts quote nothing of what
	// was received.
	text := err.Error()
	return isBreak(err) ||
		strings.Contains(text, "server closed idle connection") ||
		strings.Contains(text, "readLoop exiting") ||
		strings.HasPrefix(text, "http2: ") || // the connection: lost, or ended by GOAWAY
		strings.HasSuffix(text, "received from peer") // the stream: RST_STREAM
}

// http2Body is a response's content. Its errors are the context's, or say which
// upstream broke off.
type http2Body struct {
	io.ReadCloser

	ctx  context.Context //nolint:containedctx // it is the body's own: the one Send was called with
	host *host
}

func (b *http2Body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case b.ctx.Err() != nil:
		return n, contextError(b.ctx)
	case isStreamBreak(err):
		return n, b.host.newError(KindCut, reason(err))
	default:
		return n, b.host.newError(KindMalformed, "")
	}
}
