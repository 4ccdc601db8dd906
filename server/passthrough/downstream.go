package passthrough

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// downstream is the client side of an exchange.
type downstream struct {
	w       http.ResponseWriter
	r       *http.Request
	control http.ResponseController
	upload  *upload // nil for a request without a body

	// mu guards w until endInterim. Until then, both the goroutine that reads the upstream's
	// response and the one that reads the request body may write interim responses.
	mu           sync.Mutex
	interimEnded bool
}

func newDownstream(w http.ResponseWriter, r *http.Request) *downstream {
	d := &downstream{w: w, r: r, control: *http.NewResponseController(w)}
	if r.Body != nil && r.Body != http.NoBody {
		d.upload = newUpload(d)
		// Without full duplex, net/http reads the rest of an HTTP/1.1 request body before it
		// writes a response, while the upstream's client may still be reading it. The error
		// is ignored: HTTP/2 is always full duplex, and other writers have no connection.
		_ = d.control.EnableFullDuplex()
	}
	return d
}

// isUploading reports whether the client is still sending the request body.
func (d *downstream) isUploading() bool {
	return d.upload != nil && !d.upload.done.Load()
}

// stallError returns the error with which the request body ended if the client stalled, or
// nil.
func (d *downstream) stallError() error {
	return httpx.Stalled(d.r.Body)
}

// closeIfUploading must be called before the header of the final response is written.
//
// If the server responds before an HTTP/1 client has sent its whole request, it must close
// the connection afterwards: the rest of the body could be taken for the next request. It
// must also give the client time to read the response, because TCP may discard the response
// when the client sends to a closed connection (RFC 9112 §9.6). net/http does both, and adds
// "Connection: close", after a request body has exceeded the limit of an http.MaxBytesReader.
// This method exceeds such a limit with a dummy body.
func (d *downstream) closeIfUploading() {
	if d.r.ProtoMajor != 1 || !d.isUploading() {
		return
	}
	d.w.Header().Set("Connection", "close")
	excess := io.NopCloser(strings.NewReader("x"))
	_, _ = http.MaxBytesReader(httpx.Unwrap(d.w), excess, 0).Read(make([]byte, 1))
}

// abort aborts a response, so that the client can detect that it is incomplete. net/http
// closes the connection, or resets the HTTP/2 stream. That is not enough for an HTTP/1.0
// response without a Content-Length, which ends with the connection (RFC 9112 §6.3). In that
// case, abort resets the connection without a TLS close_notify.
func (d *downstream) abort() {
	if !d.r.ProtoAtLeast(1, 1) && d.w.Header().Get("Content-Length") == "" {
		d.reset()
	}
	panic(http.ErrAbortHandler)
}

// reset resets the client's connection if it can be hijacked.
func (d *downstream) reset() {
	client, _, err := http.NewResponseController(httpx.Unwrap(d.w)).Hijack()
	if err != nil {
		return
	}
	httpx.Reset(client)
}

// endUpload stops reading the request body if the exchange ends before the body. It unblocks
// a pending Read of the upstream's client, for which other goroutines may be waiting.
func (d *downstream) endUpload() {
	if d.isUploading() && d.control.SetReadDeadline(time.Unix(1, 0)) == nil {
		_ = d.r.Body.Close()
	}
}
