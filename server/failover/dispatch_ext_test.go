package failover_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Each row is a failure of the first of two upstreams. The second one responds with 200
// unless stated otherwise.
func TestFailover_RetriesOnlyWhenSafe(t *testing.T) {
	const none = 0 // of the kinds of errors
	for _, row := range []struct {
		name          string
		first, second []answer // nil refuses connections
		request       func() *upstream.Request
		retries       int

		by       string // who answered, with which status; or which kind of error there is
		status   int
		kind     upstream.Kind
		attempts int
		asked    [2]int // how often each got the request
	}{
		{"an upstream that responds is the only one", []answer{says(200)}, []answer{says(200)}, nil, 1, "first", 200, none, 1, [2]int{1, 0}},
		{"a refused connection", nil, []answer{says(200)}, nil, 0, "second", 200, none, 2, [2]int{0, 1}},
		{"a refused connection, with retries", nil, []answer{says(200)}, nil, 2, "second", 200, none, 4, [2]int{0, 1}},
		{"no upstream to connect to", nil, nil, nil, 1, "", 0, upstream.KindConnect, 4, [2]int{}},
		{"429", []answer{says(429)}, []answer{says(200)}, nil, 1, "second", 200, none, 2, [2]int{1, 1}},
		{"503", []answer{says(503)}, []answer{says(200)}, nil, 1, "second", 200, none, 2, [2]int{1, 1}},
		{"529", []answer{says(529)}, []answer{says(200)}, nil, 1, "second", 200, none, 2, [2]int{1, 1}},
		{"all reject, and the last rejection is returned", []answer{says(429)}, []answer{says(503)}, nil, 1, "second", 503, none, 2, [2]int{1, 1}},
		{"a rejection takes precedence over a failed connection", []answer{says(429)}, nil, nil, 1, "first", 429, none, 3, [2]int{1, 0}},
		{"a request that may have been processed takes precedence over a rejection", []answer{says(429)}, []answer{hangsUp}, nil, 1, "", 0, upstream.KindClosed, 2, [2]int{1, 1}},

		{"500 to a request that is not idempotent", []answer{says(500)}, []answer{says(200)}, nil, 1, "first", 500, none, 1, [2]int{1, 0}},
		{"500 to an idempotent request", []answer{says(500)}, []answer{says(200)}, get, 1, "first", 500, none, 1, [2]int{1, 0}},
		{"502 to a request that is not idempotent", []answer{says(502)}, []answer{says(200)}, nil, 1, "first", 502, none, 1, [2]int{1, 0}},
		{"502 to an idempotent request", []answer{says(502)}, []answer{says(200)}, get, 1, "second", 200, none, 2, [2]int{1, 1}},
		{"504 to a request that is not idempotent", []answer{says(504)}, []answer{says(200)}, nil, 1, "first", 504, none, 1, [2]int{1, 0}},
		{"504 to an idempotent request", []answer{says(504)}, []answer{says(200)}, get, 1, "second", 200, none, 2, [2]int{1, 1}},
		{"400", []answer{says(400)}, []answer{says(200)}, nil, 1, "first", 400, none, 1, [2]int{1, 0}},
		{"401", []answer{says(401)}, []answer{says(200)}, nil, 1, "first", 401, none, 1, [2]int{1, 0}},

		{"closed, not idempotent", []answer{hangsUp}, []answer{says(200)}, nil, 1, "", 0, upstream.KindClosed, 1, [2]int{1, 0}},
		{"closed once, idempotent", []answer{hangsUp, says(200)}, []answer{says(200)}, get, 1, "first", 200, none, 2, [2]int{2, 0}},
		{"always closed, idempotent", []answer{hangsUp}, []answer{says(200)}, get, 1, "second", 200, none, 3, [2]int{2, 1}},
		{"closed once, with an Idempotency-Key", []answer{hangsUp, says(200)}, []answer{says(200)}, keyed, 1, "first", 200, none, 2, [2]int{2, 0}},
		{"always closed, with an Idempotency-Key that others don't know", []answer{hangsUp}, []answer{says(200)}, keyed, 1, "", 0, upstream.KindClosed, 2, [2]int{2, 0}},
		{"closed and then rejected, with an Idempotency-Key", []answer{hangsUp, says(429)}, []answer{says(200)}, keyed, 1, "first", 429, none, 2, [2]int{2, 0}},
		{"reset, not idempotent", []answer{resets}, []answer{says(200)}, nil, 1, "", 0, upstream.KindClosed, 1, [2]int{1, 0}},
		{"reset, idempotent", []answer{resets, says(200)}, []answer{says(200)}, get, 1, "first", 200, none, 2, [2]int{2, 0}},
		{"a truncated header", []answer{breaksOffInTheHeader}, []answer{says(200)}, nil, 1, "", 0, upstream.KindClosed, 1, [2]int{1, 0}},
		{"a timeout, idempotent", []answer{hangs}, []answer{says(200)}, get, 1, "", 0, upstream.KindTimeout, 1, [2]int{1, 0}},
		{"not HTTP", []answer{speaksSomethingElse}, []answer{says(200)}, get, 1, "", 0, upstream.KindMalformed, 1, [2]int{1, 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var peers []*peer
			for _, answers := range [][]answer{row.first, row.second} {
				if answers == nil {
					peers = append(peers, absent(t))
				} else {
					peers = append(peers, start(t, answers...))
				}
			}
			request := post(text)
			if row.request != nil {
				request = row.request()
			}
			attempts := 0
			patience := time.Minute
			if row.kind == upstream.KindTimeout {
				patience = 50 * time.Millisecond
			}
			f := overWithin(t, patience, failover.Config{
				Retries: row.retries,
			}, peers...)
			resp, err := f.Send(afterAttempt(t.Context(), func() { attempts++ }), request)
			switch failure, failed := errors.AsType[*upstream.Error](err); {
			case row.kind == none && err != nil, row.kind != none && (!failed || failure.Kind != row.kind):
				t.Fatalf("got error %v, want kind %v", err, row.kind)
			case row.kind == none:
				if body := read(t, resp); resp.StatusCode != row.status || body != strconv.Itoa(row.status) {
					t.Errorf("got %d %q, want %d", resp.StatusCode, body, row.status)
				}
				by, count := resp.Header.Get(failover.UpstreamHeader), resp.Header.Get(failover.AttemptsHeader)
				if by != row.by || count != strconv.Itoa(row.attempts) {
					t.Errorf("got upstream %s after %s attempts, want %s after %d", by, count, row.by, row.attempts)
				}
			}
			if attempts != row.attempts {
				t.Errorf("got %d recorded attempts, want %d", attempts, row.attempts)
			}
			for i, p := range peers {
				got := p.asked()
				if len(got) != row.asked[i] {
					t.Errorf("the %s upstream received %d requests, want %d", names[i], len(got), row.asked[i])
				}
				for _, one := range got {
					want := text
					if request.Method == http.MethodGet {
						want = ""
					}
					if one.Body != want || one.Target() != request.Target {
						t.Errorf("the %s upstream received %s with %q", names[i], one.Line, one.Body)
					}
				}
			}
		})
	}
}

