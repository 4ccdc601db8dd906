package policy

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// session is an upstream that opens WebSockets, which say what they are told to.
type session struct{ says chan string }

func (s session) Send(context.Context, *upstream.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, Body: conn(s),
	}, nil
}

// conn is the connection of one.
type conn struct{ says chan string }

func (c conn) Read(p []byte) (int, error) {
	said, ok := <-c.says
	if !ok {
		return 0, io.EOF
	}
	return copy(p, said), nil
}

func (conn) Write(p []byte) (int, error)     { return len(p), nil }
func (conn) Close() error                    { return nil }
func (conn) CloseWrite() error               { return nil }
func (conn) SetReadDeadline(time.Time) error { return nil }

// done is a frame of a server's that tells what a response took (RFC 6455 §5.2).
func done(tokens int) string {
	text := `{"type": "response.done", "response": {"usage": {"total_tokens": ` + strconv.Itoa(tokens) + `}}}`
	return "\x81" + string(rune(len(text))) + text
}

// A WebSocket may be open for hours: what it takes counts while it does, once, and
// what is refused meanwhile counts later.
func TestPolicy_ChargesOpenWebSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := make(chan string)
		limiter := ratelimit.NewMemory()
		g := New(Config{Next: session{says}, Limiter: limiter})
		token := &clients.Client{Name: "alice", Limits: ratelimit.Limits{TokensPerMinute: 100, RequestsPerMinute: 1000}}
		left := func() int64 {
			d := limiter.Admit(t.Context(), token.Scopes(""), false)
			defer d.End(0)
			if d.Refusal != nil {
				return 0
			}
			return d.States.Tokens.Remaining
		}
		c := &request.Record{Client: token}
		resp, err := g.Send(request.NewContext(t.Context(), c), &upstream.Request{
			Method: http.MethodGet, Target: "/v1/realtime?model=m",
			Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		reader := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, resp.Body)
			reader <- err
		}()
		says <- done(60)
		synctest.Wait()
		if got := left(); got != 100 {
			t.Errorf("at once %d are left, want 100", got)
		}
		time.Sleep(chargeInterval)
		synctest.Wait()
		if got := left(); got != 40 {
			t.Errorf("then %d are left, want 40", got)
		}
		says <- done(70)
		time.Sleep(chargeInterval)
		synctest.Wait()
		if got := left(); got != 0 {
			t.Errorf("behind the second response %d are left, want none", got)
		}
		says <- done(5) // while none is left
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := left(); got != 95 {
			t.Errorf("in the next minute %d are left, want 95", got)
		}
		says <- done(15)
		close(says)
		if err := <-reader; err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close()
		c.End()
		if got := left(); got != 80 {
			t.Errorf("in the end %d are left, want 80", got)
		}
	})
}
