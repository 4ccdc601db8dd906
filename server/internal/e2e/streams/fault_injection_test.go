package streams_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// brokenResponse is a response that an upstream truncates.
type brokenResponse struct {
	head, body string // encoded
	content    string // decoded body
	at         int    // number of bytes sent
	reset      bool   // whether a reset follows
}

// whole reports whether the client receives the complete response.
func (b brokenResponse) whole() bool { return b.at == len(b.head+b.body) }

// randomBreak returns a response truncated at a random offset, or rarely complete.
func randomBreak(random *rand.Rand) brokenResponse {
	b := brokenResponse{reset: random.IntN(2) == 0}
	var events []string
	for i := range 1 + random.IntN(20) {
		events = append(events, e2etest.Chunk(0, fmt.Sprint(i, strings.Repeat("x", random.IntN(1<<random.IntN(13))))))
	}
	events = append(events, e2etest.DoneEvent)
	b.content = strings.Join(events, "")
	b.head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	switch random.IntN(3) {
	case 0:
		b.head += "Content-Length: " + strconv.Itoa(len(b.content)) + "\r\n\r\n"
		b.body = b.content
	case 1:
		b.head += "Transfer-Encoding: chunked\r\n\r\n"
		for _, text := range append(events, "") {
			b.body += fmt.Sprintf("%x\r\n%s\r\n", len(text), text)
		}
	case 2:
		b.head += "Connection: close\r\n\r\n"
		b.body = b.content
		b.reset = true // the end of the connection would end the body
	}
	b.at = random.IntN(len(b.head + b.body))
	if b.reset = b.reset || b.at < len(b.head); !b.reset && random.IntN(10) == 0 {
		b.at = len(b.head + b.body)
	}
	return b
}

// Wherever an upstream fails, the client receives only what was sent, and notices the
// truncation: over HTTP/1.1 the last chunk or the rest of the body is missing, over
// HTTP/2 the stream is reset, and over HTTP/1.0 the connection is reset.
func TestFaultInjection_RandomTruncation(t *testing.T) {
	t.Parallel()
	const (
		rounds   = 500
		together = 20
		seed     = 4
	)
	random := rand.New(rand.NewPCG(seed, seed))
	breaks := make(map[string]brokenResponse, rounds)
	for i := range rounds {
		breaks[strconv.Itoa(i)] = randomBreak(random)
	}
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		request, err := conn.ReadRequest()
		if err != nil {
			return
		}
		b := breaks[request.Value(e2etest.ScriptHeader)]
		if b.reset {
			defer conn.Conn.(*net.TCPConn).SetLinger(0) // fails at the other end
		}
		io.WriteString(conn, (b.head + b.body)[:b.at]) // fails at the other end
	})
	front := e2etest.StartServer(t, server.Config{Upstream: url})
	overHTTP2 := servertest.HTTPClient(t, true)
	for _, client := range []struct {
		name string
		// read returns the status and content of a response, and an error if it is
		// incomplete.
		read func(name string) (int, string, error)
	}{
		{"over HTTP/1.1", func(name string) (int, string, error) { return readRaw(front, name) }},
		{"over HTTP/2", func(name string) (int, string, error) {
			request, err := e2etest.NewRawRequest(t.Context(), front.URL, name)
			if err != nil {
				return 0, "", err
			}
			response, err := overHTTP2.Do(request)
			if err != nil {
				return 0, "", err
			}
			defer response.Body.Close()
			content, err := io.ReadAll(response.Body)
			if err != nil && !strings.HasSuffix(err.Error(), "INTERNAL_ERROR; received from peer") {
				t.Errorf("%s: got error %v, want RST_STREAM", name, err)
			}
			return response.StatusCode, string(content), err
		}},
		{"over HTTP/1.0", func(name string) (int, string, error) {
			request, err := e2etest.NewRawRequest(t.Context(), front.URL, name)
			if err != nil {
				return 0, "", err
			}
			response, err := servertest.HTTP10Client().Do(request)
			if err != nil {
				return 0, "", err
			}
			defer response.Body.Close()
			content, err := io.ReadAll(response.Body)
			if err != nil && response.ContentLength < 0 && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: got error %v, want a reset", name, err)
			}
			return response.StatusCode, string(content), err
		}},
	} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			var readers sync.WaitGroup
			names := make(chan string)
			for range together {
				readers.Go(func() {
					for name := range names {
						b := breaks[name]
						status, content, err := client.read(name)
						switch {
						case status == http.StatusBadGateway && err == nil && !b.whole():
							if !strings.Contains(content, `"upstream_`) || b.at >= len(b.head) && !b.reset {
								t.Errorf("%s: got body %q of an error for a response truncated at %d", name, content, b.at)
							}
						case status != http.StatusOK, !strings.HasPrefix(b.content, content), (err == nil) != b.whole():
							t.Errorf("%s: got status %d, %d bytes of %d, error %v for a response truncated at %d of %d", name, status, len(content), len(b.content), err, b.at, len(b.head+b.body))
						}
					}
				})
			}
			for name := range breaks {
				names <- name
			}
			close(names)
			readers.Wait()
		})
	}
}

// readRaw reads a response over HTTP/1.1 up to the end of the connection.
func readRaw(front *servertest.Front, name string) (int, string, error) {
	conn, err := net.Dial("tcp", front.Address)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(e2etest.Timeout))
	fmt.Fprintf(conn, "GET /v1/x HTTP/1.1\r\nHost: front\r\nConnection: close\r\n%s: %s\r\n\r\n", e2etest.ScriptHeader, name)
	received, err := io.ReadAll(conn)
	if err != nil {
		return 0, "", fmt.Errorf("read the connection: %w", err)
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(received)), nil)
	if err != nil {
		return 0, "", err
	}
	content, err := io.ReadAll(response.Body)
	if ended := bytes.HasSuffix(received, []byte("\r\n0\r\n\r\n")); ended && err != nil {
		err = fmt.Errorf("got a last chunk: %w", err)
		return 0, "", err
	}
	return response.StatusCode, string(content), err
}
