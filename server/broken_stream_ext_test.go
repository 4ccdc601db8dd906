package server_test

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
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// An upstream that breaks off, at whatever point, is unavailable. What came
// before has reached the caller, and the error says how much that was.
func TestAnUpstreamThatBreaksOff(t *testing.T) {
	t.Parallel()
	aborted := func(conn *upstreamtest.Conn) {
		_ = conn.Conn.(*net.TCPConn).SetLinger(0) // closing sends a reset
		conn.Close()
	}
	begin := func(texts ...string) script {
		return func(conn *upstreamtest.Conn) {
			beginStream(conn, "X-Request-Id: req_1")
			for _, text := range texts {
				conn.SendChunk(text)
			}
		}
	}
	then := func(scripts ...script) script {
		return func(conn *upstreamtest.Conn) {
			for _, play := range scripts {
				play(conn)
			}
		}
	}
	closed := func(conn *upstreamtest.Conn) { conn.Close() }
	cut := func(events string) *restv1.Error {
		return &restv1.Error{
			Message: "the upstream's stream ended after " + events + ": upstream " + upstreamHost + ": broke off in the middle of the response: unexpected EOF",
			Type:    "upstream_error", HttpStatus: 200, RequestId: "req_1",
		}
	}
	body := completion("Hello!")
	checkFailures(t, server.Config{}, []failing{
		{
			name:   "before its headers",
			script: closed,
			code:   connect.CodeUnavailable,
			says:   []string{"closed the connection before it sent response headers"},
		},
		{
			name:   "before its headers, by a reset",
			script: aborted,
			code:   connect.CodeUnavailable,
			says:   []string{"closed the connection before it sent response headers"},
		},
		{
			name:   "in its headers",
			script: send("HTTP/1.1 200 OK\nContent-Type: text/ev"),
			code:   connect.CodeUnavailable,
			says:   []string{"closed the connection before it sent response headers"},
		},
		{
			name:   "behind its headers, in a reply",
			script: replyCut(0, 200, body, jsonType, "X-Request-Id: req_1"),
			ways:   []string{unary},
			code:   connect.CodeUnavailable,
			detail: &restv1.Error{
				Message: "upstream " + upstreamHost + ": broke off in the middle of the response: unexpected EOF",
				Type:    "upstream_error", HttpStatus: 200, RequestId: "req_1",
			},
		},
		{
			name:   "in a reply",
			script: replyCut(len(body)-1, 200, body, jsonType),
			ways:   []string{unary},
			code:   connect.CodeUnavailable,
			says:   []string{"broke off in the middle of the response"},
		},
		{
			name: "in a reply in chunks, with all of its JSON sent",
			script: then(func(conn *upstreamtest.Conn) {
				conn.Send(responseHead(200, jsonType, "Transfer-Encoding: chunked"))
				conn.SendChunk(body)
			}, closed),
			ways: []string{unary},
			code: connect.CodeUnavailable,
			says: []string{"broke off in the middle of the response"},
		},
		{
			name:   "in a reply that isn't the stream that was asked for",
			script: replyCut(0, 200, body, jsonType),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			says:   []string{"broke off in the middle of the response"},
		},
		{
			name:   "behind its headers, in a stream",
			script: then(begin(), closed),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			detail: cut("0 events"),
		},
		{
			name:   "behind its headers, in a stream of no stated type",
			script: replyCut(0, 200, body),
			code:   connect.CodeUnavailable,
			says:   []string{"broke off in the middle of the response"},
		},
		{
			name:   "behind an event",
			script: then(begin(chunk(0, "a")), closed),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			detail: cut("1 event"),
			texts:  1,
		},
		{
			name:   "behind several events, sent as one",
			script: then(begin(chunk(0, "a")+chunk(0, "b")+chunk(0, "c")), closed),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			detail: cut("3 events"),
			texts:  3,
		},
		{
			name:   "by a reset",
			script: then(begin(chunk(0, "a")), aborted),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			texts:  anyNumber, // a reset overtakes what was sent before it
		},
		{
			name:   "in an event",
			script: then(begin(chunk(0, "a"), chunk(0, "b")[:40]), closed),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			detail: cut("1 event"),
			texts:  1,
		},
		{
			name:   "between an event's two line ends",
			script: then(begin(chunk(0, "a"), strings.TrimSuffix(chunk(0, "b"), "\n")), closed),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			detail: cut("1 event"),
			texts:  1,
		},
		{
			name:   "behind the finish_reason, before [DONE] and the body's end",
			script: then(begin(chunk(0, "a"), finish(0, "stop")), closed),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			detail: cut("2 events"),
			texts:  2,
		},
		{
			name:   "in a chunk of the transfer encoding",
			script: then(begin(chunk(0, "a")), func(conn *upstreamtest.Conn) { conn.Send("100\n" + chunk(0, "b")) }, closed),
			ways:   []string{streaming},
			code:   connect.CodeUnavailable,
			texts:  anyNumber,
			says:   []string{"broke off in the middle of the response"},
		},
	})
}

