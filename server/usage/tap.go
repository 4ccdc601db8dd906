package usage

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// Tap reads the body of a response while it is forwarded.
type Tap struct {
	body io.ReadCloser

	mu     sync.Mutex
	meter  *responseMeter // guarded by mu
	closed bool           // guarded by mu
}

// NewTap replaces the body of resp by a body that passes the data to the Tap, too. The
// content, timing and errors of the body stay the same, as do its optional methods: Wait
// and, for status 101, the methods of a connection that upstream.Upstream.Send documents.
// The body must be closed.
//
// Content codings and a WebSocket's permessage-deflate are decoded on the reader's
// goroutine. The tokens of a response that cannot be decoded, or decodes to more than 64
// MiB, are estimated from its encoded size.
//
// onEvent, unless nil, is called for each event of a stream whose data is not "[DONE]",
// and for each text message of a WebSocket, when its last byte has been read. It must not
// block or call methods of the Tap.
func NewTap(resp *http.Response, request Request, onEvent func(at time.Time)) *Tap {
	t := &Tap{body: resp.Body, meter: newResponseMeter(resp, request, onEvent)}
	if resp.Body == nil || resp.Body == http.NoBody {
		t.meter.close()
		return t
	}
	switch body := resp.Body.(type) {
	case httpConn:
		resp.Body = &tappedConn{tappedBody{t}, body}
	case httpx.Waiter:
		resp.Body = &tappedWaiter{tappedBody{t}, body}
	default:
		resp.Body = &tappedBody{t}
	}
	return t
}

// Response returns the results so far. They are final after the end of the body. It is
// safe for concurrent use.
func (t *Tap) Response() Response {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.meter.response()
}

// ByModel returns the usage so far of each model of a WebSocket, or nil for other
// responses. It is safe for concurrent use.
func (t *Tap) ByModel() []ModelUsage {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.meter.kind != kindWebSocket || !t.meter.request.consumesTokens {
		return nil
	}
	return t.meter.byModel()
}

// BytesToLastEvent returns the length of the body up to and including the last event of
// its stream, or 0 if that event has not been read. The last event has the data "[DONE]",
// or a type that ends a stream of the Responses API, of Anthropic's API or of others. A
// client that closes the connection after this event has received the whole response.
func (t *Tap) BytesToLastEvent() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.meter.bytesToLastEvent
}

type tappedBody struct{ tap *Tap }

// Read implements [io.Reader].
func (b *tappedBody) Read(p []byte) (int, error) {
	n, err := b.tap.body.Read(p)
	if n > 0 {
		b.tap.read(p[:n])
	}
	if errors.Is(err, io.EOF) {
		b.tap.close() // The decoders may produce more output.
	}
	return n, err
}

// Close implements [io.Closer].
func (b *tappedBody) Close() error {
	err := b.tap.body.Close() // Close may interrupt a Read in progress.
	b.tap.close()
	return err
}

func (t *Tap) read(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.meter.write(p)
	}
}

func (t *Tap) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		t.meter.close()
	}
}

type tappedWaiter struct {
	tappedBody
	httpx.Waiter
}

// httpConn is the body of a response of status 101.
type httpConn interface {
	io.Writer
	httpx.HalfCloser
	SetReadDeadline(deadline time.Time) error
}

type tappedConn struct {
	tappedBody
	httpConn
}
