package upstream

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
)

const (
	// smallBody is up to which length, in bytes, a body is read before anything
	// is sent. It then leaves in one write with the head, can be sent once more,
	// and a client that is slow with it keeps no connection of the upstream's.
	smallBody = 16 << 10

	// memoryBody is the same for a body that is in memory anyway. A longer one
	// is sent while the answer may come already.
	memoryBody = 64 << 10
)

// outgoing is a request as it is sent.
type outgoing struct {
	framing framing
	bytes   []byte        // the head, and the body if that is small
	head    int           // the length of the head
	rest    io.Reader     // the body if it isn't in bytes, nil for none
	memory  *bytes.Reader // where rest can be read once more from, nil for nowhere
}

var errBodyTooLong = errors.New("the body is longer than its stated length")

var outgoings = sync.Pool{New: func() any { return &outgoing{bytes: make([]byte, 0, 4<<10)} }}

// prepare writes the head of a request out.
func (h *host) prepare(req *Request, target string) (out *outgoing, err error) {
	out = outgoings.Get().(*outgoing)
	out.framing, out.rest, out.memory = framingOf(req), req.Body, nil
	switch memory, ok := req.Body.(*bytes.Reader); {
	case ok && memory.Len() == 0:
		out.rest = nil // An empty body is none: its framing may have no length to send up to.
	case ok:
		again := *memory
		out.memory = &again
	}
	out.bytes, err = h.appendHead(out.bytes[:0], req, target, out.framing)
	out.head = len(out.bytes)
	return out, err
}

// isSmall reports whether the body is to leave together with the head.
func (o *outgoing) isSmall(req *Request) bool {
	limit := int64(smallBody)
	if o.memory != nil {
		limit = memoryBody
	}
	return o.rest != nil && !o.framing.chunked && o.framing.length <= limit && len(req.Header["Expect"]) == 0
}

// again makes the request ready to be sent once more, and reports whether it
// can be.
func (o *outgoing) again() bool {
	switch {
	case o.rest == nil:
		return true
	case o.memory == nil:
		return false
	default:
		again := *o.memory
		o.rest = &again
		return true
	}
}

// body returns the body for another request, nil if there is none or it wasn't
// kept.
func (o *outgoing) body() *bytes.Reader {
	if o.memory != nil {
		again := *o.memory
		return &again
	}
	if len(o.bytes) == o.head {
		return nil
	}
	return bytes.NewReader(slices.Clone(o.bytes[o.head:]))
}

// release lets go of the request. What is in use by an upload stays so.
func (o *outgoing) release() {
	o.rest, o.memory, o.framing.trailer = nil, nil, nil
	outgoings.Put(o)
}