// What isn't HTTP, isn't an event, or isn't there in time.
func TestAnUpstreamThatTalksNonsense(t *testing.T) {
	t.Parallel()
	checkFailures(t, server.Config{}, []failing{
		{
			name:   "an answer that isn't HTTP",
			script: send("SSH-2.0-OpenSSH_9.9\n"),
			code:   connect.CodeInternal,
			says:   []string{"sent what is not valid HTTP"},
		},
		{
			name: "headers larger than any limit",
			script: func(conn *upstreamtest.Conn) {
				conn.Send(responseHead(200, jsonType, "X-Large: "+strings.Repeat("x", 2<<20)))
				conn.Close()
			},
			code: connect.CodeInternal,
			says: []string{"response headers are too large"},
		},
		{
			name: "chunks that are none",
			script: func(conn *upstreamtest.Conn) {
				beginStream(conn)
				conn.SendChunk(chunk(0, "a"))
				conn.Send("chunk\n")
			},
			ways:  []string{streaming},
			code:  connect.CodeInternal,
			says:  []string{"the upstream's stream ended after 1 event: upstream ", "sent what is not valid HTTP"},
			texts: 1,
		},
		{
			name:   "an event that isn't JSON",
			script: streamWith([]string{"X-Request-Id: req_1"}, chunk(0, "a"), event("Hello!"), done),
			ways:   []string{streaming},
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream's stream ended after 1 event: the next event can't be read: malformed JSON at byte 0: an object was expected",
				Type:    "upstream_error", HttpStatus: 200, RequestId: "req_1", BodyExcerpt: "Hello!",
			},
			texts: 1,
		},
		{
			name:   "an event with malformed JSON",
			script: stream(chunk(0, "a"), chunk(0, "b"), event(`{"choices":[{"delta":{"content":"c"}},{"delta":{"content":tru}}]}`), done),
			ways:   []string{streaming},
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream's stream ended after 2 events: the next event can't be read: " +
					"malformed JSON at byte 58, in choices[1].delta.content: a value was expected",
				Type: "upstream_error", HttpStatus: 200, BodyExcerpt: `{"choices":[{"delta":{"content":"c"}},{"delta":{"content":tru}}]}`,
			},
			texts: 2,
		},
	})
}

// An upstream that nobody listens at is unavailable at once.
func TestAnUpstreamThatIsNotThere(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	for _, client := range libraryClients(t, startFront(t, server.Config{Upstream: "http://" + address})) {
		for _, way := range bothWays {
			failing{
				code: connect.CodeUnavailable,
				says: []string{"upstream " + address + ": could not connect: ", "connection refused"},
			}.check(t, question{way: way}.ask(t, client))
		}
	}
}

// An upstream that accepts a call and never answers it is given as long as the
// configuration says.
func TestAnUpstreamThatNeverAnswers(t *testing.T) {
	t.Parallel()
	checkFailures(t, server.Config{ResponseHeaderTimeout: 50 * time.Millisecond}, []failing{{
		name:   "no headers in time",
		script: func(conn *upstreamtest.Conn) { conn.WaitEnd() },
		code:   connect.CodeUnavailable,
		says:   []string{"no response headers in time: waited 50ms"},
	}})
}

// The body of an error that never ends is no reason to keep the caller waiting,
// as the status has said what it is.
func TestAnErrorWhoseBodyNeverEnds(t *testing.T) {
	t.Parallel()
	front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
		"503": func(conn *upstreamtest.Conn) {
			conn.Send(responseHead(503, jsonType, "Content-Length: 100"))
			conn.Send(`{"error":`)
			conn.WaitEnd()
		},
	})})
	failing{
		code: connect.CodeUnavailable,
		detail: &restv1.Error{
			Message: "the upstream answered 503 Service Unavailable, with JSON, cut short",
			Type:    "upstream_error", HttpStatus: 503, BodyExcerpt: `{"error":`,
		},
	}.check(t, question{way: unary, script: "503"}.ask(t, grpcClient(t, front)))
}

