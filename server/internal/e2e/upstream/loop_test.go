package upstream_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A server that is its own upstream sends exactly one request to itself, for typed
// and raw requests.
func TestLoop_IsDetected(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]string{
		"raw":   "GET /v1/models HTTP/1.1\nHost: x\n\n",
		"typed": e2etest.ConnectRequestText(e2etest.CreateProcedure, e2etest.HelloMessage, "Host: x"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			front, err := server.New(server.Config{Upstream: "http://" + listener.Addr().String()})
			if err != nil {
				t.Fatal(err)
			}
			defer front.Close()
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			var mu sync.Mutex
			var paths []string
			counted := &http.Server{ReadHeaderTimeout: e2etest.Timeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				paths = append(paths, r.URL.Path)
				mu.Unlock()
				front.ServeHTTP(w, r)
			})}
			go func() { served <- counted.Serve(listener) }()
			defer func() {
				stop()
				counted.Close()
				<-served
			}()
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			client := &upstreamtest.Conn{Conn: conn, Reader: bufio.NewReader(conn)}
			client.Send(sent)
			head, err := client.ReadHead()
			if err != nil {
				t.Fatal(err)
			}
			answer, err := client.ReadBody(head)
			want, requests := `"code":"loop_detected"`, 2
			if name == "typed" {
				want, requests = `"code":"internal"`, 3 // the RPC and its REST request, twice
			}
			if err != nil || !strings.Contains(answer.Body, want) || !strings.Contains(answer.Body, "request loop detected") {
				t.Errorf("got response %q with body %q and error %v", head.Line, answer.Body, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(paths) != requests {
				t.Errorf("got requests for %q", paths)
			}
		})
	}
}
