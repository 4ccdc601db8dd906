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

// ServeHTTP2 is [Serve] over TLS, of frames of HTTP/2. Script finds the client's
// preface read, and nothing sent. It returns the base URL, and the roots that vouch
// for it.
func ServeHTTP2(tb testing.TB, script func(conn *HTTP2Conn)) (url string, roots *x509.CertPool) {
	tb.Helper()
	lender := httptest.NewUnstartedServer(nil)
	lender.StartTLS()
	certificate := lender.TLS.Certificates[0]
	roots = x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	lender.Close()
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

// HTTP2Conn is a connection from a client that speaks HTTP/2. Its methods may be
// called by several goroutines; what the client doesn't take any more is dropped.
type HTTP2Conn struct {
	*tls.Conn

	// Framer reads and writes frames. To write, Do is to be used.
	Framer *http2.Framer
	// Silent has no PING answered, and Closed no window given back.
	Silent, Closed bool

	mu      sync.Mutex
	encoder *hpack.Encoder
	block   bytes.Buffer
}

// HTTP2Request is a request as it was received, with its whole body.
type HTTP2Request struct {
	Stream uint32
	Header map[string]string
	Body   string
}

// Do writes what f writes. It reports whether that worked.
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

// Each calls handle for each request when its header is there, on the goroutine that
// reads, and whole, unless nil, on a goroutine of its own, when its body is. It returns
// when the client is gone, and whole has returned.
func (c *HTTP2Conn) Each(handle func(stream uint32), whole func(HTTP2Request)) {
	var running sync.WaitGroup
	defer running.Wait()
	defer func() { _ = c.Close() }() // to tell the client
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
