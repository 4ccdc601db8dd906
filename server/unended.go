package server

import (
	"net/http"
)

// lengthKnown is up to how many bytes of an answer net/http holds back until the
// handler has returned, to state its length.
const lengthKnown = 2048

// resetUnended returns a handler whose answers over HTTP/1.0 never look finished
// when they are not. Such an answer has no chunks. Without a length, its end is the
// end of the connection (RFC 9112 §6.3), so one that breaks off has to end by a
// reset.
func resetUnended(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connectionKey{}).(*connection)
		if !ok || r.ProtoAtLeast(1, 1) {
			next.ServeHTTP(w, r)
			return
		}
		answer := &unendedAnswer{ResponseWriter: w, conn: c, hasNoBody: r.Method == http.MethodHead}
		whole := false
		defer func() {
			if !whole && c.unended.Load() {
				c.reset()
			}
		}()
		next.ServeHTTP(answer, r)
		whole = answer.finish()
	})
}

// unendedAnswer writes an answer over HTTP/1.0. Its connection is marked while the
// answer would be taken for a whole one if the connection ended.
type unendedAnswer struct {
	http.ResponseWriter

	conn      *connection
	hasNoBody bool
	begun     bool
	mayState  bool // net/http states the length of an answer that is short
	flushed   bool
	size      int
}

// WriteHeader implements [http.ResponseWriter].
func (a *unendedAnswer) WriteHeader(status int) {
	if status >= http.StatusOK && !a.begun {
		a.begun = true
		header := a.Header()
		_, decided := header["Content-Length"]
		a.mayState = !decided
		bodiless := a.hasNoBody || status == http.StatusNoContent || status == http.StatusNotModified
		if !bodiless && header.Get("Content-Length") == "" {
			a.conn.beginUnended()
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *unendedAnswer) Write(p []byte) (int, error) {
	a.begin()
	n, err := a.ResponseWriter.Write(p)
	a.size += n
	return n, err
}

// FlushError serves [http.ResponseController].
func (a *unendedAnswer) FlushError() error {
	a.begin()
	a.flushed = true
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap serves [http.ResponseController].
func (a *unendedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *unendedAnswer) begin() {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
}

// finish is called when the handler has returned. It reports whether all of the
// answer was written.
func (a *unendedAnswer) finish() bool {
	if a.conn.unended.Load() && (a.flushed || a.size > lengthKnown || !a.mayState) {
		if err := a.FlushError(); err != nil {
			return false
		}
	}
	a.conn.unended.Store(false)
	return true
}

// beginUnended marks a connection whose end would be taken for the end of an
// answer. Until the mark is taken off, the connection can only be reset.
func (c *connection) beginUnended() {
	c.unended.Store(true)
	if c.listener.cutting.Load() {
		c.reset()
	}
}

// cutUnended resets the connections that are marked, now or later. It
// precedes the closing of all connections, where TLS would say goodbye (RFC 8446
// §6.1), which makes an answer look finished too.
func (l *connections) cutUnended() {
	l.cutting.Store(true)
	var marked []*connection
	l.mu.Lock()
	for c := range l.open {
		if c.unended.Load() {
			marked = append(marked, c)
		}
	}
	l.mu.Unlock()
	for _, c := range marked {
		c.reset()
	}
}
