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

// session is an upstream that opens WebSockets, which send the strings of a channel.
type session struct{ says chan string }

func (s session) Send(context.Context, *upstream.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, Body: conn(s),
	}, nil
}

// conn is the connection of a WebSocket.
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

// done returns a frame with the usage of a response.
func done(tokens int) string {
	text := `{"type": "response.done", "response": {"usage": {"total_tokens": ` + strconv.Itoa(tokens) + `}}}`
	return "\x81" + string(rune(len(text))) + text
}

// Tokens are counted once, while the WebSocket is open. If the limits are used up, they are
// counted later.
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
			t.Errorf("%d tokens remain before the interval, want 100", got)
		}
		time.Sleep(chargeInterval)
		synctest.Wait()
		if got := left(); got != 40 {
			t.Errorf("%d tokens remain after the interval, want 40", got)
		}
		says <- done(70)
		time.Sleep(chargeInterval)
		synctest.Wait()
		if got := left(); got != 0 {
			t.Errorf("%d tokens remain after the second response, want none", got)
		}
		says <- done(5) // The limit is used up.
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := left(); got != 95 {
			t.Errorf("%d tokens remain in the next minute, want 95", got)
		}
		says <- done(15)
		close(says)
		if err := <-reader; err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close()
		c.End()
		if got := left(); got != 80 {
			t.Errorf("%d tokens remain at the end, want 80", got)
		}
	})
}
