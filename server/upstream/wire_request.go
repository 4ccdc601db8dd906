package upstream

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

const (
	// smallBody is the length in bytes up to which a body is buffered before anything is
	// sent. It is then sent in one write with the header and can be sent again, and a
	// slow client occupies no connection of the upstream.
	smallBody = 16 << 10

	// memoryBody is the same limit for a body in memory. A longer one is sent while the
	// response may already arrive.
	memoryBody = 64 << 10
)

// wireRequest is a request in the form in which HTTP/1.1 sends it.
type wireRequest struct {
	framing framing
	bytes   []byte        // the header, followed by a small body
	head    int           // the length of the header
	body    io.Reader     // the body if it is not in bytes, nil for none
	source  *bytes.Reader // a copy of body that can be read again, nil for none
}

var wireRequests = sync.Pool{New: func() any { return &wireRequest{bytes: make([]byte, 0, 4<<10)} }}

// prepare writes the header of a request, and a small body that is in memory.
func (c *http1Client) prepare(req *Request, target string) (out *wireRequest, err error) {
	out = wireRequests.Get().(*wireRequest)
	out.framing, out.body, out.source = framingOf(req), req.Body, nil
	if out.bytes, err = c.appendHead(out.bytes[:0], req, target, out.framing); err != nil {
		return nil, err
	}
	out.head = len(out.bytes)
	memory, ok := req.Body.(*bytes.Reader)
	switch {
	case !ok:
	case memory.Len() <= memoryBody && len(req.Header["Expect"]) == 0, memory.Len() == 0:
		n := memory.Len()
		out.bytes = slices.Grow(out.bytes, n)[:out.head+n]
		_, _ = memory.Read(out.bytes[out.head:])
		out.body = nil
	default:
		source := *memory
		out.source = &source
	}
	return out, nil
}

// isBuffered reports whether the body must be buffered before the request is sent.
func (r *wireRequest) isBuffered(req *Request) bool {
	return r.body != nil && r.source == nil && !r.framing.chunked && r.framing.length <= smallBody && len(req.Header["Expect"]) == 0
}

// rewind prepares the request to be sent again, and reports whether that is possible.
func (r *wireRequest) rewind() bool {
	switch {
	case r.body == nil:
		return true
	case r.source == nil:
		return false
	default:
		source := *r.source
		r.body = &source
		return true
	}
}

// bodyCopy returns a copy of the body for another request, or nil if there is none or it
// can't be read again.
func (r *wireRequest) bodyCopy() *bytes.Reader {
	if r.source != nil {
		source := *r.source
		return &source
	}
	if len(r.bytes) == r.head {
		return nil
	}
	return bytes.NewReader(slices.Clone(r.bytes[r.head:]))
}

// release keeps the request's memory for another request.
func (r *wireRequest) release() {
	r.body, r.source, r.framing.trailer = nil, nil, nil
	wireRequests.Put(r)
}
