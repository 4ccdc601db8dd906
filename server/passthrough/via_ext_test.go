package passthrough_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// serverName stands for the unique name of a server in the Via header of requests.
const serverName = "openai-connect-########"

var pseudonym = regexp.MustCompile(`openai-connect-[0-9a-f]{8}\b`)

// named replaces names of servers with serverName.
func named(values []string) []string {
	replaced := slices.Clone(values)
	for i, value := range values {
		replaced[i] = pseudonym.ReplaceAllString(value, serverName)
	}
	return replaced
}

// chain starts passthroughs, each with the next one as its upstream. The upstream of the
// last one is another URL, or the first one if that is empty. chain returns the address
// of the first one and the number of requests received by all.
func chain(t *testing.T, length int, last string) (string, *atomic.Int64) {
	t.Helper()
	received := new(atomic.Int64)
	handlers := make([]http.Handler, length)
	addresses := make([]string, length)
	for i := range handlers {
		addresses[i] = listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			received.Add(1)
			handlers[i].ServeHTTP(w, r)
		}))
	}
	for i := range handlers {
		next := last
		if i+1 < length || last == "" {
			next = "http://" + addresses[(i+1)%length]
		}
		up, err := upstream.New(upstream.Config{BaseURL: next})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(up.CloseIdleConnections)
		handlers[i] = passthrough.New(up, passthrough.Options{})
	}
	return addresses[0], received
}

func TestVia_DetectsALoop(t *testing.T) {
	t.Parallel()
	for name, length := range map[string]int{"a server before itself": 1, "two in a circle": 2, "five in a circle": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, request := range map[string]string{
				"a request":               "GET /v1/models HTTP/1.1\nHost: x\n\n",
				"a preflight":             "OPTIONS /v1/models HTTP/1.1\nHost: x\nOrigin: https://a.example\nAccess-Control-Request-Method: POST\n\n",
				"an upload":               "POST /v1/files HTTP/1.1\nHost: x\nContent-Length: 5\n\nHello",
				"an upload in chunks":     "POST /v1/files HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nHello\n0\n\n",
				"a WebSocket":             "GET /v1/realtime HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n\n",
				"one that hides its ways": "GET /v1/models HTTP/1.1\nHost: x\nConnection: Via\n\n",
			} {
				address, received := chain(t, length, "")
				client := connect(t, address)
				client.Send(request)
				head, err := client.ReadHead()
				if err != nil {
					t.Fatal(err)
				}
				answer, err := client.ReadBody(head)
				if err != nil || head.Line != "HTTP/1.1 508 Loop Detected" ||
					!strings.Contains(answer.Body, `"code":"loop_detected"`) || !strings.Contains(answer.Body, "request loop detected") {
					t.Errorf("%s: got %q with %q, %v", what, head.Line, answer.Body, err)
				}
				if got := received.Load(); got != int64(length)+1 {
					t.Errorf("%s: got %d requests", what, got)
				}
			}
		})
	}
}

func TestVia_AllowsAChainOfServers(t *testing.T) {
	t.Parallel()
	vias := make(chan []string, 1)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if request, err := conn.ReadRequest(); err == nil {
			vias <- request.Values("Via")
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	})
	const length = 4
	address, received := chain(t, length, url)
	client := connect(t, address)
	client.Send("GET /v1/models HTTP/1.1\nHost: x\n\n")
	head, err := client.ReadHead()
	if err != nil || head.Line != "HTTP/1.1 204 No Content" {
		t.Fatalf("got %q, %v", head.Line, err)
	}
	via := await(t, vias, "the request")
	if names := named(via); len(names) != length || slices.ContainsFunc(names, func(name string) bool { return name != "1.1 "+serverName }) {
		t.Errorf("got Via %q", via)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(via)))) != length {
		t.Errorf("two servers have the same name: %q", via)
	}
	if got := received.Load(); got != length {
		t.Errorf("got %d requests", got)
	}
}

func TestVia_BoundsTheNumberOfServers(t *testing.T) {
	t.Parallel()
	address := forward(t, upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			if _, err := conn.ReadRequest(); err != nil {
				return
			}
			conn.Send("HTTP/1.1 204 No Content\n\n")
		}
	}))
	const ours, passes, loops = "1.1 openai-connect-00000000", "HTTP/1.1 204 No Content", "HTTP/1.1 508 Loop Detected"
	for name, row := range map[string]struct{ via, line string }{
		"none":                           {"", passes},
		"fifteen":                        {strings.Repeat(ours+", ", 14) + ours, passes},
		"sixteen":                        {strings.Repeat(ours+", ", 15) + ours, loops},
		"sixteen in fields of their own": {strings.Repeat(ours+"\nVia: ", 15) + ours, loops},
		"sixteen that have comments":     {strings.Repeat(ours+" (a comment),\t", 15) + ours, loops},
		"sixteen that have no number":    {strings.Repeat("2 openai-connect,", 16), loops},
		"a hundred of other products":    {strings.Repeat("1.1 vegur, ", 50) + strings.Repeat("1.1 openai-connector, ", 50), passes},
		"what is none":                   {strings.Repeat(",openai-connect , (1.1),", 20), passes},
	} {
		client := connect(t, address)
		client.Send("GET /v1/models HTTP/1.1\nHost: x\nVia: " + row.via + "\n\n")
		if head, err := client.ReadHead(); err != nil || head.Line != row.line {
			t.Errorf("%s: got %q, %v", name, head.Line, err)
		}
	}
}
