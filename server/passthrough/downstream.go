package passthrough

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// downstream is the side of an exchange that faces the client.
type downstream struct {
	w       http.ResponseWriter
	r       *http.Request
	control http.ResponseController
	upload  *upload // nil for a request without a body

	// mu guards w while interim responses may be written, by the goroutines
	// that read the response and the request's body.
	mu          sync.Mutex
	interimDone bool
}

func newDownstream(w http.ResponseWriter, r *http.Request) *downstream {
	d := &downstream{w: w, r: r, control: *http.NewResponseController(w)}
	if r.Body != nil && r.Body != http.NoBody {
		d.upload = newUpload(d)
		// Over HTTP/1.1, net/http would else read the upload to its end before
		// it lets a response begin, while the upstream's transport reads it
		// too. HTTP/2 has no such rule, and where the call isn't supported
		// there is no connection to protect.
		_ = d.control.EnableFullDuplex()
	}
	return d
}

// writeInterim sends a 1xx response.
func (d *downstream) writeInterim(status int, header http.Header) {
	if !d.r.ProtoAtLeast(1, 1) { // RFC 9110 §15.2
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.interimDone {
		return
	}
	// The map is the final response's too. What others have put there waits.
	fields := d.w.Header()
	waiting := maps.Clone(fields)
	clear(fields)
	upstream.CopyEndToEnd(fields, header)
	// Over HTTP/2, WriteHeader returns while another goroutine still encodes the
	// fields, if the client resets the stream just then. net/http encodes a copy
	// of fields that have a Content-Length, which an interim response can't
	// have (RFC 9110 §8.6), and leaves it out.
	fields["Content-Length"] = nil
	d.w.WriteHeader(status)
	clear(fields)
	maps.Copy(fields, waiting)
}

// endInterim leaves w to the goroutine that calls it.
func (d *downstream) endInterim() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interimDone = true
}

// uploading reports whether the client is still sending.
func (d *downstream) uploading() bool {
	return d.upload != nil && !d.upload.done.Load()
}

// stalled returns what a body says that was cut off as its client sent none of
// it, nil if it wasn't.
func (d *downstream) stalled() error {
	return httpx.Stalled(d.r.Body)
}

// beforeHeader is called when the final response's fields are set and its
// header is about to be written.
//
// Over HTTP/1, a response that comes while the client is still sending has to
// be the connection's last: what the client goes on to send could be taken for
// its next request. It also has to be given time to read the response, as TCP
// may drop what it hasn't read when it sends into a closed connection (RFC 9112
// §9.6). net/http does all of this, announces the end, closes its own side and
// waits, for a body that exceeds the limit of an http.MaxBytesReader; so here
// one is exceeded.
func (d *downstream) beforeHeader() {
	if d.r.ProtoMajor != 1 || !d.uploading() {
		return
	}
	d.w.Header().Set("Connection", "close")
	excess := io.NopCloser(strings.NewReader("x"))
	_, _ = http.MaxBytesReader(httpx.Unwrap(d.w), excess, 0).Read(make([]byte, 1))
}

// breakOff ends an answer that is not whole, in a way that the client can't take
// for its end. net/http closes the connection, or resets the stream of HTTP/2. Over
// HTTP/1.0, where an answer without a length ends with its connection (RFC 9112
// §6.3), the connection is reset, without a goodbye from TLS.
func (d *downstream) breakOff() {
	if !d.r.ProtoAtLeast(1, 1) && d.w.Header().Get("Content-Length") == "" {
		d.reset()
	}
	panic(http.ErrAbortHandler)
}

// reset resets the client's connection, if it can be had.
func (d *downstream) reset() {
	client, _, err := http.NewResponseController(httpx.Unwrap(d.w)).Hijack()
	if err != nil {
		return
	}
	httpx.Reset(client)
}

// endUpload stops reading from a client that is still sending when the exchange
// is over. The upstream's transport may be in the middle of a Read, where a
// silent client would keep it, and with it whoever waits for the transport to
// let go of the request, or for the body to end.
func (d *downstream) endUpload() {
	if d.uploading() && d.control.SetReadDeadline(time.Unix(1, 0)) == nil {
		_ = d.r.Body.Close()
	}
}
