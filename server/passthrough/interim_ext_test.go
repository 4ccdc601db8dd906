package passthrough_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// hints returns interim responses with many headers, which take some time to encode.
func hints(responses, fields int) string {
	var hint strings.Builder
	hint.WriteString("HTTP/1.1 103 Early Hints\r\n")
	for i := range fields {
		fmt.Fprintf(&hint, "X-Hint-%d: %d\r\n", i, i)
	}
	hint.WriteString("\r\n")
	return strings.Repeat(hint.String(), responses)
}

// An HTTP/2 client may cancel its request at any moment while interim responses are being
// sent. net/http then returns from WriteHeader while it still encodes the header. A
// concurrent change of the map would end the process.
func TestInterim_SurvivesCanceledRequests(t *testing.T) {
	t.Parallel()
	const (
		connections = 4
		streams     = 50
	)
	answer := hints(20, 200) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
	address := forward(t, url)
	var clients sync.WaitGroup
	for client := range connections {
		clients.Go(func() {
			if err := cancelDuringHints(address, streams, client); err != nil {
				t.Errorf("the connection ended: %v", err)
			}
		})
	}
	clients.Wait()
	resp, err := newHTTP2Client(t).Get("http://" + address + "/v1/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "ok" || resp.Header["X-Hint-0"] != nil {
		t.Errorf("next request: got %q %q, %v", resp.Header, body, err)
	}
}

// cancelDuringHints sends requests over one connection, and resets each after the first few
// interim responses.
func cancelDuringHints(address string, streams, seed int) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	framer := http2.NewFramer(conn, conn)
	_, first := io.WriteString(conn, http2.ClientPreface)
	if err := errors.Join(conn.SetDeadline(time.Now().Add(3*patience)), first, framer.WriteSettings()); err != nil {
		return err
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := range streams {
		block.Reset()
		for _, name := range [...][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/v1/x"}} {
			_ = encoder.WriteField(hpack.HeaderField{Name: name[0], Value: name[1]}) // to a buffer
		}
		id := uint32(2*i + 1)
		if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			return err
		}
		for wait := 1 + (i+seed)%5; wait > 0; {
			frame, err := framer.ReadFrame()
			if err != nil {
				return err
			}
			if _, ok := frame.(*http2.HeadersFrame); ok && frame.Header().StreamID == id {
				wait--
			}
		}
		if err := framer.WriteRSTStream(id, http2.ErrCodeCancel); err != nil {
			return err
		}
	}
	return nil
}

// An interim response has only the upstream's headers. They don't change the headers of the
// final response, such as "Connection: close".
func TestInterim_DoesNotChangeTheFinalHeader(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			conn.Send("HTTP/1.1 103 Early Hints\nLink: </a>\nX-Before: hint\nConnection: x-hop\nX-Hop: 1\nContent-Length: 7\n\n" +
				"HTTP/1.1 103 Early Hints\nLink: </b>\n\n" +
				"HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
		}
	})
	up, err := upstream.New(upstream.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.CloseIdleConnections)
	forwarding := passthrough.New(up, noOptions)
	address := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("X-Before", "server")
		forwarding.ServeHTTP(w, r)
	}))
	t.Run("over HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		client := connect(t, address)
		client.Send("GET /v1/x HTTP/1.1\nHost: x\n\n")
		var heads []string
		for range 3 {
			head, err := client.ReadHead()
			if err != nil {
				t.Fatal(err)
			}
			heads = append(heads, head.Line+": "+strings.Join(fieldsOf(head.Fields, "via"), "; "))
		}
		want := []string{
			"HTTP/1.1 103 Early Hints: link: </a>; x-before: hint",
			"HTTP/1.1 103 Early Hints: link: </b>",
			"HTTP/1.1 200 OK: connection: close; content-length: 2; x-before: server",
		}
		if got := strings.Join(heads, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	})
	t.Run("over HTTP/2", func(t *testing.T) {
		t.Parallel()
		heads, goAway, err := headersOverHTTP2(address)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			":status: 103; link: </a>; x-before: hint",
			":status: 103; link: </b>",
			":status: 200; content-length: 2; x-before: server",
		}
		if got := strings.Join(heads, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		if !goAway {
			t.Error("the response does not announce the end of the connection")
		}
	})
}

// headersOverHTTP2 sends a request, and returns the header sections and whether GOAWAY was
// received.
func headersOverHTTP2(address string) (heads []string, goAway bool, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, name := range [...][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/v1/x"}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: name[0], Value: name[1]}) // to a buffer
	}
	_, first := io.WriteString(conn, http2.ClientPreface)
	err = errors.Join(conn.SetDeadline(time.Now().Add(patience)), first, framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true,
	}))
	for ended := false; err == nil && (!ended || !goAway); {
		var frame http2.Frame
		switch frame, err = framer.ReadFrame(); frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			fields := make([]string, len(frame.Fields))
			for i, field := range frame.Fields {
				fields[i] = field.Name + ": " + field.Value
			}
			status, rest := fields[0], fieldsOf(fields[1:], "via")
			heads = append(heads, strings.Join(append([]string{status}, rest...), "; "))
			ended = ended || frame.StreamEnded()
		case *http2.DataFrame:
			ended = ended || frame.StreamEnded()
		case *http2.GoAwayFrame:
			goAway = true
		}
	}
	return heads, goAway, err
}
