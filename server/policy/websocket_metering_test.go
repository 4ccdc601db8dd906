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

// session is an upstream that opens WebSockets. They send the strings of the channel frames.
type session struct{ frames chan string }

func (s session) Send(context.Context, *upstream.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, Body: conn(s),
	}, nil
}

// conn is the connection of a WebSocket that sends the strings of the channel frames.
type conn struct{ frames chan string }

func (record conn) Read(p []byte) (int, error) {
	frame, ok := <-record.frames
	if !ok {
		return 0, io.EOF
	}
	return copy(p, frame), nil
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
		frames := make(chan string)
		limiter := ratelimit.NewMemory()
		sender := New(Config{Next: session{frames}, Limiter: limiter})
		client := &clients.Client{Name: "alice", Limits: ratelimit.Limits{TokensPerMinute: 100, RequestsPerMinute: 1000}}
		remaining := func() int64 {
			d := limiter.Admit(t.Context(), client.Scopes(""), false)
			defer d.End(0)
			if d.Rejection != nil {
				return 0
			}
			return d.States.Tokens.Remaining
		}
		record := &request.Record{Client: client}
		resp, err := sender.Send(request.NewContext(t.Context(), record), &upstream.Request{
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
		frames <- done(60)
		synctest.Wait()
		if got := remaining(); got != 100 {
			t.Errorf("%d tokens remain before the interval, want 100", got)
		}
		time.Sleep(chargeInterval)
		synctest.Wait()
		if got := remaining(); got != 40 {
			t.Errorf("%d tokens remain after the interval, want 40", got)
		}
		frames <- done(70)
		time.Sleep(chargeInterval)
		synctest.Wait()
		if got := remaining(); got != 0 {
			t.Errorf("%d tokens remain after the second response, want none", got)
		}
		frames <- done(5) // The limit is used up.
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := remaining(); got != 95 {
			t.Errorf("%d tokens remain in the next minute, want 95", got)
		}
		frames <- done(15)
		close(frames)
		if err := <-reader; err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close()
		record.End()
		if got := remaining(); got != 80 {
			t.Errorf("%d tokens remain at the end, want 80", got)
		}
	})
}
