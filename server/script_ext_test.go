package server_test

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

// script answers one request. The connection goes on to the next one unless
// the script closes it.
type script func(conn *upstreamtest.Conn)

// serveScripts runs an upstream that answers a request by the script which it
// names, and returns its URL.
func serveScripts(tb testing.TB, scripts map[string]script) string {
	tb.Helper()
	return upstreamtest.Serve(tb, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			play, ok := scripts[request.Value(scriptHeader)]
			if !ok {
				tb.Errorf("the upstream got a request without a script: %q", request.Head)
				return
			}
			play(conn)
		}
	})
}

// startFront runs the server. When the test ends, neither the key that clients
// send nor the one that the server holds may stand in its logs.
func startFront(tb testing.TB, config server.Config) *servertest.Front {
	tb.Helper()
	logged := new(lockedBuffer)
	config.Logger = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tb.Cleanup(func() {
		if strings.Contains(logged.String(), servertest.Key) || strings.Contains(logged.String(), heldKey) {
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
	jsonType   = "Content-Type: application/json"
	eventsType = "Content-Type: text/event-stream"
	htmlType   = "Content-Type: text/html; charset=utf-8"
)

// reply answers with a whole response. The fields are given without the one
// that says its length.
func reply(code int, body string, fields ...string) script {
	return func(conn *upstreamtest.Conn) {
		head := responseHead(code, append(fields, fmt.Sprint("Content-Length: ", len(body)))...)
		if code == http.StatusNoContent || code == http.StatusNotModified {
			head = responseHead(code, fields...)
		}
		conn.Send(head)
		_, _ = io.WriteString(conn, body)
	}
}

// replyCut is reply with an answer that breaks off after n bytes of its body.
func replyCut(n int, code int, body string, fields ...string) script {
	return func(conn *upstreamtest.Conn) {
		conn.Send(responseHead(code, append(fields, fmt.Sprint("Content-Length: ", len(body)))...))
		_, _ = io.WriteString(conn, body[:n])
		conn.Close()
	}
}

// stream answers with an event stream, and ends it properly. Each text is a
// chunk on the wire, whatever it holds.
func stream(texts ...string) script {
	return streamWith(nil, texts...)
}

func streamWith(fields []string, texts ...string) script {
	return func(conn *upstreamtest.Conn) {
		beginStream(conn, fields...)
		for _, text := range texts {
			conn.SendChunk(text)
		}
		closeStream(conn)
	}
}

// streamCut is stream without the end: the connection is closed instead.
func streamCut(texts ...string) script {
	return func(conn *upstreamtest.Conn) {
		beginStream(conn)
		for _, text := range texts {
			conn.SendChunk(text)
		}
		conn.Close()
	}
}

func beginStream(conn *upstreamtest.Conn, fields ...string) {
	conn.Send(responseHead(http.StatusOK, append([]string{eventsType, "Transfer-Encoding: chunked"}, fields...)...))
}

func closeStream(conn *upstreamtest.Conn) { conn.SendChunk("") }

// send answers with bytes that need not be HTTP, and closes the connection.
func send(text string) script {
	return func(conn *upstreamtest.Conn) {
		conn.Send(text)
		conn.Close()
	}
}

func responseHead(code int, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 %d %s\n", code, cmp.Or(http.StatusText(code), "Status")) + strings.Join(append(fields, "", ""), "\n")
}

// event is an event that has data.
func event(data string) string { return "data: " + data + "\n\n" }

// done is the event that ends a stream.
var done = event("[DONE]")

// chunk is an event with a piece of one choice's text.
func chunk(choice int, text string) string {
	return event(fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":%d,"delta":{"content":%q},"logprobs":null,"finish_reason":null}]}`, choice, text))
}

// finish is the event with which a choice is complete.
func finish(choice int, reason string) string {
	return event(fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":%d,"delta":{},"logprobs":null,"finish_reason":%q}]}`, choice, reason))
}

// completion is the body of a reply.
func completion(text string) string {
	return fmt.Sprintf(
		`{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-5.4-mini",`+
			`"choices":[{"index":0,"message":{"role":"assistant","content":%q,"refusal":null},"logprobs":null,"finish_reason":"stop"}]}`, text)
}

func gzipped(text string) string {
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}
