package e2etest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Script answers one request. The connection stays open for the next request
// unless the script closes it.
type Script func(conn *upstreamtest.Conn)

// ServeScripts runs an upstream and returns its URL. The upstream answers each
// request with the script named in its [ScriptHeader].
func ServeScripts(tb testing.TB, scripts map[string]Script) string {
	tb.Helper()
	return upstreamtest.Serve(tb, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			play, ok := scripts[request.Value(ScriptHeader)]
			if !ok {
				tb.Errorf("upstream received a request for an unknown script: %q", request.Head)
				return
			}
			play(conn)
		}
	})
}

// StartServer runs a server until the test ends. It then checks that the log
// contains no key.
func StartServer(tb testing.TB, config server.Config) *servertest.Front {
	tb.Helper()
	logged := new(lockedBuffer)
	config.Logger = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tb.Cleanup(func() {
		if strings.Contains(logged.String(), servertest.Key) || strings.Contains(logged.String(), UpstreamKey) {
			tb.Errorf("log contains a key:\n%s", logged)
		}
	})
	return servertest.Start(tb, config)
}

// lockedBuffer is a buffer for concurrent writers.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// Header lines for [Reply] and [StreamWith].
const (
	JSONType        = "Content-Type: application/json"
	EventStreamType = "Content-Type: text/event-stream"
	HTMLType        = "Content-Type: text/html; charset=utf-8"
)

// Reply responds with a complete response. The fields are header lines without
// Content-Length.
func Reply(code int, body string, fields ...string) Script {
	return func(conn *upstreamtest.Conn) {
		head := ResponseHead(code, append(fields, fmt.Sprint("Content-Length: ", len(body)))...)
		if code == http.StatusNoContent || code == http.StatusNotModified {
			head = ResponseHead(code, fields...)
		}
		conn.Send(head)
		_, _ = io.WriteString(conn, body)
	}
}

// TruncatedReply is [Reply] that closes the connection after n bytes of the body.
func TruncatedReply(n int, code int, body string, fields ...string) Script {
	return func(conn *upstreamtest.Conn) {
		conn.Send(ResponseHead(code, append(fields, fmt.Sprint("Content-Length: ", len(body)))...))
		_, _ = io.WriteString(conn, body[:n])
		conn.Close()
	}
}

// Stream responds with a complete event stream. Each text is one chunk of the
// transfer coding.
func Stream(texts ...string) Script {
	return StreamWith(nil, texts...)
}

// StreamWith is [Stream] with further header lines.
func StreamWith(fields []string, texts ...string) Script {
	return func(conn *upstreamtest.Conn) {
		BeginStream(conn, fields...)
		for _, text := range texts {
			conn.SendChunk(text)
		}
		EndStream(conn)
	}
}

// TruncatedStream is [Stream] that closes the connection instead of ending the
// stream.
func TruncatedStream(texts ...string) Script {
	return func(conn *upstreamtest.Conn) {
		BeginStream(conn)
		for _, text := range texts {
			conn.SendChunk(text)
		}
		conn.Close()
	}
}

// BeginStream sends the head of an event stream.
func BeginStream(conn *upstreamtest.Conn, fields ...string) {
	conn.Send(ResponseHead(http.StatusOK, append([]string{EventStreamType, "Transfer-Encoding: chunked"}, fields...)...))
}

// EndStream sends the last chunk.
func EndStream(conn *upstreamtest.Conn) { conn.SendChunk("") }

// SendRaw responds with arbitrary bytes and closes the connection.
func SendRaw(text string) Script {
	return func(conn *upstreamtest.Conn) {
		conn.Send(text)
		conn.Close()
	}
}

// ResponseHead returns a status line and header fields.
func ResponseHead(code int, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\n", code, cmp.Or(http.StatusText(code), "Status")) + strings.Join(append(fields, "", ""), "\n")
}

// Event returns an event with data.
func Event(data string) string { return "data: " + data + "\n\n" }

// DoneEvent ends a stream.
var DoneEvent = Event("[DONE]")

// Chunk returns an event with a text delta of one choice.
func Chunk(choice int, text string) string {
	return Event(fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":%d,"delta":{"content":%q},"logprobs":null,"finish_reason":null}]}`, choice, text))
}

// Finish returns the event that finishes one choice.
func Finish(choice int, reason string) string {
	return Event(fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":%d,"delta":{},"logprobs":null,"finish_reason":%q}]}`, choice, reason))
}

// Completion returns the body of a unary response.
func Completion(text string) string {
	return fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":0,"message":{"role":"assistant","content":%q,"refusal":null},"logprobs":null,"finish_reason":"stop"}]}`, text)
}

// Gzip returns text, compressed.
func Gzip(text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}
