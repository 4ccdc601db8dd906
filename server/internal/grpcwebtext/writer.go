package grpcwebtext

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// plainPiece is how many bytes are encoded at a time. It is a multiple of 3.
const plainPiece = 3 << 10

// responseWriter writes an answer of the binary mode in the text mode.
type responseWriter struct {
	http.ResponseWriter

	begun bool
	text  bool    // the answer is gRPC-Web's
	rest  [2]byte // what was written, short of three bytes, and isn't encoded yet
	have  int
	piece []byte // memory to encode in
}

// WriteHeader implements [http.ResponseWriter].
func (w *responseWriter) WriteHeader(status int) {
	if status >= http.StatusOK && !w.begun {
		w.begun = true
		header := w.Header()
		if contentType := header.Get("Content-Type"); isBinary(contentType) {
			w.text = true
			header.Set("Content-Type", textType+strings.TrimPrefix(mediaType(contentType), binaryType))
			header.Del("Content-Length")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(p []byte) (n int, err error) {
	w.begin()
	if !w.text {
		return w.ResponseWriter.Write(p)
	}
	if w.have > 0 && w.have+len(p) >= 3 {
		// Fill up the group that was begun.
		var first [3]byte
		copy(first[:], w.rest[:w.have])
		n = copy(first[w.have:], p)
		w.have = 0
		if err := w.encode(first[:]); err != nil {
			return 0, err
		}
	}
	for len(p)-n >= 3 && w.have == 0 {
		size := min(len(p)-n, plainPiece)
		size -= size % 3
		if err := w.encode(p[n : n+size]); err != nil {
			return n, err
		}
		n += size
	}
	w.have += copy(w.rest[w.have:], p[n:])
	return len(p), nil
}

// encode writes bytes in base64, with padding unless they are a multiple of 3.
func (w *responseWriter) encode(p []byte) error {
	w.piece = base64.StdEncoding.AppendEncode(w.piece[:0], p)
	_, err := w.ResponseWriter.Write(w.piece)
	return err
}

// FlushError serves [http.ResponseController]. What was written is all sent, padded if
// need be: the client may have to wait long for more.
func (w *responseWriter) FlushError() error {
	w.begin()
	if err := w.pad(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (w *responseWriter) Flush() { _ = w.FlushError() }

// finish is called when the handler has returned.
func (w *responseWriter) finish() {
	w.begin()
	_ = w.pad() // a client that is gone needs no end
}

func (w *responseWriter) pad() error {
	if w.have == 0 {
		return nil
	}
	have := w.have
	w.have = 0
	return w.encode(w.rest[:have])
}

func (w *responseWriter) begin() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
}

// Unwrap serves [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
