package streams_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// An event reaches the client as soon as its last byte arrives, whatever else the
// upstream sent. The upstream continues when the client has the message.
func TestFlush_EventIsNotDelayed(t *testing.T) {
	t.Parallel()
	next := e2etest.Chunk(0, "next")
	crOnly := strings.ReplaceAll(e2etest.Chunk(0, "it"), "\n", "\r")
	steps := []struct{ name, text, rest string }{
		{"alone", e2etest.Chunk(0, "it"), ""},
		{"followed by a comment", e2etest.Chunk(0, "it") + ": still there\n\n", ""},
		{"followed by half a comment", e2etest.Chunk(0, "it") + ": still", " there\n\n"},
		{"followed by an event without data", e2etest.Chunk(0, "it") + "event: ping\n\n", ""},
		{"followed by an event with empty data", e2etest.Chunk(0, "it") + "data:\n\n", ""},
		{"followed by several such events", e2etest.Chunk(0, "it") + "data\n\ndata:\n\n: x\n\ndata: \n\n", ""},
		{"followed by the start of another event", e2etest.Chunk(0, "it") + next[:30], next[30:]},
		{"followed by another event without its end", e2etest.Chunk(0, "it") + next[:len(next)-1], "\n"},
		{"after an event with empty data", "data:\n\n" + e2etest.Chunk(0, "it"), ""},
		{"with CR line ends", crOnly, "\n"},
		{"with CR LF line ends", strings.ReplaceAll(e2etest.Chunk(0, "it"), "\n", "\r\n"), ""},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 2)
			front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
				"step": func(conn *upstreamtest.Conn) {
					e2etest.BeginStream(conn)
					conn.SendChunk(step.text)
					if text := e2etest.Receive(t, got, "the message"); text != "it" {
						t.Errorf("got first message %q", text)
					}
					if step.rest != "" {
						conn.SendChunk(step.rest)
					}
					if strings.HasSuffix(step.text+step.rest, next) {
						if text := e2etest.Receive(t, got, "the next message"); text != "next" {
							t.Errorf("got next message %q", text)
						}
					}
					conn.SendChunk(e2etest.DoneEvent)
					e2etest.EndStream(conn)
				},
			})})
			for _, client := range e2etest.LibraryClients(t, front) {
				q := e2etest.ScriptedCall{Method: e2etest.StreamMethod, Script: "step", Each: func(text string) { got <- text }}
				if failed := q.Do(t, client).Err; failed != nil {
					t.Errorf("%s: %v", client.Name, failed)
				}
			}
		})
	}
}

// A call ends with its last event. Neither the call nor earlier messages wait for the
// end of the body.
func TestFlush_CallEndsWithLastEvent(t *testing.T) {
	t.Parallel()
	for _, last := range []struct{ name, text string }{
		{"alone", e2etest.DoneEvent},
		{"with the previous message", e2etest.Chunk(0, "it") + e2etest.DoneEvent},
	} {
		t.Run(last.name, func(t *testing.T) {
			t.Parallel()
			const rounds = 10
			// The server waits briefly for the end of the body and then closes the
			// connection. Under load the client may see the close first, but not in every
			// round.
			var late atomic.Int32
			ended := make(chan struct{})
			front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
				"last": func(conn *upstreamtest.Conn) {
					e2etest.BeginStream(conn)
					conn.SendChunk(e2etest.Chunk(0, "first"))
					conn.SendChunk(last.text)
					closed := make(chan struct{})
					go func() {
						conn.WaitEnd()
						close(closed)
					}()
					select {
					case <-ended:
						e2etest.Receive(t, closed, "the server to close the connection")
					case <-closed:
						late.Add(1)
						e2etest.Receive(t, ended, "the end of the call")
					}
				},
			})})
			for _, client := range e2etest.LibraryClients(t, front) {
				late.Store(0)
				for range rounds {
					if failed := (e2etest.ScriptedCall{Method: e2etest.StreamMethod, Script: "last"}).Do(t, client).Err; failed != nil {
						t.Errorf("%s: %v", client.Name, failed)
					}
					ended <- struct{}{}
				}
				if late.Load() > rounds/2 {
					t.Errorf("%s: %d of %d calls ended when the connection was closed", client.Name, late.Load(), rounds)
				}
			}
		})
	}
}

