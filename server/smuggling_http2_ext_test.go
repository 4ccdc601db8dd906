package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// framed is a client that speaks HTTP/2 frame by frame, so that it can say what
// no library would.
type framed struct {
	*http2.Framer

	conn    net.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// dialFramed connects to the server by HTTP/2 with prior knowledge, and tells its
// settings.
func dialFramed(tb testing.TB, front *servertest.Front, settings ...http2.Setting) *framed {
	tb.Helper()
	conn, err := net.Dial("tcp", front.Address)
	if err != nil {
		tb.Fatal(err)
	}
	return converse(tb, conn, settings...)
}

// converse begins HTTP/2 on a connection, which is closed when the test ends.
func converse(tb testing.TB, conn net.Conn, settings ...http2.Setting) *framed {
	tb.Helper()
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	f := &framed{Framer: http2.NewFramer(conn, conn), conn: conn}
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

// field is a field, or a pseudo-header field, of a header section.
type field = hpack.HeaderField

// pseudo are the pseudo-header fields of a request, and the fields behind them.
func pseudo(method, path string, fields ...field) []field {
	return append([]field{
		{Name: ":method", Value: method},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "x"},
		{Name: ":path", Value: path},
	}, fields...)
}

// encode returns the header block of fields.
func (f *framed) encode(fields []field) []byte {
	f.block.Reset()
	for _, field := range fields {
		_ = f.encoder.WriteField(field) // to a buffer
	}
	return f.block.Bytes()
}

// send sends a request on a stream.
func (f *framed) send(stream uint32, fields []field, body ...string) error {
	err := f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: f.encode(fields), EndStream: len(body) == 0, EndHeaders: true,
	})
	for i, piece := range body {
		err = errors.Join(err, f.WriteData(stream, i == len(body)-1, []byte(piece)))
	}
	return err
}

