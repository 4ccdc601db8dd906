package passthrough

import (
	"maps"
	"net/http"

	"github.com/openai-connect/openai-connect/server/upstream"
)

// writeInterim sends a 1xx response.
func (d *downstream) writeInterim(status int, header http.Header) {
	if !d.r.ProtoAtLeast(1, 1) { // RFC 9110 §15.2
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.interimEnded {
		return
	}
	// The final response uses the same map. Headers set by others are restored below.
	fields := d.w.Header()
	saved := maps.Clone(fields)
	clear(fields)
	upstream.CopyEndToEnd(fields, header)
	// Over HTTP/2, if the client resets the stream, WriteHeader returns while another
	// goroutine still encodes the headers. net/http copies headers with a Content-Length,
	// which it removes from an interim response (RFC 9110 §8.6).
	fields["Content-Length"] = nil
	d.w.WriteHeader(status)
	clear(fields)
	maps.Copy(fields, saved)
}

// endInterim stops interim responses, so that only the calling goroutine uses w.
func (d *downstream) endInterim() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.interimEnded = true
}