func keyed() *upstream.Request { return with(post(text), "Idempotency-Key", "a-key") }

func TestFailover_DoesNotRetryATruncatedResponse(t *testing.T) {
	first, second := start(t, breaksOffInTheBody), start(t, says(200))
	resp, err := over(t, failover.Config{Retries: 5}, first, second).Send(t.Context(), post(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if failure, ok := errors.AsType[*upstream.Error](err); !ok || failure.Kind != upstream.KindTruncated || string(body) != "data: {}\n\n" {
		t.Errorf("got %q, %v", body, err)
	}
	if len(first.asked()) != 1 || len(second.asked()) != 0 {
		t.Errorf("got %d and %d requests", len(first.asked()), len(second.asked()))
	}
}

func TestFailover_ReturnsTheLastRejectionUnchanged(t *testing.T) {
	first := start(t, says(429, "Retry-After: 7", "X-Request-Id: req_1", "X-Ratelimit-Remaining-Requests: 0"))
	resp, err := over(t, failover.Config{}, first, absent(t)).Send(t.Context(), post(text))
	if err != nil {
		t.Fatal(err)
	}
	body := read(t, resp)
	for name, want := range map[string]string{
		"Retry-After": "7", "X-Request-Id": "req_1", "X-Ratelimit-Remaining-Requests": "0", "Content-Length": "3",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if resp.StatusCode != 429 || body != "429" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
}

// The redirect responds to a POST, which was processed. The GET that follows it fails.
func TestFailover_DoesNotRetryARequestThatBecameAGET(t *testing.T) {
	for _, row := range []struct {
		name     string
		location int
		then     answer
		again    bool
	}{
		{"303, and then 503", 303, says(503), false},
		{"302, and then 429", 302, says(429), false},
		{"303, and then hung up", 303, hangsUp, false},
		{"307, which keeps the POST, and then 503", 307, says(503), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			first, second := start(t, says(row.location, "Location: /v1/there"), row.then), start(t, says(200))
			request := post(text)
			resp, err := over(t, failover.Config{}, first, second).Send(t.Context(), request)
			if err == nil {
				resp.Body.Close()
			}
			if got := len(second.asked()); got > 0 != row.again {
				t.Errorf("the second upstream received %d requests", got)
			}
			got := first.asked()
			if len(got) < 2 || got[0].Target() != request.Target || got[1].Target() != "/v1/there" {
				t.Errorf("the first upstream received %v", got)
			}
		})
	}
}

func TestFailover_RetriesAWebSocketBeforeItIsEstablished(t *testing.T) {
	first := start(t, says(503))
	second := start(t, func(conn *upstreamtest.Conn, _ upstreamtest.Head) bool {
		conn.Send("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n\n")
		_, _ = io.Copy(conn, conn.Reader)
		return false
	})
	request := get()
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Websocket-Version": "13",
	} {
		with(request, name, value)
	}
	resp, err := over(t, failover.Config{}, first, second).Send(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get(failover.UpstreamHeader) != "second" {
		t.Fatalf("got status %d from %s", resp.StatusCode, resp.Header.Get(failover.UpstreamHeader))
	}
	if got := second.asked()[0].Value("Sec-WebSocket-Key"); got != "dGhlIHNhbXBsZSBub25jZQ==" {
		t.Errorf("got WebSocket key %q", got)
	}
	both := resp.Body.(io.ReadWriter)
	if _, err := io.WriteString(both, "hello"); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 5)
	if _, err := io.ReadFull(both, echo); err != nil || string(echo) != "hello" {
		t.Errorf("got echo %q, %v", echo, err)
	}
}

func TestFailover_LogsFailedAttemptsWithoutSecrets(t *testing.T) {
	var log strings.Builder
	f := over(t, failover.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}, absent(t), start(t, says(503)), start(t, says(200)))
	resp, err := f.Send(t.Context(), with(post(text), "Authorization", "Bearer sk-client"))
	if err != nil {
		t.Fatal(err)
	}
	read(t, resp)
	got := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(got) != 2 || !strings.Contains(got[0], "level=WARN") ||
		!strings.Contains(got[0], "upstream=first attempt=1 error=") || !strings.Contains(got[1], "upstream=second attempt=2 status=503") {
		t.Errorf("got log %q", got)
	}
	if strings.Contains(log.String(), "sk-") {
		t.Errorf("the log contains a key: %q", got)
	}
}

func TestFailover_EndsWithTheContext(t *testing.T) {
	reason := errors.New("the client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	attempts := 0
	f := over(t, failover.Config{Retries: 5}, absent(t), absent(t))
	_, err := f.Send(afterAttempt(ctx, func() {
		attempts++
		cancel(reason)
	}), post(text))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) || attempts != 1 {
		t.Errorf("got error %v after %d attempts", err, attempts)
	}
}
