package smuggling_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// smugglingAttempt holds the bytes that a client sends on one connection.
type smugglingAttempt struct {
	name string
	text string // sent unchanged
	// status is the expected status. With 200, bodies are the bodies of the requests
	// that the upstream receives; otherwise it receives none.
	status int
	bodies []string
}

// next is a request that a front end might take for the rest of a body.
const next = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

// attempt returns a request with header lines, followed by rest.
func attempt(fields, rest string) string {
	return "POST /v1/x HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" + rest
}

func smugglingAttempts() []smugglingAttempt {
	const (
		chunked = "Transfer-Encoding: chunked\r\n"
		length5 = "Content-Length: 5\r\n"
		empty   = "0\r\n\r\n"
	)
	rows := []smugglingAttempt{
		// RFC 9112 section 6.1: the coding overrides the length.
		{"CL.TE, the coding wins and the rest is a request", attempt("Content-Length: 6\r\n"+chunked, empty+"G"), 200, []string{""}},
		{"TE.CL, the coding wins", attempt(chunked+"Content-Length: 4\r\n", "2\r\nhi\r\n"+empty), 200, []string{"hi"}},
		{"two codings", attempt(chunked+chunked, empty), 501, nil},
		{"a coding and an unknown one", attempt(chunked+"Transfer-Encoding: x\r\n", empty), 501, nil},
		{"an unknown coding and a coding", attempt("Transfer-Encoding: x\r\n"+chunked, empty), 501, nil},
		{"a list of two lengths that agree", attempt("Content-Length: 5, 5\r\n", "hello"), 400, nil},
		{"a list of two lengths that differ", attempt("Content-Length: 0, 5\r\n", "hello"), 400, nil},
		{"two lengths that differ", attempt("Content-Length: 0\r\n"+length5, "hello"), 400, nil},
		{"two lengths that agree", attempt(length5+length5, "hello"), 200, []string{"hello"}},
		{"a body that looks like a request", attempt(fmt.Sprintf("Content-Length: %d\r\n", len(next)), next), 200, []string{next}},
		{"a chunk that looks like a request", attempt(chunked, fmt.Sprintf("%x\r\n%s\r\n", len(next), next)+empty), 200, []string{next}},
		{"a GET with a body that looks like a request", "GET /v1/x HTTP/1.1\r\nHost: x\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(next)) + next, 200, []string{next}},
		{"a GET with chunks", "GET /v1/x HTTP/1.1\r\nHost: x\r\n" + chunked + "\r\n2\r\nhi\r\n" + empty, 200, []string{"hi"}},
		// RFC 9112 section 6.1: the connection is closed, because the two peers may
		// disagree.
		{"HTTP/1.0 with a coding and a length", "POST /v1/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n" + chunked + length5 + "\r\n0\r\n\r\n" + next, 200, []string{"0\r\n\r\n"}},
		{"HTTP/1.0 with a coding alone", "POST /v1/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n" + chunked + "\r\n" + next, 200, []string{""}},
		{"a chunk's extension", attempt(chunked, "2;a=\"b\";c\r\nhi\r\n"+empty), 200, []string{"hi"}},
		{"an extension with a bare LF in it", attempt(chunked, "2;a\nhi\r\n0\r\n\r\n"), 400, nil},
		{"a chunk that ends in a bare LF", attempt(chunked, "2\r\nhi\n0\r\n\r\n"), 400, nil},
		{"a chunk with more than its size", attempt(chunked, "2\r\nhiho\r\n"+empty), 400, nil},
		{"a size with a sign", attempt(chunked, "+2\r\nhi\r\n"+empty), 400, nil},
		{"a negative size", attempt(chunked, "-2\r\nhi\r\n"+empty), 400, nil},
		{"a size with 0x", attempt(chunked, "0x2\r\nhi\r\n"+empty), 400, nil},
		{"a size with an underscore", attempt(chunked, "0_2\r\nhi\r\n"+empty), 400, nil},
		{"a size beyond 64 bits", attempt(chunked, "10000000000000002\r\nhi\r\n"+empty), 400, nil},
		{"a size that is never reached", attempt(chunked, "ffffffffffffffff\r\nhi\r\n"+empty), 408, nil},
		{"missing size", attempt(chunked, "\r\nhi\r\n"+empty), 400, nil},
		{"a size in words", attempt(chunked, "two\r\nhi\r\n"+empty), 400, nil},
		{"a size with spaces in front", attempt(chunked, " 2\r\nhi\r\n"+empty), 400, nil},
		{"a framing field in the trailer", attempt(chunked+"Trailer: Content-Length\r\n", "0\r\nContent-Length: 5\r\n\r\n"), 400, nil},
		{"an invalid trailer field", attempt(chunked, "0\r\nsmuggled\r\n\r\n"), 400, nil},

		// RFC 9112 section 5.2: a folded line is rewritten with spaces.
		{"a folded line", attempt("X: a\r\n smuggled: b\r\n", ""), 200, []string{""}},
		{"a line folded with a tab", attempt("X: a\r\n\tsmuggled: b\r\n", ""), 200, []string{""}},
		{"a folded coding", attempt("Transfer-Encoding:\r\n chunked\r\n"+length5, "2\r\nhi\r\n"+empty), 200, []string{"hi"}},
		{"a coding folded after another", attempt("Transfer-Encoding: x\r\n chunked\r\n", empty), 501, nil},
		{"a folded length", attempt("Content-Length: 5\r\n 0\r\n", "hello"), 400, nil},
		{"a space before the first field", "GET /v1/x HTTP/1.1\r\n Host: x\r\nX: y\r\n\r\n", 400, nil},
		{"a space before the colon", attempt("Content-Length : 5\r\n", "hello"), 400, nil},
		{"a tab before the colon", attempt("Transfer-Encoding\t: chunked\r\n", empty), 400, nil},
		{"a field without a colon", attempt("smuggled\r\n", ""), 400, nil},
		{"a field without a name", attempt(": smuggled\r\n", ""), 400, nil},
		{"a NUL in a value", attempt("X: a\x00smuggled\r\n", ""), 400, nil},
		{"a CR in a value", attempt("X: a\rsmuggled: b\r\n", ""), 400, nil},
		{"a CR before the value", attempt("Content-Length:\r5\r\n", "hello"), 400, nil},
		{"a NUL in a name", attempt("smug\x00gled: b\r\n", ""), 400, nil},
		{"a name beyond ASCII", attempt("smuggl\u00e9d: b\r\n", ""), 400, nil},

		{"another host in an absolute target", "GET http://evil.example/v1/x HTTP/1.1\r\nHost: x\r\n\r\n", 200, []string{""}},
		{"two hosts", "GET /v1/x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, nil},
		{"two hosts that agree", "GET /v1/x HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400, nil},
		{"no host", "GET /v1/x HTTP/1.1\r\n\r\n", 400, nil},
		{"an empty host", "GET /v1/x HTTP/1.1\r\nHost:\r\n\r\n", 200, []string{""}},
		{"a host with a space", "GET /v1/x HTTP/1.1\r\nHost: x smuggled\r\n\r\n", 400, nil},
		{"a space in the target", "GET /v1/x HTTP/1.1 smuggled HTTP/1.1\r\nHost: x\r\n\r\n", 400, nil},
		{"a tab in the target", "GET /v1/x\tsmuggled HTTP/1.1\r\nHost: x\r\n\r\n", 400, nil},
		{"a CR in the target", "GET /v1/x\rsmuggled HTTP/1.1\r\nHost: x\r\n\r\n", 400, nil},
		{"no version", "GET /v1/smuggled\r\nHost: x\r\n\r\n", 400, nil},
		{"a version of two digits", "GET /v1/x HTTP/1.10\r\nHost: x\r\n\r\n", 400, nil},
		{"an unknown version", "GET /v1/x HTTP/3.1\r\nHost: x\r\n\r\n", 505, nil},
		{"an invalid method", "GE(T /v1/x HTTP/1.1\r\nHost: x\r\n\r\n", 400, nil},
		{"an empty method", " /v1/x HTTP/1.1\r\nHost: x\r\n\r\n", 400, nil},

		// RFC 9112 section 2.2: a recipient may accept a lone LF as a line end. The
		// request is rewritten with CR LF.
		{"bare LFs in the head", "GET /v1/x HTTP/1.1\nHost: x\nX: y\n\n", 200, []string{""}},
		{"a bare LF after a length", "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\nX: y\r\n\r\nhello", 200, []string{"hello"}},
	}
	// TE.TE: a coding that one of two peers doesn't recognize.
	for _, coding := range []string{
		"xchunked", "chunked, identity", "identity, chunked", "identity", "gzip, chunked", "chunked, chunked", "chunked;q=1",
		"\"chunked\"", "chunked\x0b", "\x0bchunked", "x", "", ",chunked", "chunked,", "chunk", "chunked\x00", "cHuNkEd x",
	} {
		status := 501
		if strings.ContainsAny(coding, "\x0b\x00") {
			status = 400
		}
		rows = append(rows, smugglingAttempt{fmt.Sprintf("coding %q", coding), attempt("Transfer-Encoding: "+coding+"\r\nContent-Length: 5\r\n", empty), status, nil})
	}
	for _, coding := range []string{"Transfer-Encoding: Chunked", "Transfer-Encoding:chunked", "Transfer-Encoding: \t chunked \t", "tRANSFER-eNCODING: CHUNKED"} {
		rows = append(rows, smugglingAttempt{"line " + coding, attempt(coding+"\r\n", "2\r\nhi\r\n"+empty), 200, []string{"hi"}})
	}
	for _, length := range []string{"+5", "-5", "0x5", "5 5", "5.0", "5e0", "5_0", "", "five", "\u0665", "18446744073709551621", "9223372036854775808", "5;", "5\x00", "5\x0b"} {
		rows = append(rows, smugglingAttempt{fmt.Sprintf("length %q", length), attempt("Content-Length: "+length+"\r\n", "hello"), 400, nil})
	}
	for _, length := range []string{"05", "  5\t", "0000000000000000005"} {
		rows = append(rows, smugglingAttempt{fmt.Sprintf("length %q, which is 5", length), attempt("Content-Length: "+length+"\r\n", "hello"), 200, []string{"hello"}})
	}
	return rows
}

// A request that two peers could read differently does not reach the upstream. It is
// rejected, or rewritten in an unambiguous form. Whatever follows is a separate
// request or discarded.
func TestSmuggling_HTTP1(t *testing.T) {
	t.Parallel()
	for _, row := range smugglingAttempts() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			upstream := e2etest.StartStrictUpstream(t)
			front := servertest.StartWith(t, server.Config{Upstream: upstream.URL}, server.ServeConfig{StallTimeout: 200 * time.Millisecond})
			status, answers := e2etest.SendSmuggling(t, front, row.text)
			if status != row.status {
				t.Errorf("got status %d, want %d: %q", status, row.status, answers)
			}
			var bodies []string
			for _, request := range upstream.Take() {
				if request.Target() == e2etest.LastTarget {
					continue
				}
				bodies = append(bodies, request.Body)
			}
			if !slices.Equal(bodies, row.bodies) {
				t.Errorf("got request bodies %q at the upstream, want %q", bodies, row.bodies)
			}
			if row.status != http.StatusOK && strings.Count(answers, "HTTP/1.1 ") > 1 {
				t.Errorf("connection stayed open after a rejection: %q", answers)
			}
		})
	}
}
