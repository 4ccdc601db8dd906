package e2etest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Smuggled marks all parts of a message that must not reach an upstream as a
// request or a header field.
const Smuggled = "smuggled"

// LastTarget is the target of the request that follows a smuggling attempt.
const LastTarget = "/v1/last"

// StrictUpstream is an upstream on a raw socket that reads requests as the
// strictest peer does. It fails the test on ambiguous framing and on requests
// that no client sent.
type StrictUpstream struct {
	URL string

	mu       sync.Mutex
	requests []upstreamtest.Request
}

// StartStrictUpstream runs a StrictUpstream that answers every request with "ok".
func StartStrictUpstream(tb testing.TB) *StrictUpstream {
	tb.Helper()
	w := new(StrictUpstream)
	w.URL = upstreamtest.Serve(tb, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if request.Line == "" {
				return
			}
			if problem := ambiguity(request); problem != "" {
				tb.Errorf("upstream received an ambiguous request: %s: %q", problem, request)
				return
			}
			if err != nil { // The request is incomplete.
				return
			}
			w.mu.Lock()
			w.requests = append(w.requests, request)
			w.mu.Unlock()
			conn.Send("HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 2\n\nok")
		}
	})
	return w
}

// Take returns the requests received since the last call.
func (w *StrictUpstream) Take() []upstreamtest.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	requests := w.requests
	w.requests = nil
	return requests
}

// ambiguity describes the ambiguous part of a request, or returns "".
func ambiguity(request upstreamtest.Request) string {
	parts := strings.Split(request.Line, " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" {
		return "the request line"
	}
	for _, line := range append([]string{request.Line}, slices.Concat(request.Fields, request.Trailer)...) {
		name, _, isField := strings.Cut(line, ":")
		switch {
		case strings.ContainsAny(line, "\r\n\x00"):
			return "a control character"
		case line == request.Line:
		case !isField || name == "" || strings.ContainsAny(name, " \t\v\f"):
			return "a field's name"
		case strings.EqualFold(name, Smuggled):
			return "a field that was smuggled"
		}
	}
	lengths, codings := request.Values("Content-Length"), request.Values("Transfer-Encoding")
	switch {
	case len(request.Values("Host")) != 1:
		return "the number of hosts"
	case len(lengths)+len(codings) > 1:
		return "two framings"
	case len(codings) == 1 && codings[0] != "chunked":
		return "the coding"
	case len(lengths) == 1 && strings.Trim(lengths[0], "0123456789") != "":
		return "the length"
	case strings.Contains(request.Target(), Smuggled):
		return "a request that was smuggled"
	}
	return ""
}

// SendSmuggling sends text on a connection. After a success it sends another
// request, to check that both sides agree where the first one ended. It returns
// the first status and everything received.
func SendSmuggling(tb testing.TB, front *servertest.Front, text string) (status int, responses string) {
	tb.Helper()
	client := DialRaw(tb, front)
	if _, err := io.WriteString(client, text); err != nil {
		tb.Fatal(err)
	}
	first, err := client.ReadRequest()
	if first.Line == "" {
		tb.Fatalf("got no response: %v", err)
	}
	var minor int
	if _, err := fmt.Sscanf(first.Line, "HTTP/1.%d %d ", &minor, &status); err != nil {
		tb.Fatalf("got status line %q", first.Line)
	}
	if status == http.StatusOK && first.Value("Connection") != "close" {
		client.Send("GET " + LastTarget + " HTTP/1.1\nHost: x\nConnection: close\n\n")
	}
	rest, _ := io.ReadAll(client.Reader) // a reset also ends the responses
	return status, first.Line + first.Body + string(rest)
}

// DialRaw connects to the server. Reads time out after [Timeout].
func DialRaw(tb testing.TB, front *servertest.Front) *upstreamtest.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", front.Address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(Timeout)); err != nil {
		tb.Fatal(err)
	}
	return &upstreamtest.Conn{Conn: conn, Reader: bufio.NewReader(conn)}
}