// outcome reads until something is known of the stream: its status, or "reset",
// or that the connection was "closed".
func (f *framed) outcome(stream uint32) string {
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

// What can be said in HTTP/2 and would mean something else in HTTP/1.1, to which
// it is translated, is refused.
func TestNoRequestIsSmuggledFromHTTP2(t *testing.T) {
	t.Parallel()
	with := func(fields ...field) []field { return pseudo("POST", "/v1/x", fields...) }
	split := "x\r\n" + smuggled + ": y"
	type row struct {
		name   string
		fields []field
		body   []string
		// bodies are of the requests that the upstream gets: none if the request
		// is refused.
		bodies []string
	}
	rows := []row{
		{"a line end in the path", pseudo("GET", "/v1/x HTTP/1.1\r\n"+smuggled+": y\r\n\r\n"), nil, nil},
		{"a space in the path", pseudo("GET", "/v1/x "+smuggled), nil, nil},
		{"a path that is a relative one", pseudo("GET", smuggled), nil, nil},
		{"a line end in the method", pseudo("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", "/v1/x"), nil, nil},
		{"a space in the method", pseudo("GET /v1/"+smuggled, "/v1/x"), nil, nil},
		{"an empty path", pseudo("GET", ""), nil, nil},
		{"an empty method", pseudo("", "/v1/x"), nil, nil},
		{"a line end in the authority", []field{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":authority", Value: split}, {Name: ":path", Value: "/v1/x"}}, nil, nil},
		{"another scheme", []field{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http://x/\r\n"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: "/v1/x"}}, nil, nil},
		{"two paths", with(field{Name: ":path", Value: "/v1/" + smuggled}), nil, nil},
		{"two methods", with(field{Name: ":method", Value: "GET"}), nil, nil},
		{"a pseudo-header field behind a field", with(field{Name: "a", Value: "b"}, field{Name: ":authority", Value: "y"}), nil, nil},
		{"a pseudo-header field that there is not", with(field{Name: ":" + smuggled, Value: "y"}), nil, nil},
		{"a status", with(field{Name: ":status", Value: "200"}), nil, nil},
		{"a protocol without a use for it", with(field{Name: ":protocol", Value: "websocket"}), nil, nil},
		{"CONNECT", []field{{Name: ":method", Value: "CONNECT"}, {Name: ":authority", Value: "evil.example:443"}}, nil, nil},

		{"a line end in a value", with(field{Name: "a", Value: split}), nil, nil},
		{"a bare LF in a value", with(field{Name: "a", Value: "x\n" + smuggled + ": y"}), nil, nil},
		{"a bare CR in a value", with(field{Name: "a", Value: "x\r" + smuggled + ": y"}), nil, nil},
		{"a NUL in a value", with(field{Name: "a", Value: "x\x00"}), nil, nil},
		{"a line end in a name", with(field{Name: "a\r\n" + smuggled, Value: "y"}), nil, nil},
		{"a colon in a name", with(field{Name: smuggled + ": y", Value: "z"}), nil, nil},
		{"a space in a name", with(field{Name: "transfer-encoding ", Value: "chunked"}), nil, nil},
		{"an empty name", with(field{Name: "", Value: "y"}), nil, nil},
		{"capitals in a name", with(field{Name: "Transfer-Encoding", Value: "chunked"}), nil, nil},

		{"a coding", with(field{Name: "transfer-encoding", Value: "chunked"}), []string{"0\r\n\r\n" + next}, nil},
		{"a connection", with(field{Name: "connection", Value: "content-length"}), []string{"hello"}, nil},
		{"keep-alive", with(field{Name: "keep-alive", Value: "timeout=5"}), nil, nil},
		{"a proxy's connection", with(field{Name: "proxy-connection", Value: "keep-alive"}), nil, nil},
		{"an upgrade", with(field{Name: "upgrade", Value: "h2c"}), nil, nil},
		{"te with more than trailers", with(field{Name: "te", Value: "chunked"}), nil, nil},

		{"a length above that of the body", with(field{Name: "content-length", Value: "9"}), []string{"hello"}, nil},
		{"a length below that of the body", with(field{Name: "content-length", Value: "2"}), []string{next}, nil},
		{"a length of zero and a body", with(field{Name: "content-length", Value: "0"}), []string{next}, nil},
		{"a length and no body", with(field{Name: "content-length", Value: "5"}), nil, nil},
		{"two lengths", with(field{Name: "content-length", Value: "5"}, field{Name: "content-length", Value: "0"}), []string{"hello"}, nil},

		{"te with trailers", with(field{Name: "te", Value: "trailers"}), []string{"hello"}, []string{"hello"}},
		{"a host that differs from the authority", with(field{Name: "host", Value: "evil.example"}), []string{"hello"}, []string{"hello"}},
		{"a body that looks like a request", with(), []string{next}, []string{next}},
		{"a body in pieces that look like chunks", with(), []string{"0\r\n\r\n", next}, []string{"0\r\n\r\n" + next}},
	}
	for _, length := range []string{"+5", "-5", "5, 5", "0x5", " ", "", "18446744073709551621", "5\r\nx: y"} {
		rows = append(rows, row{fmt.Sprintf("the length %q", length), with(field{Name: "content-length", Value: length}), []string{"hello"}, nil})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			upstream := startWitness(t)
			front := servertest.Start(t, server.Config{Upstream: upstream.url})
			client := dialFramed(t, front)
			if err := client.send(1, row.fields, row.body...); err != nil {
				t.Fatal(err)
			}
			outcome := client.outcome(1)
			if outcome != "closed" { // and if so, its place is kept
				if err := client.send(3, pseudo("GET", lastTarget)); err != nil {
					t.Fatal(err)
				}
				got := client.outcome(3)
				if refused := row.bodies == nil && got == "closed"; got != "200" && !refused {
					t.Errorf("the next request's outcome is %s", got)
				}
			}
			var bodies []string
			for _, request := range upstream.take() {
				if request.Target() == lastTarget {
					continue
				}
				if strings.Contains(request.Value("Host"), "evil") {
					t.Errorf("the host is %s", request.Value("Host"))
				}
				bodies = append(bodies, request.Body)
			}
			if !slices.Equal(bodies, row.bodies) {
				t.Errorf("the upstream got requests with the bodies %q, and not %q; the outcome is %s", bodies, row.bodies, outcome)
			}
			if (outcome == "200") != (row.bodies != nil) {
				t.Errorf("the outcome is %s", outcome)
			}
		})
	}
}
