package smuggling_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// foreign marks everything that an upstream sends in excess of the response.
const foreign = "foreign"

// hostility is the response of a hostile or broken upstream.
type hostility struct {
	name string
	// answer returns the response to a request with the body echo. The connection
	// stays open.
	answer func(echo string) string
	// whole reports whether the client gets the response.
	whole bool
}

func hostilities() []hostility {
	const stray = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n" + foreign
	ok := func(echo string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(echo), echo)
	}
	head := func(fields, body string) func(string) string {
		return func(echo string) string {
			return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + strings.ReplaceAll(body, "ECHO", fmt.Sprintf("%x\r\n%s\r\n", len(echo), echo))
		}
	}
	const chunked = "Transfer-Encoding: chunked\r\n"
	rows := []hostility{
		{"two responses to one request", func(echo string) string { return ok(echo) + stray }, true},
		{"bytes after a response", func(echo string) string { return ok(echo) + foreign }, true},
		{"one byte after a response", func(echo string) string { return ok(echo) + "\n" }, true},
		{"a response after the last chunk", head(chunked, "ECHO0\r\n\r\n"+stray), true},
		{"a response after an empty one", func(echo string) string {
			return "HTTP/1.1 204 No Content\r\nX-Echo: " + echo + "\r\n\r\n" + stray
		}, true},
		{"a response after 304", func(echo string) string {
			return "HTTP/1.1 304 Not Modified\r\nX-Echo: " + echo + "\r\n\r\n" + stray
		}, true},
		{"a length and a coding", head(chunked+"Content-Length: 3\r\n", "ECHO0\r\n\r\n"+stray), true},
		{"a coding and a length", head("Content-Length: 500\r\n"+chunked, "ECHO0\r\n\r\n"+stray), true},
		{"two codings", head(chunked+chunked, "ECHO0\r\n\r\n"), false},
		{"an unknown coding", head("Transfer-Encoding: xchunked\r\n", "ECHO0\r\n\r\n"), false},
		{"a list of codings", head("Transfer-Encoding: gzip, chunked\r\n", "ECHO0\r\n\r\n"), false},
		{"a negative length", head("Content-Length: -1\r\n", foreign), false},
		{"a signed length", head("Content-Length: +7\r\n", foreign), false},
		{"an invalid length", head("Content-Length: 7a\r\n", foreign), false},
		{"a length beyond 64 bits", head("Content-Length: 18446744073709551623\r\n", foreign), false},
		{"two lengths that differ", head("Content-Length: 7\r\nContent-Length: 8\r\n", foreign), false},
		{"a list of lengths", head("Content-Length: 7, 7\r\n", foreign), false},
		{"a chunk's size with a sign", head(chunked, "+7\r\n"+foreign+"\r\n0\r\n\r\n"), false},
		{"a chunk's size beyond 64 bits", head(chunked, "10000000000000007\r\n"+foreign+"\r\n0\r\n\r\n"), false},
		{"a chunk longer than its size", head(chunked, "2\r\n"+foreign+"\r\n0\r\n\r\n"), false},
		{"a bare LF after a chunk", head(chunked, "7\r\n"+foreign+"\n0\r\n\r\n"), false},
		{"a huge extension of a chunk", head(chunked, "7;"+strings.Repeat("x", 1<<20)+"\r\n"+foreign+"\r\n0\r\n\r\n"), false},
		{"many extensions of chunks", head(chunked, strings.Repeat("1;"+strings.Repeat("x", 4000)+"\r\nf\r\n", 100)+"0\r\n\r\n"), false},
		{"a bare CR in a field", head("X: y\rX-Foreign: z\r\nContent-Length: 7\r\n", foreign), false},
		{"a NUL in a field", head("X: y\x00\r\nContent-Length: 7\r\n", foreign), false},
		{"no status", func(string) string { return "HTTP/1.1\r\n\r\n" }, false},
		{"a status of four digits", func(string) string { return "HTTP/1.1 2000 OK\r\nContent-Length: 7\r\n\r\n" + foreign }, false},
		{"a negative status", func(string) string { return "HTTP/1.1 -20 OK\r\nContent-Length: 7\r\n\r\n" + foreign }, false},
		{"not HTTP", func(string) string { return foreign + "\r\n\r\n" }, false},
		{"an unrequested upgrade", func(string) string {
			return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + foreign
		}, false},
		{"a thousand interim responses", func(echo string) string {
			return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 1000) + ok(echo)
		}, true},
		{"an endless header", func(string) string {
			return "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 2000)
		}, false},
		{"endless interim responses", func(string) string {
			return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <"+strings.Repeat("x", 1000)+">\r\n\r\n", 2000)
		}, false},
	}
	return rows
}

// An upstream that violates the framing rules affects its own response only. Two
// clients send requests concurrently, and each gets its own response or an error.
func TestDesync_NoResponseReachesAnotherClient(t *testing.T) {
	t.Parallel()
	for _, row := range hostilities() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var turns sync.WaitGroup
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				for {
					request, err := conn.ReadRequest()
					if err != nil {
						return
					}
					if _, err := io.WriteString(conn, row.answer(request.Body)); err != nil {
						return
					}
				}
			})
			front := servertest.Start(t, server.Config{Upstream: url})
			for name := range 2 {
				turns.Go(func() {
					client := servertest.HTTPClient(t, name == 1)
					for turn := range 6 {
						askHostile(t, row, client, front.URL, fmt.Sprintf("client %d, turn %d", name, turn))
					}
				})
			}
			turns.Wait()
		})
	}
}

// askHostile sends echo and checks that the response contains it or is an error.
func askHostile(t *testing.T, row hostility, client *http.Client, url, echo string) {
	t.Helper()
	req, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodPost, url+"/v1/x", strings.NewReader(echo))
	if err != nil {
		t.Error(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		if row.whole {
			t.Errorf("%s: %v", echo, err)
		}
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	mine := string(body) == echo || resp.Header.Get("X-Echo") == echo && len(body) == 0
	switch {
	case resp.Header.Get("X-Foreign") != "":
		t.Errorf("%s: got a header field of another response", echo)
	case row.whole && (!mine || err != nil):
		t.Errorf("%s: got status %d, body %q, and error %v", echo, resp.StatusCode, body, err)
	case !row.whole && !mine && err == nil && resp.StatusCode < http.StatusInternalServerError:
		t.Errorf("%s: got status %d and body %q, want an incomplete response", echo, resp.StatusCode, body)
	}
}
