package failover_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// answer responds to a request whose header has been read. It reports whether the connection
// stays open.
type answer func(conn *upstreamtest.Conn, head upstreamtest.Head) bool

// says returns an answer with a status, header lines such as "Retry-After: 3", and the status
// as its body.
func says(status int, fields ...string) answer {
	return func(conn *upstreamtest.Conn, _ upstreamtest.Head) bool {
		body := strconv.Itoa(status)
		conn.Send(fmt.Sprintf("HTTP/1.1 %d Status\n%sContent-Length: %d\n\n%s", status, lines(fields), len(body), body))
		return true
	}
}

func lines(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return strings.Join(fields, "\n") + "\n"
}

// Faults.
var (
	hangsUp answer = func(*upstreamtest.Conn, upstreamtest.Head) bool { return false }

	resets answer = func(conn *upstreamtest.Conn, _ upstreamtest.Head) bool {
		_ = conn.Conn.(*net.TCPConn).SetLinger(0)
		return false
	}

	breaksOffInTheHeader answer = func(conn *upstreamtest.Conn, _ upstreamtest.Head) bool {
		conn.Send("HTTP/1.1 200 OK\nContent-Le")
		return false
	}

	breaksOffInTheBody answer = func(conn *upstreamtest.Conn, _ upstreamtest.Head) bool {
		conn.Send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n")
		conn.SendChunk("data: {}\n\n")
		return false
	}

	hangs answer = func(conn *upstreamtest.Conn, _ upstreamtest.Head) bool {
		conn.WaitEnd()
		return false
	}

	speaksSomethingElse answer = func(conn *upstreamtest.Conn, _ upstreamtest.Head) bool {
		conn.Send("SSH-2.0-OpenSSH_9.9\n")
		return false
	}
)

// peer is an upstream on a raw socket.
type peer struct {
	url string

	mu       sync.Mutex
	requests []upstreamtest.Request // guarded by mu
}

// start runs a peer that uses the answers in order, and repeats the last one.
func start(t *testing.T, answers ...answer) *peer {
	t.Helper()
	p := new(peer)
	p.url = upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			p.mu.Lock()
			n := len(p.requests)
			p.requests = append(p.requests, request)
			p.mu.Unlock()
			if !answers[min(n, len(answers)-1)](conn, request.Head) {
				return
			}
		}
	})
	return p
}

// absent returns a peer that refuses connections.
func absent(t *testing.T) *peer {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return &peer{url: "http://" + listener.Addr().String()}
}

// asked returns the requests received so far.
func (p *peer) asked() []upstreamtest.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

func newSecret(t *testing.T, text string) secret.Secret {
	t.Helper()
	s, err := secret.New(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// names are the names of the upstreams, in order.
var names = []string{"first", "second", "third"}

// withClientKeys is the policy of a server whose clients send their own upstream keys.
var withClientKeys = new(auth.Policy)

// newFailover returns a failover with a policy for its upstreams. Upstreams without a key
// receive "sk-server".
func newFailover(config failover.Config) (*failover.Failover, error) {
	rules := auth.Config{}
	for _, u := range config.Upstreams {
		rules.Upstreams = append(rules.Upstreams, auth.Upstream{Name: u.Name, BaseURL: u.BaseURL, Key: u.Key, NoKey: u.NoKey})
		if u.Key.IsZero() && !u.NoKey && config.Policy != withClientKeys {
			rules.UpstreamKey, _ = secret.New("sk-server")
		}
	}
	if config.Policy != withClientKeys {
		rules.ClientKey, _ = secret.New("oc-client")
	}
	var err error
	if config.Policy, err = auth.NewPolicy(rules); err != nil {
		return nil, err
	}
	return failover.New(config)
}

// over returns a failover over peers, whose keys contain their names: "sk-first".
func over(t *testing.T, config failover.Config, peers ...*peer) *failover.Failover {
	t.Helper()
	return overWithin(t, time.Minute, config, peers...)
}

// overWithin is over with a timeout for the response header.
func overWithin(t *testing.T, patience time.Duration, config failover.Config, peers ...*peer) *failover.Failover {
	t.Helper()
	for i, p := range peers {
		up, err := upstream.New(upstream.Config{BaseURL: p.url, ResponseHeaderTimeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(up.CloseIdleConnections)
		config.Upstreams = append(config.Upstreams, failover.Upstream{
			Name: names[i], Sender: notifying{up}, BaseURL: up.BaseURL(), Key: newSecret(t, "sk-"+names[i]),
		})
	}
	f, err := newFailover(config)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// notifying is a sender that calls the function of afterAttempt after each attempt.
type notifying struct{ upstream.Sender }

func (s notifying) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	if over, ok := ctx.Value(afterAttemptKey{}).(func()); ok {
		defer over()
	}
	return s.Sender.Send(ctx, req)
}

type afterAttemptKey struct{}

// afterAttempt returns a context that makes notifying call done after each attempt.
func afterAttempt(ctx context.Context, over func()) context.Context {
	return context.WithValue(ctx, afterAttemptKey{}, over)
}

// text is the body of the requests in tests.
const text = `{"model":"gpt-5.4-mini","messages":[]}`

// post returns a POST like those of the raw API.
func post(body string) *upstream.Request {
	return &upstream.Request{
		Method: http.MethodPost, Target: "/v1/chat/completions",
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   struct{ io.Reader }{strings.NewReader(body)}, ContentLength: int64(len(body)),
	}
}

// with adds a header to a request.
func with(req *upstream.Request, name, value string) *upstream.Request {
	req.Header[name] = []string{value}
	return req
}

func get() *upstream.Request {
	return &upstream.Request{Method: http.MethodGet, Target: "/v1/models", Header: http.Header{}}
}

// read reads and closes the body of a response.
func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// senderFunc is a sender without a network, for tests with fake time.
type senderFunc func(ctx context.Context, req *upstream.Request) (*http.Response, error)

func (f senderFunc) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	return f(ctx, req)
}

// startUnread is start for a peer that responds to each request, on its own connection,
// after it has read the header.
func startUnread(t *testing.T, then answer) *peer {
	t.Helper()
	p := new(peer)
	p.url = upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		head, err := conn.ReadHead()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.requests = append(p.requests, upstreamtest.Request{Head: head})
		p.mu.Unlock()
		then(conn, head)
		conn.WaitEnd()
	})
	return p
}
