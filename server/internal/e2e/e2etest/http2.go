package e2etest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// HTTP2Conn is an HTTP/2 client connection that writes single frames, so that it
// can send what no library would.
type HTTP2Conn struct {
	*http2.Framer

	Conn    net.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// DialHTTP2 connects to the server over HTTP/2 with prior knowledge and sends
// settings.
func DialHTTP2(tb testing.TB, front *servertest.Front, settings ...http2.Setting) *HTTP2Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", front.Address)
	if err != nil {
		tb.Fatal(err)
	}
	return NewHTTP2Conn(tb, conn, settings...)
}

// NewHTTP2Conn starts HTTP/2 on a connection. The connection is closed when the
// test ends.
func NewHTTP2Conn(tb testing.TB, conn net.Conn, settings ...http2.Setting) *HTTP2Conn {
	tb.Helper()
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(Timeout)); err != nil {
		tb.Fatal(err)
	}
	f := &HTTP2Conn{Framer: http2.NewFramer(conn, conn), Conn: conn}
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.encoder = hpack.NewEncoder(&f.block)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		tb.Fatal(err)
	}
	if err := f.WriteSettings(settings...); err != nil {
		tb.Fatal(err)
	}
	return f
}

// HeaderField is a field or pseudo-header field of a header section.
type HeaderField = hpack.HeaderField

// RequestFields returns the pseudo-header fields of a request, followed by fields.
func RequestFields(method, path string, fields ...HeaderField) []HeaderField {
	return append([]HeaderField{
		{Name: ":method", Value: method},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "x"},
		{Name: ":path", Value: path},
	}, fields...)
}

// Encode returns fields as a header block.
func (f *HTTP2Conn) Encode(fields []HeaderField) []byte {
	f.block.Reset()
	for _, field := range fields {
		_ = f.encoder.WriteField(field) // writes to a buffer
	}
	return f.block.Bytes()
}

// Send sends a request on a stream.
func (f *HTTP2Conn) Send(stream uint32, fields []HeaderField, body ...string) error {
	err := f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: f.Encode(fields), EndStream: len(body) == 0, EndHeaders: true,
	})
	for i, piece := range body {
		err = errors.Join(err, f.WriteData(stream, i == len(body)-1, []byte(piece)))
	}
	return err
}

// Outcome reads until the outcome of a stream is known. It returns the status,
// "reset" for a reset stream, or "closed" for a closed connection.
func (f *HTTP2Conn) Outcome(stream uint32) string {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				return frame.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return "reset"
			}
		case *http2.GoAwayFrame:
			return "closed"
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		}
	}
}

// HTTP2Streams records the frames that a client received, by stream.
type HTTP2Streams struct {
	Status map[uint32]string
	Ended  map[uint32]bool
	Reset  map[uint32]bool
}

// WatchUntil reads frames and records them in s until done returns true. The
// subject describes the awaited frames.
func (f *HTTP2Conn) WatchUntil(t *testing.T, subject string, s *HTTP2Streams, done func() bool) {
	t.Helper()
	if s.Status == nil {
		s.Status, s.Ended, s.Reset = make(map[uint32]string), make(map[uint32]bool), make(map[uint32]bool)
	}
	for !done() {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("waiting for %s after %d headers, %d ends, and %d resets: %v", subject, len(s.Status), len(s.Ended), len(s.Reset), err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := frame.PseudoValue("status"); status != "" {
				s.Status[frame.StreamID] = status
			}
			if frame.StreamEnded() {
				s.Ended[frame.StreamID] = true
			}
		case *http2.DataFrame:
			if frame.StreamEnded() {
				s.Ended[frame.StreamID] = true
			}
		case *http2.RSTStreamFrame:
			s.Reset[frame.StreamID] = true
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		}
	}
}
