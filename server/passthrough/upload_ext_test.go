package passthrough_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Each piece of an upload arrives before the next one is sent, and so does each piece of the
// concurrent response.
func TestUpload_RunsWhileTheResponseArrives(t *testing.T) {
	t.Parallel()
	const rounds = 10
	for _, test := range []struct {
		name   string
		config func(*testing.T) upstream.Config
	}{
		{"to an upstream over HTTP/1.1", func(t *testing.T) upstream.Config {
			t.Helper()
			return upstream.Config{BaseURL: upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadHead(); err != nil {
					return
				}
				conn.Send("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")
				for {
					chunk, err := conn.ReadChunk()
					if err != nil {
						return
					}
					conn.SendChunk(chunk)
					if chunk == "" {
						conn.WaitEnd()
						return
					}
				}
			})}
		}},
		{"to an upstream over HTTP/2", func(t *testing.T) upstream.Config {
			t.Helper()
			return serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
				flush(w)
				buffer := make([]byte, 100)
				for {
					n, err := r.Body.Read(buffer)
					if _, err := w.Write(buffer[:n]); err != nil {
						return
					}
					if err != nil {
						return
					}
					flush(w)
				}
			})
		}},
	} {
		for _, client := range clients {
			t.Run(client.name+", "+test.name, func(t *testing.T) {
				t.Parallel()
				address := forwardWith(t, test.config(t), noOptions)
				body, upload := io.Pipe()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/x", body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.new(t).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				for round := range rounds {
					piece := fmt.Sprintf("piece %d", round)
					if _, err := io.WriteString(upload, piece); err != nil {
						t.Fatal(err)
					}
					echo := make([]byte, len(piece))
					if _, err := io.ReadFull(resp.Body, echo); err != nil || string(echo) != piece {
						t.Fatalf("got %q, %v", echo, err)
					}
				}
				upload.Close()
				if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
					t.Errorf("got %q, %v at the end", rest, err)
				}
			})
		}
	}
}

// The upstream responds while the client is still sending. The client receives the
// complete response, and then the end of the connection. The rest of the upload is not
// taken for another request.
func TestUpload_ForwardsAnEarlyResponseAndClosesTheConnection(t *testing.T) {
	t.Parallel()
	const smuggled = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, test := range []struct {
		name, answer string
		want         string // the body
	}{
		{"with a short body", "HTTP/1.1 413 Too Much\nContent-Length: 8\nConnection: close\n\ntoo much", "too much"},
		{"without a body", "HTTP/1.1 401 Who\nContent-Length: 0\n\n", ""},
		{"with a chunked body", "HTTP/1.1 413 Too Much\nTransfer-Encoding: chunked\n\n8\ntoo much\n0\n\n", "too much"},
		{"with a long body", "HTTP/1.1 413 Too Much\nContent-Length: 100000\n\n" + strings.Repeat("x", 100000), strings.Repeat("x", 100000)},
	} {
		for _, upload := range []struct{ name, framing, start, more string }{
			{"of known length", "Content-Length: 1000000", "the beginning", smuggled},
			{"of known length, nearly complete", "Content-Length: 100", "the beginning", smuggled},
			{"of unknown length", "Transfer-Encoding: chunked", "d\r\nthe beginning\r\n", "26\r\n" + smuggled + "\r\n"},
		} {
			for _, silent := range []bool{true, false} {
				name := test.name + " to an upload " + upload.name
				if silent {
					name += " whose client falls silent"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					targets := make(chan string, 2)
					url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
						head, err := conn.ReadHead()
						if err != nil {
							return
						}
						targets <- head.Target()
						conn.Send(test.answer)
						conn.WaitEnd()
					})
					client := connect(t, forward(t, url))
					client.Send("POST /v1/files HTTP/1.1\nHost: x\n" + upload.framing + "\n\n")
					io.WriteString(client, upload.start) // shows at the other end
					head, err := client.ReadHead()
					if err != nil {
						t.Fatal(err)
					}
					if head.Value("Connection") != "close" {
						t.Errorf("the response does not announce the end of the connection: %q", head.Fields)
					}
					if !silent {
						io.WriteString(client, upload.more) // the server may have closed
					}
					got, err := client.ReadBody(head)
					if err != nil || got.Body != test.want {
						t.Errorf("client received %.100q, %v", got.Body, err)
					}
					client.WaitEnd()
					if len(targets) != 1 {
						t.Errorf("the rest of the upload was taken for a request")
					}
				})
			}
		}
	}
}

// Over HTTP/2 the connection stays open.
func TestUpload_ForwardsAnEarlyResponseOverHTTP2(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadHead(); err != nil {
			return
		}
		conn.Send("HTTP/1.1 413 Too Much\nContent-Length: 8\nConnection: close\n\ntoo much")
		conn.WaitEnd()
	})
	address := forward(t, url)
	client := clients[1].new(t)
	for range 3 {
		body, upload := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/files", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		upload.Close()
		if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || string(got) != "too much" {
			t.Errorf("got %d, %q, %v", resp.StatusCode, got, err)
		}
	}
}

