package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
)

var errBodyTooLong = errors.New("the body is longer than its Content-Length")

// framing describes how a request's body is delimited (RFC 9112 §6).
type framing struct {
	chunked bool
	length  int64 // the Content-Length unless chunked; -1 for none, without a body
	trailer http.Header
}

// framingOf returns the framing of a request.
func framingOf(req *Request) framing {
	memory, inMemory := req.Body.(*bytes.Reader)
	switch {
	case inMemory && memory.Len() > 0:
		return framing{length: int64(memory.Len())}
	case req.Body == nil, inMemory:
		// A received "Content-Length: 0" is forwarded with any method. POST, PUT and PATCH
		// require one (RFC 9110 §8.6).
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

// uploadBufferSize is the maximum number of bytes of a body that are read and sent at once.
const uploadBufferSize = 32 << 10

var uploadBuffers = sync.Pool{New: func() any { return new([uploadBufferSize]byte) }}

// copyBody reads body to its end and passes each piece to send. It stops when send returns
// false. complete reports whether all of the body was passed to send. The error is a read
// error.
func (f framing) copyBody(body io.Reader, send func(piece []byte) bool) (complete bool, err error) {
	remaining := f.length
	var buffer []byte
	if !f.chunked && remaining <= smallBody {
		// A small body that isn't buffered comes from a slow client. There may be many of
		// them, so each gets a buffer of just its size.
		buffer = make([]byte, remaining+1)
	} else {
		pooled := uploadBuffers.Get().(*[uploadBufferSize]byte)
		defer uploadBuffers.Put(pooled)
		buffer = pooled[:]
	}
	for {
		n, err := body.Read(buffer)
		if remaining -= int64(n); !f.chunked && remaining < 0 {
			return false, errBodyTooLong
		}
		if n > 0 && !send(buffer[:n]) {
			return false, nil
		}
		switch {
		case err == io.EOF && !f.chunked && remaining > 0:
			return false, io.ErrUnexpectedEOF
		case err == io.EOF:
			return true, nil
		case err != nil:
			return false, err
		}
	}
}

// closeBody closes body if it is an [io.Closer].
func closeBody(body io.Reader) {
	if closer, ok := body.(io.Closer); ok {
		_ = closer.Close()
	}
}
