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

	// mu guards w while interim responses may be written by the goroutines that read the
	// response and the request's body.
	mu          sync.Mutex
	interimDone bool
}

func newDownstream(w http.ResponseWriter, r *http.Request) *downstream {
	d := &downstream{w: w, r: r, control: *http.NewResponseController(w)}
	if r.Body != nil && r.Body != http.NoBody {
		d.upload = newUpload(d)
		// Over HTTP/1.1, net/http would otherwise read the upload to its end before it
		// starts a response, while the upstream's client reads it too. HTTP/2 doesn't,
		// and without support for the call there is no connection to protect.
		_ = d.control.EnableFullDuplex()
	}
	return d
}

// uploading reports whether the client is still sending.
func (d *downstream) uploading() bool {
	return d.upload != nil && !d.upload.done.Load()
}

// stallError returns the error of a body whose client stalled, or nil.
func (d *downstream) stallError() error {
	return httpx.Stalled(d.r.Body)
}

// closeIfUploading must be called before the header of the final response is written.
//
// Over HTTP/1, a response that is sent while the client is still sending must be the last one
// of the connection: the rest of the body could be taken for the next request. The client
// also needs time to read the response, because TCP may discard it when the client sends to
// a closed connection (RFC 9112 §9.6). net/http does all of this, including "Connection:
// close", for a body that exceeds the limit of an http.MaxBytesReader, so this method
// exceeds one.
func (d *downstream) closeIfUploading() {
	if d.r.ProtoMajor != 1 || !d.uploading() {
		return
	}
	d.w.Header().Set("Connection", "close")
	excess := io.NopCloser(strings.NewReader("x"))
	_, _ = http.MaxBytesReader(httpx.Unwrap(d.w), excess, 0).Read(make([]byte, 1))
}

// abort ends an incomplete response, so that the client can't take it for a complete one.
// net/http closes the connection, or resets the HTTP/2 stream. Over HTTP/1.0, where the end
// of the connection ends a response without a length (RFC 9112 §6.3), the connection is
// reset without a TLS close_notify.
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

// endUpload stops reading from a client that is still sending at the end of the exchange.
// The upstream's client may be blocked in Read, and others may wait for it.
func (d *downstream) endUpload() {
	if d.uploading() && d.control.SetReadDeadline(time.Unix(1, 0)) == nil {
		_ = d.r.Body.Close()
	}
}