// The upstream resolves an expectation, not this server.
func TestUpload_ForwardsExpectContinue(t *testing.T) {
	t.Parallel()
	const request = "POST /v1/x HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 3\n\n"

	t.Run("the upstream wants the body", func(t *testing.T) {
		t.Parallel()
		url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			head, err := conn.ReadHead()
			if err != nil {
				return
			}
			// Other interim responses may arrive at the same time.
			conn.Send("HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: </b>\n\n")
			if request, err := conn.ReadBody(head); err == nil {
				conn.Send("HTTP/1.1 200 OK\nContent-Length: 3\n\n" + request.Body)
			}
		})
		client := connect(t, forward(t, url))
		client.Send(request)
		interim := map[string]int{}
		for range 3 {
			head, err := client.ReadHead()
			if err != nil {
				t.Fatal(err)
			}
			interim[head.Line+head.Value("Link")]++
		}
		for _, want := range []string{"HTTP/1.1 100 Continue", "HTTP/1.1 103 Early Hints</a>", "HTTP/1.1 103 Early Hints</b>"} {
			if interim[want] != 1 {
				t.Errorf("got interim responses %v, want each once", interim)
			}
		}
		client.Send("abc")
		head, err := client.ReadHead()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := client.ReadBody(head); err != nil || head.Line != "HTTP/1.1 200 OK" || got.Body != "abc" || head.Value("Link") != "" {
			t.Errorf("got %q %q, %v", head, got.Body, err)
		}
	})

	t.Run("the upstream does not want the body", func(t *testing.T) {
		t.Parallel()
		url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
			if _, err := conn.ReadHead(); err != nil {
				return
			}
			conn.Send("HTTP/1.1 401 Who\nContent-Length: 0\nConnection: close\n\n")
			if rest, err := io.ReadAll(conn.Reader); err == nil && len(rest) > 0 {
				t.Errorf("upstream received %q despite the final response", rest)
			}
		})
		client := connect(t, forward(t, url))
		client.Send(request)
		if head, err := client.ReadHead(); err != nil || head.Line != "HTTP/1.1 401 Unauthorized" {
			t.Errorf("got %q, %v", head.Line, err)
		}
		client.WaitEnd()
	})
}

func TestInterim_ForwardsEarlyHintsAtOnce(t *testing.T) {
	t.Parallel()
	hinted := make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			conn.Send("HTTP/1.1 103 Early Hints\nLink: </style.css>\n\n")
			<-hinted
			conn.Send("HTTP/1.1 200 OK\nX-Final: 1\nContent-Length: 0\n\n")
		}
	})
	address := forward(t, url)
	for _, client := range clients {
		t.Run(client.name, func(t *testing.T) {
			interim := make(chan string)
			req, err := http.NewRequestWithContext(withInterim(t.Context(), interim), http.MethodGet, "http://"+address+"/v1/x", nil)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if got, want := await(t, interim, "the hint"), "103 </style.css>"; got != want {
					t.Errorf("client received %q, want %q", got, want)
				}
				hinted <- struct{}{}
			}()
			resp, err := client.new(t).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.Header.Get("X-Final") != "1" || resp.Header.Get("Link") != "" {
				t.Errorf("got final header %q", resp.Header)
			}
		})
	}
	t.Run("but not over HTTP/1.0", func(t *testing.T) {
		client := connect(t, address)
		client.Send("GET /v1/x HTTP/1.0\n\n")
		hinted <- struct{}{}
		if head, err := client.ReadHead(); err != nil || head.Line != "HTTP/1.0 200 OK" {
			t.Errorf("client received %q, %v", head.Line, err)
		}
	})
}

// A malformed chunked body ends the request, its upstream request and the connection.
func TestUpload_EndsTheRequestWhenMalformed(t *testing.T) {
	t.Parallel()
	const smuggled = "GET /v1/smuggled HTTP/1.1\nHost: x\n\n"
	targets := make(chan string, 2)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		request, err := conn.ReadRequest()
		targets <- request.Target()
		if err == nil {
			t.Errorf("upstream received %q as a complete body", request.Body)
		}
	})
	client := connect(t, forward(t, url))
	client.Send("POST /v1/x HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\nabc\n???\n" + smuggled)
	head, err := client.ReadHead()
	if err != nil {
		t.Fatal(err)
	}
	if head.Line != "HTTP/1.1 400 Bad Request" {
		t.Errorf("client received %q", head.Line)
	}
	if rest, err := io.ReadAll(client.Reader); err != nil || bytes.Contains(rest, []byte("HTTP/1.1")) {
		t.Errorf("client received %q, %v after the header", rest, err)
	}
	if got := await(t, targets, "the request"); got != "/v1/x" || len(targets) > 0 {
		t.Errorf("upstream received %s and %d more requests", got, len(targets))
	}
}

// When the response is truncated during an upload, a silent client is not awaited.
func TestUpload_EndsWhenTheResponseIsTruncated(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if _, err := conn.ReadHead(); err != nil {
					return
				}
				conn.Send(streamHeader)
				conn.SendChunk("data: 1\n\n")
			})
			client := connect(t, forward(t, url))
			client.Send("POST /v1/x HTTP/1.1\nHost: x\n" + framing + "\n\n")
			rest, _ := io.ReadAll(client.Reader) // it may be reset
			if !strings.HasSuffix(string(rest), "data: 1\n\n\r\n") {
				t.Errorf("client received %q", rest)
			}
		})
	}
}
