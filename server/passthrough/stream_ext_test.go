package passthrough_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

const streamHeader = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n"

// The client receives the header before the first event, and each event before the next one
// is sent.
func TestStream_DeliversEachEventAtOnce(t *testing.T) {
	t.Parallel()
	const events = 20
	// Small, as large as a buffer, larger than any, and back.
	sizes := []int{10, 4 << 10, 300, 32 << 10, 100 << 10, 1}
	event := func(i int) string {
		return fmt.Sprintf("data: %d %s\n\n", i, strings.Repeat("x", sizes[i%len(sizes)]))
	}
	run := func(t *testing.T, address string, open func(t *testing.T, address string) io.Reader, next chan struct{}) {
		t.Helper()
		body := open(t, address) // returns when the header is there
		for i := range events {
			next <- struct{}{}
			got := make([]byte, len(event(i)))
			read := make(chan error, 1)
			go func() {
				_, err := io.ReadFull(body, got)
				read <- err
			}()
			if err := await(t, read, fmt.Sprintf("event %d", i)); err != nil || string(got) != event(i) {
				t.Fatalf("event %d of %d bytes: got %.40q, %v", i, len(got), got, err)
			}
		}
		close(next)
		if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
			t.Errorf("after the last event: got %q, %v", rest, err)
		}
	}
	chunkedUpstream := func(t *testing.T, next chan struct{}) upstream.Config {
		t.Helper()
		return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			conn.Send(streamHeader)
			for i := range events {
				<-next
				conn.SendChunk(event(i))
			}
			<-next
			conn.SendChunk("")
		})}
	}
	lengthUpstream := func(t *testing.T, next chan struct{}) upstream.Config {
		t.Helper()
		total := 0
		for i := range events {
			total += len(event(i))
		}
		return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			conn.Send(fmt.Sprintf("HTTP/1.1 200 OK\nContent-Length: %d\n\n", total))
			for i := range events {
				<-next
				if _, err := io.WriteString(conn, event(i)); err != nil {
					return
				}
			}
		})}
	}
	http2Upstream := func(t *testing.T, next chan struct{}) upstream.Config {
		t.Helper()
		return serveTLS(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			flush(w)
			for i := range events {
				<-next
				if _, err := io.WriteString(w, event(i)); err != nil {
					return
				}
				flush(w)
			}
			<-next
		})
	}
	viaClient := func(newClient func(testing.TB) *http.Client) func(*testing.T, string) io.Reader {
		return func(t *testing.T, address string) io.Reader {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/x", strings.NewReader(`{"stream": true}`))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := newClient(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { resp.Body.Close() })
			return resp.Body
		}
	}
	raw := func(request string) func(*testing.T, string) io.Reader {
		return func(t *testing.T, address string) io.Reader {
			t.Helper()
			conn := connect(t, address)
			conn.Send(request)
			resp, err := http.ReadResponse(conn.Reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			return resp.Body
		}
	}
	for _, from := range []struct {
		name string
		new  func(*testing.T, chan struct{}) upstream.Config
	}{
		{"a chunked upstream", chunkedUpstream},
		{"an upstream that gives the length", lengthUpstream},
		{"an upstream over HTTP/2", http2Upstream},
	} {
		for _, to := range []struct {
			name string
			open func(*testing.T, string) io.Reader
		}{
			{"a client over HTTP/1.1", viaClient(clients[0].new)},
			{"a client over HTTP/2", viaClient(clients[1].new)},
			{"a client without keep-alive", raw("GET /v1/x HTTP/1.1\nHost: x\nConnection: close\n\n")},
			{"a client over HTTP/1.0", raw("GET /v1/x HTTP/1.0\n\n")},
		} {
			t.Run("from "+from.name+" to "+to.name, func(t *testing.T) {
				t.Parallel()
				next := make(chan struct{})
				run(t, forwardWith(t, from.new(t, next), noOptions), to.open, next)
			})
		}
	}
}

