package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
)

var errBodyTooLong = errors.New("the body is longer than its stated length")

// framing describes how a request's body is delimited (RFC 9112 §6).
type framing struct {
	chunked bool
	length  int64 // in bytes, unless chunked; -1 for a request with neither body nor Content-Length
	trailer http.Header
}

// framingOf returns the framing of a request.
func framingOf(req *Request) framing {
	memory, inMemory := req.Body.(*bytes.Reader)
	switch {
	case inMemory && memory.Len() > 0:
		return framing{length: int64(memory.Len())}
	case req.Body == nil, inMemory:
		// A Content-Length of zero is forwarded with any method, and these methods require
		// one (RFC 9110 §8.6).
		if len(req.Header["Content-Length"]) > 0 || slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, req.Method) {
			return framing{length: 0}
		}
		return framing{length: -1}
	case req.ContentLength > 0:
		return framing{length: req.ContentLength}
	default:
		return framing{chunked: true, trailer: req.Trailer}
	}
}

// uploadBuffer is the size in bytes of the pieces in which a body is sent.
const uploadBuffer = 32 << 10

var uploadBuffers = sync.Pool{New: func() any { return new([uploadBuffer]byte) }}

// copyBody reads a body to its end and passes each piece to send, until send returns
// false. It reports whether the body is complete. The error is one of reading.
func (f framing) copyBody(body io.Reader, send func(piece []byte) bool) (complete bool, err error) {
	left := f.length
	var buffer []byte
	if !f.chunked && left <= smallBody { // from a slow client, and there may be many
		buffer = make([]byte, left+1)
	} else {
		pooled := uploadBuffers.Get().(*[uploadBuffer]byte)
		defer uploadBuffers.Put(pooled)
		buffer = pooled[:]
	}
	for {
		n, err := body.Read(buffer)
		if left -= int64(n); !f.chunked && left < 0 {
			return false, errBodyTooLong
		}
		if n > 0 && !send(buffer[:n]) {
			return false, nil
		}
		switch {
		case err == io.EOF && !f.chunked && left > 0:
			return false, io.ErrUnexpectedEOF
		case err == io.EOF:
			return true, nil
		case err != nil:
			return false, err
		}
	}
}

// closeBody closes a body that is an [io.Closer].
func closeBody(body io.Reader) {
	if closer, ok := body.(io.Closer); ok {
		_ = closer.Close()
	}
}
