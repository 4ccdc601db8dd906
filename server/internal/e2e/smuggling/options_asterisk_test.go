package smuggling_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// net/http would answer "OPTIONS *" itself. The server forwards it.
func TestOptions_AsteriskIsForwarded(t *testing.T) {
	t.Parallel()
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		request, err := conn.ReadRequest()
		if err != nil {
			return
		}
		e2etest.Reply(200, request.Line, "Allow: GET")(conn)
		conn.WaitEnd()
	})
	front := e2etest.StartServer(t, server.Config{Upstream: url})
	conn, err := net.Dial("tcp", front.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(e2etest.Timeout)); err != nil {
		t.Fatal(err)
	}
	client := upstreamtest.Conn{Conn: conn, Reader: bufio.NewReader(conn)}
	client.Send("OPTIONS * HTTP/1.1\nHost: " + front.Address + "\nConnection: close\n\n")
	var answer strings.Builder
	if _, err := client.Reader.WriteTo(&answer); err != nil {
		t.Fatal(err)
	}
	if got := answer.String(); !strings.HasSuffix(got, "OPTIONS * HTTP/1.1") || !strings.Contains(got, "\r\nAllow: GET\r\n") {
		t.Errorf("got answer %q", got)
	}
}