// Wherever and however the body is truncated, the client receives the part before, and then
// an error.
func TestStream_ATruncatedBodyNeverLooksComplete(t *testing.T) {
	t.Parallel()
	const sent = "data: one\n\ndata: two\n\n"
	raw := func(answer string) func(*testing.T) upstream.Config {
		return func(t *testing.T) upstream.Config {
			t.Helper()
			return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadRequest(); err == nil {
					io.WriteString(conn, answer) // shows at the other end
				}
			})}
		}
	}
	for _, test := range []struct {
		name   string
		config func(*testing.T) upstream.Config
	}{
		{"short of its length", raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + sent)},
		{"far short of its length", raw("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + sent)},
		{"between two chunks", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n" + sent + "\r\n")},
		{"within a chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + sent)},
		{"behind the last chunk, before the end of the trailer", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n" + sent + "\r\n0\r\n")},
		{"with an invalid chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n16\r\n" + sent + "\r\n<html>\r\n\r\n")},
		{"over HTTP/2", func(t *testing.T) upstream.Config {
			t.Helper()
			return serveTLS(t, func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, sent) // shows at the other end
				flush(w)
				panic(http.ErrAbortHandler)
			})
		}},
	} {
		for _, client := range allClients {
			t.Run(test.name+", "+client.name, func(t *testing.T) {
				t.Parallel()
				address := forwardWith(t, test.config(t), noOptions)
				resp, err := client.new(t).Post("http://"+address+"/v1/x", "application/json", strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if string(got) != sent {
					t.Errorf("client got %q before the break, want %q", got, sent)
				}
				if err == nil {
					t.Error("the body seems to be finished")
				}
			})
		}
	}
}

// A response truncated at any byte never looks complete.
func TestStream_ATruncatedResponseNeverLooksCompleteAtAnyByte(t *testing.T) {
	t.Parallel()
	const whole = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"
	cuts := make(chan int, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			io.WriteString(conn, whole[:<-cuts]) // shows at the other end
		}
	})
	address := forward(t, url)
	for _, client := range allClients {
		t.Run(client.name, func(t *testing.T) {
			client := client.new(t)
			for cut := range len(whole) + 1 {
				cuts <- cut
				resp, err := client.Post("http://"+address+"/v1/x", "application/json", strings.NewReader("{}"))
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				if finished, want := err == nil && resp.StatusCode == http.StatusOK, cut == len(whole); finished != want {
					t.Errorf("cut behind %q: status %d, %v", whole[:cut], resp.StatusCode, err)
				}
			}
		})
	}
}

// Over HTTP/1.1 a truncated body ends with the connection, without a last chunk.
func TestStream_ATruncatedBodyHasNoLastChunk(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err == nil {
			conn.Send(streamHeader)
			conn.SendChunk("data: 1\n\n")
		}
	})
	client := connect(t, forward(t, url))
	client.Send("GET /v1/x HTTP/1.1\nHost: x\n\n")
	if _, err := client.ReadHead(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(client.Reader)
	if err != nil {
		t.Logf("the connection was reset: %v", err)
	}
	if want := "9\r\ndata: 1\n\n\r\n"; string(rest) != want {
		t.Errorf("client received %q, want %q", rest, want)
	}
}

func flush(w http.ResponseWriter) {
	w.(http.Flusher).Flush()
}

// Middleware that wraps the ResponseWriter doesn't delay a stream if it implements Unwrap.
func TestStream_FlushesThroughMiddleware(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadHead(); err != nil {
			return
		}
		conn.Send(streamHeader) // early, as the upload never ends
		<-next
		conn.SendChunk("data: 1\n\n")
		<-next
		conn.SendChunk("")
		conn.WaitEnd()
	})
	up, err := upstream.New(upstream.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.CloseIdleConnections)
	handler := passthrough.New(up, noOptions)
	client := connect(t, listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(wrapper{w}, r)
	})))
	client.Send("POST /v1/x HTTP/1.1\nHost: x\nContent-Length: 100000\n\n")
	head, err := client.ReadHead()
	if err != nil || head.Value("Connection") != "close" {
		t.Fatalf("client received %q, %v", head.Fields, err)
	}
	for _, want := range []string{"data: 1\n\n", ""} {
		next <- struct{}{}
		if got, err := client.ReadChunk(); err != nil || got != want {
			t.Fatalf("client received %q, %v, want %q", got, err, want)
		}
	}
}

// wrapper is a ResponseWriter with only an Unwrap method.
type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }
