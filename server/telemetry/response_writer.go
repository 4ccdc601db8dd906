package telemetry

import (
	"bufio"
	"io"
	"net"
	"net/http"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// writer observes the response. It hides no method of the wrapped writer.
type writer struct {
	http.ResponseWriter

	observation *observation
}

// WriteHeader implements [http.ResponseWriter].
func (w *writer) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols { // the others may come from any goroutine
		w.observation.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *writer) Write(p []byte) (int, error) {
	w.observation.begin(http.StatusOK)
	n, err := w.ResponseWriter.Write(p)
	w.observation.addSent(n)
	return n, err
}

// Flush implements [http.Flusher], which Connect requires of a stream's writer.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError serves [http.ResponseController].
func (w *writer) FlushError() error {
	w.observation.begin(http.StatusOK)
	sent := w.observation.sent.Load()
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if err == nil {
		w.observation.flushed.Store(sent)
	}
	return err
}

// Hijack serves [http.ResponseController]. Bytes on the connection are counted too.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	network, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.observation.begin(http.StatusSwitchingProtocols)
	return &connection{Conn: network, observation: w.observation}, buffered, nil
}

// Unwrap serves [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// connection is a hijacked connection.
type connection struct {
	net.Conn

	observation *observation
}

// Read implements [net.Conn].
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.observation.addReceived(n)
	return n, err
}

// Write implements [net.Conn].
func (c *connection) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.observation.addSent(n)
	return n, err
}

// CloseWrite implements [httpx.HalfCloser].
func (c *connection) CloseWrite() error { return httpx.CloseWrite(c.Conn) }

// body counts the bytes of a request body.
type body struct {
	io.ReadCloser

	observation *observation
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.observation.addReceived(n)
	return n, err
}

// Stalled implements [httpx.Staller].
func (b *body) Stalled() error { return httpx.Stalled(b.ReadCloser) }

func (x *observation) addReceived(n int) {
	if n > 0 {
		x.received.Add(int64(n))
		x.protocol.received.Add(float64(n))
	}
}

func (x *observation) addSent(n int) {
	if n > 0 {
		x.sent.Add(int64(n))
		x.protocol.sent.Add(float64(n))
	}
}
