package httpserver

import "net/http"

// netHTTPBuffer is the size up to which net/http buffers a response until the handler
// returns, in order to send a Content-Length.
const netHTTPBuffer = 2048

// resetUnfinished returns a handler whose truncated HTTP/1.0 responses never look
// complete. HTTP/1.0 has no chunks: without a Content-Length, the end of the connection
// is the end of the response (RFC 9112 §6.3). A truncated response must therefore end
// with a reset.
func resetUnfinished(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := requestConn(r)
		if c == nil || r.ProtoAtLeast(1, 1) {
			next.ServeHTTP(w, r)
			return
		}
		response := &http10Writer{ResponseWriter: w, conn: c, isHead: r.Method == http.MethodHead}
		complete := false
		defer func() {
			if !complete && c.unfinished.Load() {
				c.reset()
			}
		}()
		next.ServeHTTP(response, r)
		complete = response.finish()
	})
}

// http10Writer writes an HTTP/1.0 response. It marks the connection as unfinished while
// closing it would make a truncated response look complete.
type http10Writer struct {
	http.ResponseWriter

	conn         *clientConn
	isHead       bool
	wroteHeader  bool
	mayAddLength bool // net/http adds a Content-Length if the response is short
	flushed      bool
	size         int
}

// WriteHeader implements [http.ResponseWriter].
func (h *http10Writer) WriteHeader(status int) {
	if status >= http.StatusOK && !h.wroteHeader {
		h.wroteHeader = true
		header := h.Header()
		_, decided := header["Content-Length"]
		h.mayAddLength = !decided
		bodiless := h.isHead || status == http.StatusNoContent || status == http.StatusNotModified
		if !bodiless && header.Get("Content-Length") == "" {
			h.conn.markUnfinished()
		}
	}
	h.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (h *http10Writer) Write(p []byte) (int, error) {
	h.start()
	n, err := h.ResponseWriter.Write(p)
	h.size += n
	return n, err
}

// FlushError serves [http.ResponseController].
func (h *http10Writer) FlushError() error {
	h.start()
	h.flushed = true
	return http.NewResponseController(h.ResponseWriter).Flush()
}

// Unwrap serves [http.ResponseController].
func (h *http10Writer) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *http10Writer) start() {
	if !h.wroteHeader {
		h.WriteHeader(http.StatusOK)
	}
}

// finish must be called when the handler has returned. It reports whether the whole
// response was written.
func (h *http10Writer) finish() bool {
	if h.conn.unfinished.Load() && (h.flushed || h.size > netHTTPBuffer || !h.mayAddLength) {
		if err := h.FlushError(); err != nil {
			return false
		}
	}
	h.conn.unfinished.Store(false)
	return true
}

// markUnfinished marks the connection as one whose close would look like the end of
// the response. While the mark is set, the connection can only be reset.
func (c *clientConn) markUnfinished() {
	c.unfinished.Store(true)
	if c.listener.aborting.Load() {
		c.reset()
	}
}

// resetUnfinished resets the connections that are marked as unfinished, now or later.
// It must precede the closing of all connections, because a TLS close_notify (RFC 8446
// §6.1) makes a response look complete, too.
func (l *limitListener) resetUnfinished() {
	l.aborting.Store(true)
	var marked []*clientConn
	l.mu.Lock()
	for c := range l.open {
		if c.unfinished.Load() {
			marked = append(marked, c)
		}
	}
	l.mu.Unlock()
	for _, c := range marked {
		c.reset()
	}
}
