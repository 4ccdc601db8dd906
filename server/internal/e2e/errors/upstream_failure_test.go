package errors_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A call to an upstream that closes the connection early fails with unavailable.
// The error reports how many events preceded it.
func TestUpstreamFailure_TruncatedResponse(t *testing.T) {
	t.Parallel()
	aborted := func(conn *upstreamtest.Conn) {
		_ = conn.Conn.(*net.TCPConn).SetLinger(0) // Close sends a reset.
		conn.Close()
	}
	begin := func(texts ...string) e2etest.Script {
		return func(conn *upstreamtest.Conn) {
			e2etest.BeginStream(conn, "X-Request-Id: req_1")
			for _, text := range texts {
				conn.SendChunk(text)
			}
		}
	}
	then := func(scripts ...e2etest.Script) e2etest.Script {
		return func(conn *upstreamtest.Conn) {
			for _, play := range scripts {
				play(conn)
			}
		}
	}
	closed := func(conn *upstreamtest.Conn) { conn.Close() }
	cut := func(events string) *restv1.Error {
		return &restv1.Error{
			Message: "the upstream's stream ended after " + events + ": upstream " + e2etest.UpstreamHost + ": response cut short: unexpected EOF",
			Type:    "upstream_error", HttpStatus: 200, RequestId: "req_1",
		}
	}
	body := e2etest.Completion("Hello!")
	e2etest.CheckFailures(t, server.Config{}, []e2etest.FailureCase{
		{
			Name:     "before the headers",
			Script:   closed,
			Code:     connect.CodeUnavailable,
			Contains: []string{"connection closed before response headers"},
		},
		{
			Name:     "before the headers, with a reset",
			Script:   aborted,
			Code:     connect.CodeUnavailable,
			Contains: []string{"connection closed before response headers"},
		},
		{
			Name:     "in the headers",
			Script:   e2etest.SendRaw("HTTP/1.1 200 OK\nContent-Type: text/ev"),
			Code:     connect.CodeUnavailable,
			Contains: []string{"connection closed before response headers"},
		},
		{
			Name:    "after the headers of a unary response",
			Script:  e2etest.TruncatedReply(0, 200, body, e2etest.JSONType, "X-Request-Id: req_1"),
			Methods: []string{e2etest.UnaryMethod},
			Code:    connect.CodeUnavailable,
			Detail: &restv1.Error{
				Message: "upstream " + e2etest.UpstreamHost + ": response cut short: unexpected EOF",
				Type:    "upstream_error", HttpStatus: 200, RequestId: "req_1",
			},
		},
		{
			Name:     "in a unary response",
			Script:   e2etest.TruncatedReply(len(body)-1, 200, body, e2etest.JSONType),
			Methods:  []string{e2etest.UnaryMethod},
			Code:     connect.CodeUnavailable,
			Contains: []string{"response cut short"},
		},
		{
			Name: "in a chunked unary response, after its JSON",
			Script: then(func(conn *upstreamtest.Conn) {
				conn.Send(e2etest.ResponseHead(200, e2etest.JSONType, "Transfer-Encoding: chunked"))
				conn.SendChunk(body)
			}, closed),
			Methods:  []string{e2etest.UnaryMethod},
			Code:     connect.CodeUnavailable,
			Contains: []string{"response cut short"},
		},
		{
			Name:     "in a unary response to a streaming call",
			Script:   e2etest.TruncatedReply(0, 200, body, e2etest.JSONType),
			Methods:  []string{e2etest.StreamMethod},
			Code:     connect.CodeUnavailable,
			Contains: []string{"response cut short"},
		},
		{
			Name:    "after the headers of a stream",
			Script:  then(begin(), closed),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeUnavailable,
			Detail:  cut("0 events"),
		},
		{
			Name:     "after the headers of a stream without a content type",
			Script:   e2etest.TruncatedReply(0, 200, body),
			Code:     connect.CodeUnavailable,
			Contains: []string{"response cut short"},
		},
		{
			Name:    "after an event",
			Script:  then(begin(e2etest.Chunk(0, "a")), closed),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeUnavailable,
			Detail:  cut("1 event"),
			Chunks:  1,
		},
		{
			Name:    "after several events in one write",
			Script:  then(begin(e2etest.Chunk(0, "a")+e2etest.Chunk(0, "b")+e2etest.Chunk(0, "c")), closed),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeUnavailable,
			Detail:  cut("3 events"),
			Chunks:  3,
		},
		{
			Name:    "with a reset",
			Script:  then(begin(e2etest.Chunk(0, "a")), aborted),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeUnavailable,
			Chunks:  e2etest.AnyNumber, // a reset discards data in flight
		},
		{
			Name:    "in an event",
			Script:  then(begin(e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b")[:40]), closed),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeUnavailable,
			Detail:  cut("1 event"),
			Chunks:  1,
		},
		{
			Name:    "between the two line ends of an event",
			Script:  then(begin(e2etest.Chunk(0, "a"), strings.TrimSuffix(e2etest.Chunk(0, "b"), "\n")), closed),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeUnavailable,
			Detail:  cut("1 event"),
			Chunks:  1,
		},
		{
			Name:    "after finish_reason, before [DONE] and the end of the body",
			Script:  then(begin(e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop")), closed),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeUnavailable,
			Detail:  cut("2 events"),
			Chunks:  2,
		},
		{
			Name:     "in a chunk of the transfer encoding",
			Script:   then(begin(e2etest.Chunk(0, "a")), func(conn *upstreamtest.Conn) { conn.Send("100\n" + e2etest.Chunk(0, "b")) }, closed),
			Methods:  []string{e2etest.StreamMethod},
			Code:     connect.CodeUnavailable,
			Chunks:   e2etest.AnyNumber,
			Contains: []string{"response cut short"},
		},
	})
}

// Responses that are invalid HTTP or contain invalid events.
func TestUpstreamFailure_InvalidResponse(t *testing.T) {
	t.Parallel()
	e2etest.CheckFailures(t, server.Config{}, []e2etest.FailureCase{
		{
			Name:     "not HTTP",
			Script:   e2etest.SendRaw("SSH-2.0-OpenSSH_9.9\n"),
			Code:     connect.CodeInternal,
			Contains: []string{"invalid HTTP response"},
		},
		{
			Name: "headers over the limit",
			Script: func(conn *upstreamtest.Conn) {
				conn.Send(e2etest.ResponseHead(200, e2etest.JSONType, "X-Large: "+strings.Repeat("x", 2<<20)))
				conn.Close()
			},
			Code:     connect.CodeInternal,
			Contains: []string{"response headers are too large"},
		},
		{
			Name: "invalid chunks",
			Script: func(conn *upstreamtest.Conn) {
				e2etest.BeginStream(conn)
				conn.SendChunk(e2etest.Chunk(0, "a"))
				conn.Send("chunk\n")
			},
			Methods:  []string{e2etest.StreamMethod},
			Code:     connect.CodeInternal,
			Contains: []string{"the upstream's stream ended after 1 event: upstream ", "invalid HTTP response"},
			Chunks:   1,
		},
		{
			Name:    "event that is not JSON",
			Script:  e2etest.StreamWith([]string{"X-Request-Id: req_1"}, e2etest.Chunk(0, "a"), e2etest.Event("Hello!"), e2etest.DoneEvent),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream's stream ended after 1 event: the next event is invalid: malformed JSON at byte 0: expected an object",
				Type:    "upstream_error", HttpStatus: 200, RequestId: "req_1", BodyExcerpt: "Hello!",
			},
			Chunks: 1,
		},
		{
			Name:    "event with malformed JSON",
			Script:  e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b"), e2etest.Event(`{"choices":[{"delta":{"content":"c"}},{"delta":{"content":tru}}]}`), e2etest.DoneEvent),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream's stream ended after 2 events: the next event is invalid: " +
					"malformed JSON at byte 58, in choices[1].delta.content: expected a value",
				Type: "upstream_error", HttpStatus: 200, BodyExcerpt: `{"choices":[{"delta":{"content":"c"}},{"delta":{"content":tru}}]}`,
			},
			Chunks: 2,
		},
	})
}

// A refused connection fails the call at once.
func TestUpstreamFailure_ConnectionRefused(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	for _, client := range e2etest.LibraryClients(t, e2etest.StartServer(t, server.Config{Upstream: "http://" + address})) {
		for _, method := range e2etest.Methods {
			e2etest.FailureCase{
				Code:     connect.CodeUnavailable,
				Contains: []string{"upstream " + address + ": could not connect: ", "connection refused"},
			}.Check(t, e2etest.ScriptedCall{Method: method}.Do(t, client))
		}
	}
}

// An upstream that accepts a request and never answers fails the call after the
// configured timeout.
func TestUpstreamFailure_HeaderTimeout(t *testing.T) {
	t.Parallel()
	e2etest.CheckFailures(t, server.Config{ResponseHeaderTimeout: 50 * time.Millisecond}, []e2etest.FailureCase{{
		Name:     "no headers in time",
		Script:   func(conn *upstreamtest.Conn) { conn.WaitEnd() },
		Code:     connect.CodeUnavailable,
		Contains: []string{"no response headers in time: waited 50ms"},
	}})
}

// The status is reported without waiting for the end of an error body.
func TestUpstreamFailure_EndlessErrorBody(t *testing.T) {
	t.Parallel()
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"503": func(conn *upstreamtest.Conn) {
			conn.Send(e2etest.ResponseHead(503, e2etest.JSONType, "Content-Length: 100"))
			conn.Send(`{"error":`)
			conn.WaitEnd()
		},
	})})
	e2etest.FailureCase{
		Code: connect.CodeUnavailable,
		Detail: &restv1.Error{
			Message: "the upstream answered 503 Service Unavailable, with JSON, truncated",
			Type:    "upstream_error", HttpStatus: 503, BodyExcerpt: `{"error":`,
		},
	}.Check(t, e2etest.ScriptedCall{Method: e2etest.UnaryMethod, Script: "503"}.Do(t, e2etest.NewGRPCClient(t, front)))
}

