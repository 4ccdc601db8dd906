package smuggling_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Requests that no library sends, written frame by frame.
func TestSSRF_HTTP2(t *testing.T) {
	t.Parallel()
	request := func(authority, path string, more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "http", ":authority", authority, ":path", path}, more...)
	}
	call := func(path string, more ...string) []string {
		return append([]string{
			":method", "POST", ":scheme", "http", ":authority", "ELSEWHERE", ":path", path,
			"content-type", "application/grpc",
		}, more...)
	}
	for _, row := range []struct {
		name   string
		fields []string // names and values
		target string   // as in detour
	}{
		{"a foreign authority", request("ELSEWHERE", "/v1/models"), "/v1/models"},
		{"an authority with a user", request("me:secret@ELSEWHERE", "/v1/models"), ""},
		{"an authority that is a URL", request("http://ELSEWHERE/", "/v1/models"), "/v1/models"},
		{"an empty authority", request("", "/v1/models", "host", "ELSEWHERE"), "/v1/models"},
		{"an authority and another host", request("x", "/v1/models", "host", "ELSEWHERE"), "/v1/models"},
		{"no authority", []string{":method", "GET", ":scheme", "http", ":path", "/v1/models", "host", "ELSEWHERE"}, "/v1/models"},
		{"another scheme", []string{":method", "GET", ":scheme", "ftp", ":authority", "ELSEWHERE", ":path", "/v1/models"}, ""},
		{"a scheme with a host", []string{":method", "GET", ":scheme", "http://ELSEWHERE/?", ":authority", "x", ":path", "/v1/models"}, ""},
		{"the scheme https", []string{":method", "GET", ":scheme", "https", ":authority", "ELSEWHERE", ":path", "/v1/models"}, "/v1/models"},
		{"an absolute path", request("x", "http://ELSEWHERE/v1/models"), "/v1/models"},
		{"an absolute path with a user", request("x", "http://UPSTREAM@ELSEWHERE/v1/models"), "/v1/models"},
		{"an absolute path of ws", request("x", "ws://ELSEWHERE/v1/models"), ""},
		{"a path without a slash", request("x", "ELSEWHERE/v1/models"), ""},
		{"a path that begins with an at sign", request("x", "@ELSEWHERE/v1/models"), ""},
		{"a path that begins with backslashes", request("x", `\\ELSEWHERE\v1`), ""},
		{"an empty path", request("x", ""), ""},
		{"two slashes", request("x", "//ELSEWHERE/v1/models"), "//ELSEWHERE/v1/models"},
		{"encoded dots", request("x", "/v1/%2e%2e//ELSEWHERE/"), "/v1/%2e%2e//ELSEWHERE/"},
		{"a space and a version in the path", request("x", "/v1/models HTTP/1.1"), ""},
		{"a line in the path", request("x", "/v1/models\r\nhost: ELSEWHERE"), ""},
		{"a line in the authority", request("x\r\nhost: ELSEWHERE", "/v1/models"), ""},
		{"two authorities", request("x", "/v1/models", ":authority", "ELSEWHERE"), ""},
		{"two paths", request("x", "/v1/models", ":path", "http://ELSEWHERE/"), ""},
		{"an authority after the fields", []string{":method", "GET", ":scheme", "http", ":path", "/v1/models", "a", "b", ":authority", "ELSEWHERE"}, ""},
		{"forwarding fields of a proxy", request("x", "/v1/models", "x-forwarded-host", "ELSEWHERE", "forwarded", "host=ELSEWHERE"), "/v1/models"},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "ELSEWHERE"}, ""},
		{"CONNECT with a path", []string{":method", "CONNECT", ":scheme", "http", ":authority", "ELSEWHERE", ":path", "/v1/models"}, ""},
		{"CONNECT for a WebSocket", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "ELSEWHERE", ":path", "/v1/realtime"}, ""},
		{"a WebSocket in HTTP/1.1 style", request("ELSEWHERE", "/v1/realtime", "connection", "upgrade", "upgrade", "websocket"), ""},
		{"an RPC of a foreign authority", call(e2etest.CreateProcedure), "/v1/chat/completions"},
		{"an RPC with metadata of proxies", call(e2etest.CreateProcedure, "x-forwarded-host", "ELSEWHERE", "forwarded", "host=ELSEWHERE", "x-host", "ELSEWHERE"), "/v1/chat/completions"},
		{"an RPC with another host in its metadata", call(e2etest.CreateProcedure, "host", "ELSEWHERE"), "/v1/chat/completions"},
		{"an RPC of an absolute path", call("http://ELSEWHERE" + e2etest.CreateProcedure), "/v1/chat/completions"},
		{"an RPC of two slashes", call("/" + e2etest.CreateProcedure), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			out := startWatchedServer(t)
			fields := make([]string, len(row.fields))
			for i, text := range row.fields {
				fields[i] = out.in(text)
			}
			sendHTTP2(t, out.front, fields)
			out.check(t, row.target)
		})
	}
}

// sendHTTP2 sends a request with these fields, and a message if it is a call. It
// returns when the request is answered or rejected.
func sendHTTP2(t *testing.T, front *servertest.Front, fields []string) {
	t.Helper()
	conn := e2etest.DialRaw(t, front)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn.Reader)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	isCall := false
	for i := 0; i < len(fields); i += 2 {
		isCall = isCall || strings.HasPrefix(fields[i+1], "application/grpc")
		if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(framer.WriteSettings(), framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: block.Bytes(), EndStream: !isCall, EndHeaders: true,
	}))
	if isCall {
		message, encodeErr := proto.Marshal(e2etest.Hello())
		err = errors.Join(err, encodeErr, framer.WriteData(1, true, e2etest.Envelope(0, message)))
	}
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return // The connection is closed.
		}
		header := frame.Header()
		ends := header.StreamID == 1 && header.Flags.Has(http2.FlagDataEndStream) && (header.Type == http2.FrameData || header.Type == http2.FrameHeaders)
		if ends || header.Type == http2.FrameRSTStream || header.Type == http2.FrameGoAway {
			return
		}
	}
}
