package grpcwebtext

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// maxPiece is the maximum number of bytes encoded at a time. It is a multiple of 3.
const maxPiece = 3 << 10

// responseWriter encodes a binary gRPC-Web response as base64 text.
type responseWriter struct {
	http.ResponseWriter

	started    bool
	text       bool    // the response is gRPC-Web
	pending    [2]byte // bytes of an incomplete group of three
	pendingLen int
	buffer     []byte // for encoding
}

// WriteHeader implements [http.ResponseWriter].
func (w *responseWriter) WriteHeader(status int) {
	if status >= http.StatusOK && !w.started {
		w.started = true
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
	w.start()
	if !w.text {
		return w.ResponseWriter.Write(p)
	}
	if w.pendingLen > 0 && w.pendingLen+len(p) >= 3 {
		// Complete the pending group.
		var first [3]byte
		copy(first[:], w.pending[:w.pendingLen])
		n = copy(first[w.pendingLen:], p)
		w.pendingLen = 0
		if err := w.encode(first[:]); err != nil {
			return 0, err
		}
	}
	for len(p)-n >= 3 && w.pendingLen == 0 {
		size := min(len(p)-n, maxPiece)
		size -= size % 3
		if err := w.encode(p[n : n+size]); err != nil {
			return n, err
		}
		n += size
	}
	w.pendingLen += copy(w.pending[w.pendingLen:], p[n:])
	return len(p), nil
}

// encode writes p in base64, with padding unless its length is a multiple of 3.
func (w *responseWriter) encode(p []byte) error {
	w.buffer = base64.StdEncoding.AppendEncode(w.buffer[:0], p)
	_, err := w.ResponseWriter.Write(w.buffer)
	return err
}

// FlushError supports [http.ResponseController]. It pads an incomplete group rather than wait
// for the next bytes, which may be a long time coming.
func (w *responseWriter) FlushError() error {
	w.start()
	if err := w.pad(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (w *responseWriter) Flush() { _ = w.FlushError() }

// finish completes the response after the handler has returned.
func (w *responseWriter) finish() {
	w.start()
	_ = w.pad() // fails only if the client has disconnected
}

func (w *responseWriter) pad() error {
	if w.pendingLen == 0 {
		return nil
	}
	n := w.pendingLen
	w.pendingLen = 0
	return w.encode(w.pending[:n])
}

func (w *responseWriter) start() {
	if !w.started {
		w.WriteHeader(http.StatusOK)
	}
}

// Unwrap supports [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