// A stream is finished when [DONE] came, or when its body ended well and every
// choice has its finish_reason.
func TestAStreamIsFinished(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		script  script
		choices int32
		texts   int
		failure string // empty if the stream is finished
	}{
		{"by [DONE]", stream(chunk(0, "a"), finish(0, "stop"), done), 0, 2, ""},
		{"by [DONE] alone, whatever the choices say", stream(chunk(0, "a"), done), 0, 1, ""},
		{"by [DONE] as the only event", stream(done), 0, 0, ""},
		{"by [DONE], all at once", stream(chunk(0, "a") + finish(0, "stop") + done), 0, 2, ""},
		{"by [DONE] without an empty line", stream(chunk(0, "a"), "data: [DONE]\n"), 0, 1, ""},
		{"by [DONE] without a line end", stream(chunk(0, "a"), "data: [DONE]"), 0, 1, ""},
		{"by [DONE] without a space", stream(chunk(0, "a"), "data:[DONE]\r\n\r\n"), 0, 1, ""},
		{"by [DONE], with more behind it", stream(chunk(0, "a"), done, chunk(0, "b"), "garbage"), 0, 1, ""},
		{"by [DONE], with a connection that breaks off behind it", streamCut(chunk(0, "a"), done), 0, 1, ""},
		{"by the finish_reason", stream(chunk(0, "a"), finish(0, "stop")), 0, 2, ""},
		{"by a finish_reason that is new", stream(chunk(0, "a"), finish(0, "bored")), 0, 2, ""},
		{"by the finish_reason, with usage behind it", stream(finish(0, "stop"), event(`{"choices":[],"usage":{"total_tokens":3}}`)), 0, 2, ""},
		{"by the finish_reason, with a comment behind it", stream(chunk(0, "a"), finish(0, "stop"), ": bye"), 0, 2, ""},
		{"by the finish_reason of the one choice asked for", stream(finish(0, "stop")), 1, 1, ""},
		{"by the finish_reasons of all choices", stream(chunk(0, "a"), finish(1, "length"), chunk(2, "b"), finish(0, "stop"), finish(2, "stop")), 3, 5, ""},

		{"not by its end", stream(chunk(0, "a"), chunk(0, "b")), 0, 2, "after 2 events: it was not finished"},
		{"by the finish_reason in an event without its blank line", stream(chunk(0, "a"), strings.TrimSuffix(finish(0, "stop"), "\n")), 0, 2, ""},
		{"by the finish_reason in an event without a line end", stream(chunk(0, "a"), strings.TrimSuffix(finish(0, "stop"), "\n\n")), 0, 2, ""},
		{"by usage in an event without a line end", stream(finish(0, "stop"), `data: {"choices":[],"usage":{"total_tokens":3}}`), 0, 2, ""},
		{"by [DONE] with space behind it", stream(chunk(0, "a"), "data: [DONE] \n\n"), 0, 1, ""},
		{"by [DONE] between spaces, without a line end", stream(chunk(0, "a"), "data:\t [DONE]\t "), 0, 1, ""},
		{"by [DONE] in quotes", stream(chunk(0, "a"), event(`"[DONE]"`)), 0, 1, ""},
		{"by [done]", stream(chunk(0, "a"), event(`[done]`)), 0, 1, ""},
		{"by [DONE] in an event with a name", stream(chunk(0, "a"), "event: end\n"+done), 0, 1, ""},

		{"not by the finish_reason in JSON that is cut off", stream(chunk(0, "a"), strings.TrimSuffix(finish(0, "stop"), "}\n\n")), 0, 1, "after 1 event: it was not finished"},
		{"not by a piece in an event without its blank line", stream(chunk(0, "a"), strings.TrimSuffix(chunk(0, "b"), "\n")), 0, 2, "after 2 events: it was not finished"},
		{"not by the name of an event", stream(chunk(0, "a"), finish(0, "stop"), "event: usage\n"), 0, 2, "after 2 events: it was not finished"},
		{"not by a finish_reason that is the text null", stream(chunk(0, "a"), finish(0, "null")), 0, 2, "after 2 events: it was not finished"},
		{"not by a finish_reason that is the text None", stream(chunk(0, "a"), finish(0, "None")), 0, 2, "after 2 events: it was not finished"},
		{"not by the finish_reason at the end of a connection, in an event without its blank line", ending(chunk(0, "a") + strings.TrimSuffix(finish(0, "stop"), "\n")), 0, 1, "after 1 event: it was not finished"},
		{"by [DONE] at the end of a connection, in an event without its blank line", ending(chunk(0, "a") + "data: [DONE]"), 0, 1, ""},
		{"not by half of [DONE]", stream(chunk(0, "a"), "data: [DO"), 0, 1, "after 1 event: it was not finished"},
		{"not by an empty finish_reason", stream(finish(0, "")), 0, 1, "after 1 event: it was not finished"},
		{"not by the finish_reason of another choice", stream(chunk(0, "a"), finish(1, "stop")), 0, 2, "after 2 events: it was not finished"},
		{"not by the finish_reasons of some choices", stream(finish(0, "stop"), finish(1, "stop")), 3, 2, "after 2 events: it was not finished"},
		{"not by a finish_reason that comes twice", stream(finish(0, "stop"), finish(0, "stop")), 2, 2, "after 2 events: it was not finished"},
		{"not while a choice that nobody asked for goes on", stream(finish(0, "stop"), chunk(1, "a")), 1, 2, "after 2 events: it was not finished"},
		{"not by usage alone", stream(event(`{"choices":[],"usage":{"total_tokens":3}}`)), 0, 1, "after 1 event: it was not finished"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{"it": test.script})})
			for _, client := range libraryClients(t, front) {
				got := question{way: streaming, script: "it", choices: test.choices}.ask(t, client)
				if len(got.texts) != test.texts {
					t.Errorf("%s: %d chunks came, not %d", client.name, len(got.texts), test.texts)
				}
				switch {
				case test.failure == "" && got.failed != nil:
					t.Errorf("%s: the stream failed: %v", client.name, got.failed)
				case test.failure != "" && got.failed == nil:
					t.Errorf("%s: the stream counts as finished", client.name)
				case test.failure != "":
					failing{
						code: connect.CodeUnavailable, texts: test.texts,
						detail: &restv1.Error{Message: "the upstream's stream ended " + test.failure, Type: "upstream_error", HttpStatus: 200},
					}.check(t, got)
				}
			}
		})
	}
}