// A stream is complete with [DONE], or if its body ended and every choice has a
// finish_reason.
func TestStreamEnd_IsDetected(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		script  e2etest.Script
		choices int32
		texts   int
		failure string // empty if the stream is complete
	}{
		{"by [DONE]", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop"), e2etest.DoneEvent), 0, 2, ""},
		{"by [DONE] without finish_reason", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.DoneEvent), 0, 1, ""},
		{"by [DONE] as the only event", e2etest.Stream(e2etest.DoneEvent), 0, 0, ""},
		{"by [DONE] in one write with the other events", e2etest.Stream(e2etest.Chunk(0, "a") + e2etest.Finish(0, "stop") + e2etest.DoneEvent), 0, 2, ""},
		{"by [DONE] without an empty line", e2etest.Stream(e2etest.Chunk(0, "a"), "data: [DONE]\n"), 0, 1, ""},
		{"by [DONE] without a line end", e2etest.Stream(e2etest.Chunk(0, "a"), "data: [DONE]"), 0, 1, ""},
		{"by [DONE] without a space", e2etest.Stream(e2etest.Chunk(0, "a"), "data:[DONE]\r\n\r\n"), 0, 1, ""},
		{"by [DONE], followed by more data", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.DoneEvent, e2etest.Chunk(0, "b"), "garbage"), 0, 1, ""},
		{"by [DONE], followed by a closed connection", e2etest.TruncatedStream(e2etest.Chunk(0, "a"), e2etest.DoneEvent), 0, 1, ""},
		{"by the finish_reason", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop")), 0, 2, ""},
		{"by an unknown finish_reason", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "bored")), 0, 2, ""},
		{"by the finish_reason, followed by usage", e2etest.Stream(e2etest.Finish(0, "stop"), e2etest.Event(`{"choices":[],"usage":{"total_tokens":3}}`)), 0, 2, ""},
		{"by the finish_reason, followed by a comment", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop"), ": bye"), 0, 2, ""},
		{"by the finish_reason of the only choice", e2etest.Stream(e2etest.Finish(0, "stop")), 1, 1, ""},
		{"by the finish_reasons of all choices", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(1, "length"), e2etest.Chunk(2, "b"), e2etest.Finish(0, "stop"), e2etest.Finish(2, "stop")), 3, 5, ""},

		{"not by the end of the body", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b")), 0, 2, "after 2 events: it was not finished"},
		{"by the finish_reason in an event without its blank line", e2etest.Stream(e2etest.Chunk(0, "a"), strings.TrimSuffix(e2etest.Finish(0, "stop"), "\n")), 0, 2, ""},
		{"by the finish_reason in an event without a line end", e2etest.Stream(e2etest.Chunk(0, "a"), strings.TrimSuffix(e2etest.Finish(0, "stop"), "\n\n")), 0, 2, ""},
		{"by usage in an event without a line end", e2etest.Stream(e2etest.Finish(0, "stop"), `data: {"choices":[],"usage":{"total_tokens":3}}`), 0, 2, ""},
		{"by [DONE] followed by a space", e2etest.Stream(e2etest.Chunk(0, "a"), "data: [DONE] \n\n"), 0, 1, ""},
		{"by [DONE] between spaces, without a line end", e2etest.Stream(e2etest.Chunk(0, "a"), "data:\t [DONE]\t "), 0, 1, ""},
		{"by [DONE] in quotes", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Event(`"[DONE]"`)), 0, 1, ""},
		{"by [done]", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Event(`[done]`)), 0, 1, ""},
		{"by [DONE] in an event with a name", e2etest.Stream(e2etest.Chunk(0, "a"), "event: end\n"+e2etest.DoneEvent), 0, 1, ""},

		{"not by the finish_reason in truncated JSON", e2etest.Stream(e2etest.Chunk(0, "a"), strings.TrimSuffix(e2etest.Finish(0, "stop"), "}\n\n")), 0, 1, "after 1 event: it was not finished"},
		{"not by a delta in an event without its blank line", e2etest.Stream(e2etest.Chunk(0, "a"), strings.TrimSuffix(e2etest.Chunk(0, "b"), "\n")), 0, 2, "after 2 events: it was not finished"},
		{"not by an event name", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop"), "event: usage\n"), 0, 2, "after 2 events: it was not finished"},
		{"not by a finish_reason null", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "null")), 0, 2, "after 2 events: it was not finished"},
		{"not by a finish_reason None", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "None")), 0, 2, "after 2 events: it was not finished"},
		{"not by the finish_reason at the end of a connection, in an event without its blank line", ending(e2etest.Chunk(0, "a") + strings.TrimSuffix(e2etest.Finish(0, "stop"), "\n")), 0, 1, "after 1 event: it was not finished"},
		{"by [DONE] at the end of a connection, in an event without its blank line", ending(e2etest.Chunk(0, "a") + "data: [DONE]"), 0, 1, ""},
		{"not by half of [DONE]", e2etest.Stream(e2etest.Chunk(0, "a"), "data: [DO"), 0, 1, "after 1 event: it was not finished"},
		{"not by an empty finish_reason", e2etest.Stream(e2etest.Finish(0, "")), 0, 1, "after 1 event: it was not finished"},
		{"not by the finish_reason of another choice", e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(1, "stop")), 0, 2, "after 2 events: it was not finished"},
		{"not by the finish_reasons of some choices", e2etest.Stream(e2etest.Finish(0, "stop"), e2etest.Finish(1, "stop")), 3, 2, "after 2 events: it was not finished"},
		{"not by a repeated finish_reason", e2etest.Stream(e2etest.Finish(0, "stop"), e2etest.Finish(0, "stop")), 2, 2, "after 2 events: it was not finished"},
		{"not with an unfinished additional choice", e2etest.Stream(e2etest.Finish(0, "stop"), e2etest.Chunk(1, "a")), 1, 2, "after 2 events: it was not finished"},
		{"not by usage alone", e2etest.Stream(e2etest.Event(`{"choices":[],"usage":{"total_tokens":3}}`)), 0, 1, "after 1 event: it was not finished"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{"it": test.script})})
			for _, client := range e2etest.LibraryClients(t, front) {
				got := e2etest.ScriptedCall{Method: e2etest.StreamMethod, Script: "it", Choices: test.choices}.Do(t, client)
				if len(got.Chunks) != test.texts {
					t.Errorf("%s: got %d chunks, want %d", client.Name, len(got.Chunks), test.texts)
				}
				switch {
				case test.failure == "" && got.Err != nil:
					t.Errorf("%s: got error %v, want none", client.Name, got.Err)
				case test.failure != "" && got.Err == nil:
					t.Errorf("%s: call succeeded, want an error", client.Name)
				case test.failure != "":
					e2etest.FailureCase{
						Code: connect.CodeUnavailable, Chunks: test.texts,
						Detail: &restv1.Error{Message: "the upstream's stream ended " + test.failure, Type: "upstream_error", HttpStatus: 200},
					}.Check(t, got)
				}
			}
		})
	}
}

