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

	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// answer is what a peer does about a request whose head it has read. It reports
// whether the connection may go on.
type answer func(conn *upstreamtest.Conn, head upstreamtest.Head) bool

// says answers with a status and with fields, "Retry-After: 3", and with the
// status once more as the body.
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

// start runs a peer that gives the answers one after another, and the last one
// from then on.
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

// absent is a peer that refuses connections.
func absent(t *testing.T) *peer {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	return &peer{url: "http://" + listener.Addr().String()}
}

// asked returns the requests that came so far.
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

// names are those of the upstreams in the order in which they are asked.
var names = []string{"first", "second", "third"}

// over returns a failover over peers, each with a key that is called as the
// upstream is, "sk-first".
func over(t *testing.T, config failover.Config, peers ...*peer) *failover.Failover {
	t.Helper()
	return overWithin(t, time.Minute, config, peers...)
}

// overWithin is over with so much time for the header of an answer.
func overWithin(t *testing.T, patience time.Duration, config failover.Config, peers ...*peer) *failover.Failover {
	t.Helper()
	for i, p := range peers {
		up, err := upstream.New(upstream.Config{BaseURL: p.url, ResponseHeaderTimeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(up.CloseIdleConnections)
		config.Upstreams = append(config.Upstreams, failover.Upstream{
			Name: names[i], Sender: told{up}, BaseURL: up.BaseURL(), Key: newSecret(t, "sk-"+names[i]),
		})
	}
	f, err := failover.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// told is a sender that tells of each try, when it is over, who asks it by eachTry.
type told struct{ upstream.Sender }

func (s told) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	if over, ok := ctx.Value(eachTryKey{}).(func()); ok {
		defer over()
	}
	return s.Sender.Send(ctx, req)
}

type eachTryKey struct{}

// eachTry returns a context by which over is called after each try.
func eachTry(ctx context.Context, over func()) context.Context {
	return context.WithValue(ctx, eachTryKey{}, over)
}

// text is what the requests of tests have for a body.
const text = `{"model":"gpt-5.4-mini","messages":[]}`

// post is a request as a raw call makes it.
func post(body string) *upstream.Request {
	return &upstream.Request{
		Method: http.MethodPost, Target: "/v1/chat/completions",
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   struct{ io.Reader }{strings.NewReader(body)}, ContentLength: int64(len(body)),
	}
}

// with adds a field to a request.
func with(req *upstream.Request, name, value string) *upstream.Request {
	req.Header[name] = []string{value}
	return req
}

func get() *upstream.Request {
	return &upstream.Request{Method: http.MethodGet, Target: "/v1/models", Header: http.Header{}}
}

// read reads an answer to its end.
func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// senderFunc is a sender without a network, for tests with a clock of their own.
type senderFunc func(ctx context.Context, req *upstream.Request) (*http.Response, error)

func (f senderFunc) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	return f(ctx, req)
}

// startUnread is start for a peer that answers each request when it has read the
// head, on a connection of its own.
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
