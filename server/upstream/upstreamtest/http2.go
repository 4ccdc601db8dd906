package upstreamtest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// ServeHTTP2 is [Serve] for HTTP/2 frames over TLS. When script is called, the client's
// preface has been read and nothing has been sent. It returns the base URL and the roots
// for its certificate.
func ServeHTTP2(tb testing.TB, script func(conn *HTTP2Conn)) (url string, roots *x509.CertPool) {
	tb.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	certificate := server.TLS.Certificates[0]
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	server.Close()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	url = Serve(tb, func(raw *Conn) {
		secured := tls.Server(raw.Conn, config)
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(secured, preface); err != nil {
			return
		}
		conn := &HTTP2Conn{Conn: secured, Framer: http2.NewFramer(secured, secured)}
		conn.Framer.AllowIllegalWrites = true
		conn.encoder = hpack.NewEncoder(&conn.block)
		conn.encoder.SetMaxDynamicTableSize(0)
		script(conn)
	})
	return strings.Replace(url, "http:", "https:", 1), roots
}

// HTTP2Conn is an HTTP/2 connection from a client. Its methods are safe for concurrent use.
// Write errors are ignored.
type HTTP2Conn struct {
	*tls.Conn

	// Framer reads and writes frames. Use Do to write.
	Framer *http2.Framer
	// Silent disables replies to PING, Closed disables window updates.
	Silent, Closed bool

	mu      sync.Mutex
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// HTTP2Request is a received request with its complete body.
type HTTP2Request struct {
	Stream uint32
	Header map[string]string
	Body   string
}

// Do calls f with the framer, and reports whether it succeeded.
func (c *HTTP2Conn) Do(f func(*http2.Framer) error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f(c.Framer) == nil
}

// Block encodes fields, given as names and values.
func (c *HTTP2Conn) Block(fields ...string) []byte {
	c.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(c.block.Bytes())
}

// Fields writes a HEADERS frame with fields, given as names and values.
func (c *HTTP2Conn) Fields(stream uint32, end bool, fields ...string) bool {
	return c.Do(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.Block(fields...), EndHeaders: true, EndStream: end})
	})
}

// Data writes a DATA frame.
func (c *HTTP2Conn) Data(stream uint32, end bool, data string) bool {
	return c.Do(func(f *http2.Framer) error { return f.WriteData(stream, end, []byte(data)) })
}

// Each calls handle, unless nil, on the reading goroutine for each request header, and
// whole, unless nil, on a new goroutine for each complete request. It returns when the
// client has disconnected and all calls have returned.
func (c *HTTP2Conn) Each(handle func(stream uint32), whole func(HTTP2Request)) {
	var running sync.WaitGroup
	defer running.Wait()
	defer func() { _ = c.Close() }() // so that the client notices
	decoder := hpack.NewDecoder(4096, nil)
	open := make(map[uint32]*HTTP2Request)
	ended := func(stream uint32) {
		if request := open[stream]; request != nil && whole != nil {
			running.Go(func() { whole(*request) })
		}
		delete(open, stream)
	}
	for {
		frame, err := c.Framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				c.Do((*http2.Framer).WriteSettingsAck)
			}
		case *http2.PingFrame:
			if !frame.IsAck() && !c.Silent {
				data := frame.Data
				c.Do(func(f *http2.Framer) error { return f.WritePing(true, data) })
			}
		case *http2.HeadersFrame:
			fields, err := decoder.DecodeFull(frame.HeaderBlockFragment())
			if err != nil || !frame.HeadersEnded() {
				return
			}
			stream := frame.StreamID
			if open[stream] == nil {
				request := &HTTP2Request{Stream: stream, Header: make(map[string]string)}
				for _, field := range fields {
					request.Header[field.Name] = field.Value
				}
				open[stream] = request
				if handle != nil {
					handle(stream)
				}
			}
			if frame.StreamEnded() {
				ended(stream)
			}
		case *http2.DataFrame:
			if request := open[frame.StreamID]; request != nil {
				request.Body += string(frame.Data())
			}
			if n, stream := frame.Length, frame.StreamID; n > 0 && !c.Closed {
				c.Do(func(f *http2.Framer) error {
					_ = f.WriteWindowUpdate(0, n)
					return f.WriteWindowUpdate(stream, n)
				})
			}
			if frame.StreamEnded() {
				ended(frame.StreamID)
			}
		case *http2.RSTStreamFrame:
			delete(open, frame.StreamID)
		}
	}
}