// Events and unary responses of the upstream are limited in size. The error names
// the limit.
func TestUpstreamFailure_ResponseOverLimit(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	fits := func(answer func(string) string) string {
		return answer(strings.Repeat("x", limit-len(answer(""))))
	}
	exceeds := func(answer func(string) string) string {
		return answer(strings.Repeat("x", limit-len(answer(""))+1))
	}
	line := func(text string) string { return strings.TrimSuffix(e2etest.Chunk(0, text), "\n\n") }
	chunked := func(body string) e2etest.Script {
		return func(conn *upstreamtest.Conn) {
			conn.Send(e2etest.ResponseHead(200, e2etest.JSONType, "Transfer-Encoding: chunked"))
			conn.SendChunk(body)
			conn.SendChunk("")
		}
	}
	endless := func(conn *upstreamtest.Conn) {
		e2etest.BeginStream(conn)
		conn.SendChunk("data: {")
		var err error
		for err == nil {
			_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", 1000, strings.Repeat(" ", 1000))
		}
	}
	config := server.Config{MaxReplyBytes: limit, MaxEventBytes: limit}
	reply10000 := "the upstream's response is larger than this server's limit of 10000 bytes"
	e2etest.CheckFailures(t, config, []e2etest.FailureCase{
		{
			Name: "unary response with a length", Script: e2etest.Reply(200, exceeds(e2etest.Completion), e2etest.JSONType), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeResourceExhausted, Detail: &restv1.Error{Message: reply10000, Type: "upstream_error", HttpStatus: 200},
		},
		{
			Name: "chunked unary response", Script: chunked(exceeds(e2etest.Completion)), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeResourceExhausted, Detail: &restv1.Error{Message: reply10000, Type: "upstream_error", HttpStatus: 200},
		},
		{
			Name: "event", Script: e2etest.Stream(e2etest.Chunk(0, "a"), exceeds(line)+"\n\n"), Methods: []string{e2etest.StreamMethod}, Chunks: 1,
			Code: connect.CodeResourceExhausted, Detail: &restv1.Error{
				Message: "the upstream's stream ended after 1 event: an event of the stream is larger than the limit of 10000 bytes",
				Type:    "upstream_error", HttpStatus: 200,
			},
		},
		{
			Name: "endless event", Script: endless, Methods: []string{e2etest.StreamMethod},
			Code: connect.CodeResourceExhausted, Contains: []string{"larger than the limit of 10000 bytes"},
		},
	})

	front := e2etest.StartServer(t, server.Config{MaxReplyBytes: limit, MaxEventBytes: limit, Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"unary response":         e2etest.Reply(200, fits(e2etest.Completion), e2etest.JSONType),
		"chunked unary response": chunked(fits(e2etest.Completion)),
		"event":                  e2etest.Stream(fits(line)+"\n\n", e2etest.DoneEvent),
	})})
	for _, client := range e2etest.LibraryClients(t, front) {
		for _, q := range []e2etest.ScriptedCall{
			{Method: e2etest.UnaryMethod, Script: "unary response"}, {Method: e2etest.UnaryMethod, Script: "chunked unary response"}, {Method: e2etest.StreamMethod, Script: "event"},
		} {
			got := q.Do(t, client)
			if got.Err != nil {
				t.Errorf("%s, %s of exactly the limit: got error %v", client.Name, q.Script, got.Err)
			} else if text := strings.Join(got.Chunks, ""); strings.Trim(text, "x") != "" || len(text) < limit/2 {
				t.Errorf("%s, %s of exactly the limit: got %d bytes", client.Name, q.Script, len(text))
			}
		}
	}
}

// ending responds with an event stream delimited by the end of the connection.
func ending(text string) e2etest.Script {
	return func(conn *upstreamtest.Conn) {
		conn.Send(e2etest.ResponseHead(http.StatusOK, e2etest.EventStreamType, "Connection: close"))
		_, _ = io.WriteString(conn, text)
		conn.Close()
	}
}