// Messages whose events arrive together are flushed together. A flush is a system
// call, and most of the cost of a message.
func TestFlush_MessagesShareOneFlush(t *testing.T) {
	t.Parallel()
	const events = 15
	var together strings.Builder
	for i := range events {
		together.WriteString(e2etest.Chunk(0, strconv.Itoa(i)))
	}
	waiting := make(chan struct{})
	upstream := e2etest.ServeScripts(t, map[string]e2etest.Script{
		"after one that was not ready": func(conn *upstreamtest.Conn) {
			e2etest.BeginStream(conn)
			conn.SendChunk(e2etest.Chunk(0, "first"))
			e2etest.Receive(t, waiting, "the first message")
			conn.SendChunk(together.String())
			conn.SendChunk(e2etest.DoneEvent)
			e2etest.EndStream(conn)
		},
	})
	s, err := server.New(server.Config{Upstream: upstream})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var flushes atomic.Int32
	counted := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(&flushCounter{ResponseWriter: w, flushes: &flushes}, r)
	}))
	counted.Config.Protocols = new(http.Protocols)
	counted.Config.Protocols.SetHTTP1(true)
	counted.Config.Protocols.SetUnencryptedHTTP2(true)
	counted.Start()
	defer counted.Close()
	front := &servertest.Front{Server: s, Address: counted.Listener.Addr().String(), URL: counted.URL}
	for _, client := range e2etest.LibraryClients(t, front) {
		flushes.Store(0)
		q := e2etest.ScriptedCall{Method: e2etest.StreamMethod, Script: "after one that was not ready", Each: func(text string) {
			if text == "first" {
				waiting <- struct{}{}
			}
		}}
		got := q.Do(t, client)
		if got.Err != nil || len(got.Chunks) != events+1 {
			t.Fatalf("%s: got %d messages and error %v", client.Name, len(got.Chunks), got.Err)
		}
		// One flush for the header, one for the first message, and one for the others,
		// or a few if the kernel splits their segment.
		if n := flushes.Load(); n > 6 {
			t.Errorf("%s: got %[3]d flushes for %[2]d messages", client.Name, events+1, n)
		} else {
			t.Logf("%s: %d flushes for %d messages", client.Name, n, events+1)
		}
	}
}

// flushCounter counts the flushes of a response.
type flushCounter struct {
	http.ResponseWriter

	flushes *atomic.Int32
}

func (c *flushCounter) Flush() {
	c.flushes.Add(1)
	_ = http.NewResponseController(c.ResponseWriter).Flush()
}

func (c *flushCounter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// An upstream connection is reused, whatever the outcome of a call and whenever the
// upstream ends the body.
func TestConnectionReuse_AfterEveryOutcome(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	for _, c := range []struct {
		name, method string
		script       e2etest.Script
	}{
		{"unary response", e2etest.UnaryMethod, e2etest.Reply(200, e2etest.Completion("Hello!"), e2etest.JSONType)},
		{"error", e2etest.UnaryMethod, e2etest.Reply(429, `{"error":{"message":"slow down"}}`, e2etest.JSONType)},
		{"error instead of a stream", e2etest.StreamMethod, e2etest.Reply(429, `{"error":{"message":"slow down"}}`, e2etest.JSONType)},
		{"stream with [DONE]", e2etest.StreamMethod, e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.DoneEvent)},
		{"stream with [DONE] in one write", e2etest.StreamMethod, func(conn *upstreamtest.Conn) {
			text := e2etest.Chunk(0, "a") + e2etest.DoneEvent
			conn.Send(e2etest.ResponseHead(200, e2etest.EventStreamType, fmt.Sprint("Content-Length: ", len(text))) + "")
			_, _ = conn.Write([]byte(text))
		}},
		{"stream without [DONE]", e2etest.StreamMethod, e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop"))},
		{"stream with data after [DONE]", e2etest.StreamMethod, e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.DoneEvent, ": bye\n\n")},
		{"stream that ends after the call", e2etest.StreamMethod, func(conn *upstreamtest.Conn) {
			e2etest.BeginStream(conn)
			conn.SendChunk(e2etest.Chunk(0, "a") + e2etest.DoneEvent)
			e2etest.Receive(t, ended, "the end of the call")
			e2etest.EndStream(conn)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const rounds = 40
			var connections atomic.Int32
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				connections.Add(1)
				for {
					if _, err := conn.ReadRequest(); err != nil {
						return
					}
					c.script(conn)
				}
			})
			client := e2etest.NewConnectClient("Connect", e2etest.StartServer(t, server.Config{Upstream: url}).Connect(t, servertest.Protocols()[0]))
			for range rounds {
				e2etest.ScriptedCall{Method: c.method}.Do(t, client)
				if strings.Contains(c.name, "after the call") {
					ended <- struct{}{}
				}
			}
			// An immediate call may precede the end of the previous body. It then uses
			// another connection, which stays open.
			if n := connections.Load(); n > rounds/4 {
				t.Errorf("got %d connections for %d calls", n, rounds)
			} else {
				t.Logf("got %d connections for %d calls", n, rounds)
			}
		})
	}
}
