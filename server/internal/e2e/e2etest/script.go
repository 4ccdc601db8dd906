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

// Script answers one request. The connection goes on to the next one unless
// the script closes it.
type Script func(conn *upstreamtest.Conn)

// ServeScripts runs an upstream that answers a request by the script which it
// names, and returns its URL.
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
				tb.Errorf("the upstream got a request without a script: %q", request.Head)
				return
			}
			play(conn)
		}
	})
}

// StartServer runs the server. When the test ends, neither the key that clients
// send nor the one that the server holds may stand in its logs.
func StartServer(tb testing.TB, config server.Config) *servertest.Front {
	tb.Helper()
	logged := new(lockedBuffer)
	config.Logger = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tb.Cleanup(func() {
		if strings.Contains(logged.String(), servertest.Key) || strings.Contains(logged.String(), UpstreamKey) {
			tb.Errorf("the log holds a key:\n%s", logged)
		}
	})
	return servertest.Start(tb, config)
}

// lockedBuffer is a buffer that several goroutines write to.
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

const (
	JSONType        = "Content-Type: application/json"
	EventStreamType = "Content-Type: text/event-stream"
	HTMLType        = "Content-Type: text/html; charset=utf-8"
)

// Reply answers with a whole response. The fields are given without the one
// that says its length.
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

// TruncatedReply is reply with an answer that breaks off after n bytes of its body.
func TruncatedReply(n int, code int, body string, fields ...string) Script {
	return func(conn *upstreamtest.Conn) {
		conn.Send(ResponseHead(code, append(fields, fmt.Sprint("Content-Length: ", len(body)))...))
		_, _ = io.WriteString(conn, body[:n])
		conn.Close()
	}
}

// Stream answers with an event stream, and ends it properly. Each text is a
// chunk on the wire, whatever it holds.
func Stream(texts ...string) Script {
	return StreamWith(nil, texts...)
}

func StreamWith(fields []string, texts ...string) Script {
	return func(conn *upstreamtest.Conn) {
		BeginStream(conn, fields...)
		for _, text := range texts {
			conn.SendChunk(text)
		}
		EndStream(conn)
	}
}

// TruncatedStream is stream without the end: the connection is closed instead.
func TruncatedStream(texts ...string) Script {
	return func(conn *upstreamtest.Conn) {
		BeginStream(conn)
		for _, text := range texts {
			conn.SendChunk(text)
		}
		conn.Close()
	}
}

func BeginStream(conn *upstreamtest.Conn, fields ...string) {
	conn.Send(ResponseHead(http.StatusOK, append([]string{EventStreamType, "Transfer-Encoding: chunked"}, fields...)...))
}

func EndStream(conn *upstreamtest.Conn) { conn.SendChunk("") }

// SendRaw answers with bytes that need not be HTTP, and closes the connection.
func SendRaw(text string) Script {
	return func(conn *upstreamtest.Conn) {
		conn.Send(text)
		conn.Close()
	}
}

func ResponseHead(code int, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\n", code, cmp.Or(http.StatusText(code), "Status")) + strings.Join(append(fields, "", ""), "\n")
}

// Event is an event that has data.
func Event(data string) string { return "data: " + data + "\n\n" }

// DoneEvent is the event that ends a stream.
var DoneEvent = Event("[DONE]")

// Chunk is an event with a piece of one choice's text.
func Chunk(choice int, text string) string {
	return Event(fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":%d,"delta":{"content":%q},"logprobs":null,"finish_reason":null}]}`, choice, text))
}

// Finish is the event with which a choice is complete.
func Finish(choice int, reason string) string {
	return Event(fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":%d,"delta":{},"logprobs":null,"finish_reason":%q}]}`, choice, reason))
}

// Completion is the body of a reply.
func Completion(text string) string {
	return fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":0,"message":{"role":"assistant","content":%q,"refusal":null},"logprobs":null,"finish_reason":"stop"}]}`, text)
}

func Gzip(text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}
