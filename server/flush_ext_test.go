package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// An event reaches the caller as soon as its last byte is there, whatever came
// with it: the upstream goes on only when the caller has the message.
func TestAnEventIsNotHeldBackForALaterOne(t *testing.T) {
	t.Parallel()
	next := chunk(0, "next")
	crOnly := strings.ReplaceAll(chunk(0, "it"), "\n", "\r")
	steps := []struct{ name, text, rest string }{
		{"alone", chunk(0, "it"), ""},
		{"with a comment behind it", chunk(0, "it") + ": still there\n\n", ""},
		{"with half a comment behind it", chunk(0, "it") + ": still", " there\n\n"},
		{"with an event without data behind it", chunk(0, "it") + "event: ping\n\n", ""},
		{"with an event of empty data behind it", chunk(0, "it") + "data:\n\n", ""},
		{"with several such events behind it", chunk(0, "it") + "data\n\ndata:\n\n: x\n\ndata: \n\n", ""},
		{"with the beginning of another one behind it", chunk(0, "it") + next[:30], next[30:]},
		{"with all but the end of another one behind it", chunk(0, "it") + next[:len(next)-1], "\n"},
		{"behind an event of empty data", "data:\n\n" + chunk(0, "it"), ""},
		{"with CR for its line ends", crOnly, "\n"},
		{"with CR LF for its line ends", strings.ReplaceAll(chunk(0, "it"), "\n", "\r\n"), ""},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 2)
			front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
				"step": func(conn *upstreamtest.Conn) {
					beginStream(conn)
					conn.SendChunk(step.text)
					if text := await(t, got, "the message"); text != "it" {
						t.Errorf("the first message is %q", text)
					}
					if step.rest != "" {
						conn.SendChunk(step.rest)
					}
					if strings.HasSuffix(step.text+step.rest, next) {
						if text := await(t, got, "the next message"); text != "next" {
							t.Errorf("the next message is %q", text)
						}
					}
					conn.SendChunk(done)
					closeStream(conn)
				},
			})})
			for _, client := range libraryClients(t, front) {
				q := question{way: streaming, script: "step", each: func(text string) { got <- text }}
				if failed := q.ask(t, client).failed; failed != nil {
					t.Errorf("%s: %v", client.name, failed)
				}
			}
		})
	}
}

// A call ends when its last event has come. It doesn't wait for the upstream to
// end the body, and the messages before don't either.
func TestACallEndsWithItsLastEvent(t *testing.T) {
	t.Parallel()
	for _, last := range []struct{ name, text string }{
		{"alone", done},
		{"with the message before", chunk(0, "it") + done},
	} {
		t.Run(last.name, func(t *testing.T) {
			t.Parallel()
			const rounds = 10
			// The server gives the upstream some time to end the body, and then
			// closes the connection. Whether the caller was first is a matter
			// of the machine's load now and then, but not always.
			var late atomic.Int32
			ended := make(chan struct{})
			front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
				"last": func(conn *upstreamtest.Conn) {
					beginStream(conn)
					conn.SendChunk(chunk(0, "first"))
					conn.SendChunk(last.text)
					closed := make(chan struct{})
					go func() {
						conn.WaitEnd()
						close(closed)
					}()
					select {
					case <-ended:
						await(t, closed, "the server to close the connection")
					case <-closed:
						late.Add(1)
						await(t, ended, "the end of the call")
					}
				},
			})})
			for _, client := range libraryClients(t, front) {
				late.Store(0)
				for range rounds {
					if failed := (question{way: streaming, script: "last"}).ask(t, client).failed; failed != nil {
						t.Errorf("%s: %v", client.name, failed)
					}
					ended <- struct{}{}
				}
				if late.Load() > rounds/2 {
					t.Errorf("%s: %d of %d calls ended only when the connection was closed", client.name, late.Load(), rounds)
				}
			}
		})
	}
}

// Messages whose events are there together leave together: a flush is a system
// call, and most of what a message costs.
func TestEventsThatAreReadyLeaveInOneFlush(t *testing.T) {
	t.Parallel()
	const events = 15
	var together strings.Builder
	for i := range events {
		together.WriteString(chunk(0, strconv.Itoa(i)))
	}
	waiting := make(chan struct{})
	upstream := serveScripts(t, map[string]script{
		"behind one that was not ready": func(conn *upstreamtest.Conn) {
			beginStream(conn)
			conn.SendChunk(chunk(0, "first"))
			await(t, waiting, "the first message")
			conn.SendChunk(together.String())
			conn.SendChunk(done)
			closeStream(conn)
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
	for _, client := range libraryClients(t, front) {
		flushes.Store(0)
		q := question{way: streaming, script: "behind one that was not ready", each: func(text string) {
			if text == "first" {
				waiting <- struct{}{}
			}
		}}
		got := q.ask(t, client)
		if got.failed != nil || len(got.texts) != events+1 {
			t.Fatalf("%s: %d messages came, and %v", client.name, len(got.texts), got.failed)
		}
		// The header's, the first message's, and one for all the others, which
		// come in one segment, or in a few where the kernel splits them.
		if n := flushes.Load(); n > 6 {
			t.Errorf("%s: %d messages took %d flushes", client.name, events+1, n)
		} else {
			t.Logf("%s: %d messages took %d flushes", client.name, events+1, n)
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

// A connection to the upstream serves one call after the other, whatever the
// calls come to, and whenever the upstream ends a body.
func TestConnectionsToTheUpstreamAreUsedAgain(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	for _, c := range []struct {
		name, way string
		script    script
	}{
		{"a reply", unary, reply(200, completion("Hello!"), jsonType)},
		{"an error", unary, reply(429, `{"error":{"message":"slow down"}}`, jsonType)},
		{"an error in place of a stream", streaming, reply(429, `{"error":{"message":"slow down"}}`, jsonType)},
		{"a stream with [DONE]", streaming, stream(chunk(0, "a"), done)},
		{"a stream with [DONE], all in one write", streaming, func(conn *upstreamtest.Conn) {
			text := chunk(0, "a") + done
			conn.Send(responseHead(200, eventsType, fmt.Sprint("Content-Length: ", len(text))) + "")
			_, _ = conn.Write([]byte(text))
		}},
		{"a stream without [DONE]", streaming, stream(chunk(0, "a"), finish(0, "stop"))},
		{"a stream with more behind [DONE]", streaming, stream(chunk(0, "a"), done, ": bye\n\n")},
		{"a stream that ends later than the call", streaming, func(conn *upstreamtest.Conn) {
			beginStream(conn)
			conn.SendChunk(chunk(0, "a") + done)
			await(t, ended, "the end of the call")
			closeStream(conn)
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
			client := connectClient("Connect", startFront(t, server.Config{Upstream: url}).Connect(t, servertest.Protocols()[0]))
			for range rounds {
				question{way: c.way}.ask(t, client)
				if strings.Contains(c.name, "later") {
					ended <- struct{}{}
				}
			}
			// A call that comes at once may be quicker than the end of the body
			// before. It takes another connection then, which stays.
			if n := connections.Load(); n > rounds/4 {
				t.Errorf("%d calls took %d connections", rounds, n)
			} else {
				t.Logf("%d calls took %d connections", rounds, n)
			}
		})
	}
}
