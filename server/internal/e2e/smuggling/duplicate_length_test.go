package smuggling_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// A request with both Content-Length and Transfer-Encoding is answered and closes its
// connection (RFC 9112 section 6.1). Other requests don't.
func TestFraming_LengthAndCodingCloseConnection(t *testing.T) {
	t.Parallel()
	url := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{"id":1}`)).URL
	front := servertest.Start(t, server.Config{Upstream: url})
	secure, roots := e2etest.StartTLSServer(t, url)
	head := func(path, fields string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + fields + "\r\n"
	}
	const (
		chunks  = "2\r\n{}\r\n0\r\n\r\n"
		chunked = "Transfer-Encoding: chunked\r\n"
		length  = "Content-Length: 2\r\n"
	)
	for _, row := range []struct {
		name string
		sent []string // each after the response to the previous one
		ends bool     // whether the connection ends with the last one
	}{
		{"a length, then a coding", []string{head("/v1/x", length+chunked) + chunks}, true},
		{"a coding, then a length", []string{head("/v1/x", chunked+length) + chunks}, true},
		{"a length in another spelling", []string{head("/v1/x", "CONTENT-length:2\r\nTRANSFER-encoding:Chunked\r\n") + chunks}, true},
		{"a length of zero", []string{head("/v1/x", "Content-Length: 0\r\n"+chunked) + chunks}, true},
		{"two lengths and a coding", []string{head("/v1/x", length+length+chunked) + chunks}, true},
		{"to an RPC", []string{head(e2etest.CreateProcedure, length+chunked) + chunks}, true},
		{"to an unknown RPC", []string{head("/openaiconnect.chat.v1.ChatService/Nope", length+chunked) + chunks}, true},
		{"after another request", []string{head("/v1/x", length) + "{}", head("/v1/x", length+chunked) + chunks}, true},
		{"in one write with the previous request", []string{head("/v1/x", length) + "{}" + head("/v1/x", length+chunked) + chunks}, true},

		{"a length alone", []string{head("/v1/x", length) + "{}"}, false},
		{"a coding alone", []string{head("/v1/x", chunked) + chunks}, false},
		{"one, then the other", []string{head("/v1/x", length) + "{}", head("/v1/x", chunked) + chunks, head("/v1/x", length) + "{}", head("/v1/x", chunked) + chunks}, false},
		{"to an RPC, one, then the other", []string{head(e2etest.CreateProcedure, length) + "{}", head(e2etest.CreateProcedure, chunked) + chunks}, false},
	} {
		for _, tlsConfig := range []*tls.Config{nil, {RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}} {
			name, address := row.name, front.Address
			if tlsConfig != nil {
				if !row.ends {
					continue
				}
				name, address = row.name+" with TLS", secure.Address
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if err := conn.SetDeadline(time.Now().Add(e2etest.Timeout)); err != nil {
					t.Fatal(err)
				}
				if tlsConfig != nil {
					conn = tls.Client(conn, tlsConfig)
				}
				reader := bufio.NewReader(conn)
				answer := func(text string) *http.Response {
					t.Helper()
					if _, err := io.WriteString(conn, text); err != nil {
						t.Fatal(err)
					}
					response, err := http.ReadResponse(reader, nil)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.Copy(io.Discard, response.Body); err != nil {
						t.Fatal(err)
					}
					return response
				}
				var last *http.Response
				for _, text := range row.sent {
					last = answer(text)
					for range strings.Count(text, "POST ") - 1 {
						if last.Close {
							break // An early end is harmless.
						}
						last = answer("")
					}
				}
				if last.Close != row.ends {
					t.Errorf("got status %s, closed: %v, want %v", last.Status, last.Close, row.ends)
				}
				if !row.ends {
					return
				}
				_, _ = io.WriteString(conn, "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n") // The connection may be closed already.
				if rest, _ := io.ReadAll(reader); len(rest) > 0 {
					t.Errorf("got data after the response: %q", rest)
				}
			})
		}
	}
}
