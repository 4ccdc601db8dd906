package usage

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// Tap reads the body of an answer while someone else does.
type Tap struct {
	body io.ReadCloser

	mu     sync.Mutex
	meter  *responseMeter // guarded by mu
	closed bool           // guarded by mu
}

// NewTap puts itself in the place of resp's body, to read along in the answer to
// request. What is read from the body, and when, and how that ends, stays the same;
// so do a method Wait of it and, for status 101, the methods of a connection, as
// upstream.Upstream.Send promises them. The body must be closed, as any.
//
// What is compressed by gzip, deflate, br, zstd, or a WebSocket's
// permessage-deflate, is decoded on the side, on the reader's goroutine. An answer
// that can't be decoded, or is larger than 64 MiB then, is guessed by what came.
//
// Unless it is nil, onEvent is told of each event of a stream that has data other
// than "[DONE]", and of each text message of a WebSocket, when its last byte was
// read. It must be quick, and not ask the Tap.
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

// Answer returns what is known of the answer so far; when its body was read to the
// end, that is all. It may be called at any time, on any goroutine.
func (t *Tap) Response() Response {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.meter.response()
}

// ByModel returns what is known so far of what each model took in a session, and nil
// for an answer that is none.
func (t *Tap) ByModel() []ModelUsage {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.meter.kind != kindSession || !t.meter.request.consumesTokens {
		return nil
	}
	return t.meter.byModel()
}

// Last returns how much of the body came up to the last event of its stream, in bytes,
// or 0 if that hasn't come: an event with the data "[DONE]", or one that by its type
// ends a stream of the Responses API, Anthropic's or others. A client may leave behind
// it and miss nothing.
func (t *Tap) BytesToLastEvent() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.meter.bytesToLastEvent
}

// tapped is a body.
type tappedBody struct{ tap *Tap }

// Read implements [io.Reader].
func (b *tappedBody) Read(p []byte) (int, error) {
	n, err := b.tap.body.Read(p)
	if n > 0 {
		b.tap.read(p[:n])
	}
	if errors.Is(err, io.EOF) {
		b.tap.close() // what is decoded may hang on the end
	}
	return n, err
}

// Close implements [io.Closer].
func (b *tappedBody) Close() error {
	err := b.tap.body.Close() // first, as it may end a Read
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

// connection is what a body of status 101 has beside its reader.
type httpConn interface {
	io.Writer
	httpx.HalfCloser
	SetReadDeadline(deadline time.Time) error
}

type tappedConn struct {
	tappedBody
	httpConn
}