// What the upstream sends is bounded, by the event and by the reply, and the
// error says by how much.
func TestAnAnswerBeyondTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	fits := func(answer func(string) string) string {
		return answer(strings.Repeat("x", limit-len(answer(""))))
	}
	exceeds := func(answer func(string) string) string {
		return answer(strings.Repeat("x", limit-len(answer(""))+1))
	}
	line := func(text string) string { return strings.TrimSuffix(chunk(0, text), "\n\n") }
	chunked := func(body string) script {
		return func(conn *upstreamtest.Conn) {
			conn.Send(responseHead(200, jsonType, "Transfer-Encoding: chunked"))
			conn.SendChunk(body)
			conn.SendChunk("")
		}
	}
	endless := func(conn *upstreamtest.Conn) {
		beginStream(conn)
		conn.SendChunk("data: {")
		var err error
		for err == nil {
			_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", 1000, strings.Repeat(" ", 1000))
		}
	}
	config := server.Config{MaxReplyBytes: limit, MaxEventBytes: limit}
	reply10000 := "the upstream's reply is larger than this server's limit of 10000 bytes"
	checkFailures(t, config, []failing{
		{
			name: "a reply that says its length", script: reply(200, exceeds(completion), jsonType), ways: []string{unary},
			code: connect.CodeResourceExhausted, detail: &restv1.Error{Message: reply10000, Type: "upstream_error", HttpStatus: 200},
		},
		{
			name: "a reply that doesn't", script: chunked(exceeds(completion)), ways: []string{unary},
			code: connect.CodeResourceExhausted, detail: &restv1.Error{Message: reply10000, Type: "upstream_error", HttpStatus: 200},
		},
		{
			name: "an event", script: stream(chunk(0, "a"), exceeds(line)+"\n\n"), ways: []string{streaming}, texts: 1,
			code: connect.CodeResourceExhausted, detail: &restv1.Error{
				Message: "the upstream's stream ended after 1 event: an event of the stream is larger than the limit of 10000 bytes",
				Type:    "upstream_error", HttpStatus: 200,
			},
		},
		{
			name: "an event that never ends", script: endless, ways: []string{streaming},
			code: connect.CodeResourceExhausted, says: []string{"larger than the limit of 10000 bytes"},
		},
	})

	front := startFront(t, server.Config{MaxReplyBytes: limit, MaxEventBytes: limit, Upstream: serveScripts(t, map[string]script{
		"a reply":            reply(200, fits(completion), jsonType),
		"a reply, in chunks": chunked(fits(completion)),
		"an event":           stream(fits(line)+"\n\n", done),
	})})
	for _, client := range libraryClients(t, front) {
		for _, q := range []question{
			{way: unary, script: "a reply"}, {way: unary, script: "a reply, in chunks"}, {way: streaming, script: "an event"},
		} {
			got := q.ask(t, client)
			if got.failed != nil {
				t.Errorf("%s, %s of exactly the limit: %v", client.name, q.script, got.failed)
			} else if text := strings.Join(got.texts, ""); strings.Trim(text, "x") != "" || len(text) < limit/2 {
				t.Errorf("%s, %s of exactly the limit came as %d bytes", client.name, q.script, len(text))
			}
		}
	}
}

// ending answers with an event stream that the end of the connection ends.
func ending(text string) script {
	return func(conn *upstreamtest.Conn) {
		conn.Send(responseHead(http.StatusOK, eventsType, "Connection: close"))
		_, _ = io.WriteString(conn, text)
		conn.Close()
	}
}
