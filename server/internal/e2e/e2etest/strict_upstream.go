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

// Smuggled stands in whatever an upstream must not see as a request, or field,
// of its own.
const Smuggled = "smuggled"

// LastTarget is what is asked for behind an attempt.
const LastTarget = "/v1/last"

// StrictUpstream is an upstream on a raw socket that looks at requests as the strictest
// peer does: it fails the test if it sees one whose framing could be read in two
// ways, or one that no client sent.
type StrictUpstream struct {
	URL string

	mu       sync.Mutex
	requests []upstreamtest.Request
}

// StartStrictUpstream runs a witness that answers everything with "ok".
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
				tb.Errorf("the upstream got an ambiguous request: %s: %q", problem, request)
				return
			}
			if err != nil { // it is not there as a whole, and so is none
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

// Take returns the requests that came since the last call.
func (w *StrictUpstream) Take() []upstreamtest.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	requests := w.requests
	w.requests = nil
	return requests
}

// ambiguity says what of a head could be understood in two ways; a head that is
// fine has none.
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

// SendSmuggling sends text on a connection, and behind a success a last request, to see
// that the connection has kept its place. It returns the first answer's status
// and all that came.
func SendSmuggling(tb testing.TB, front *servertest.Front, text string) (status int, answers string) {
	tb.Helper()
	client := DialRaw(tb, front)
	if _, err := io.WriteString(client, text); err != nil {
		tb.Fatal(err)
	}
	first, err := client.ReadRequest()
	if first.Line == "" {
		tb.Fatalf("no answer: %v", err)
	}
	var minor int
	if _, err := fmt.Sscanf(first.Line, "HTTP/1.%d %d ", &minor, &status); err != nil {
		tb.Fatalf("the answer is %q", first.Line)
	}
	if status == http.StatusOK && first.Value("Connection") != "close" {
		client.Send("GET " + LastTarget + " HTTP/1.1\nHost: x\nConnection: close\n\n")
	}
	rest, _ := io.ReadAll(client.Reader) // a reset is an end too
	return status, first.Line + first.Body + string(rest)
}

// DialRaw connects to the server. What it reads has to come within [Timeout].
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
