package policy

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/internal/wsframe"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
)

// removeExtensions disables the compression of a WebSocket whose messages are checked.
// An upstream compresses only if the client offers it (RFC 6455, section 9.1).
func removeExtensions(record *request.Record, req *upstream.Request) {
	if hasModelRules(record.Client) {
		delete(req.Header, "Sec-Websocket-Extensions")
	}
}

// checkMessages checks the models in the messages that the client of a WebSocket sends, if
// the client has rules by model.
func (s *Sender) checkMessages(ctx context.Context, record *request.Record, resp *http.Response) {
	conn, ok := resp.Body.(httpx.Duplex)
	if !ok || resp.StatusCode != http.StatusSwitchingProtocols || !hasModelRules(record.Client) {
		return
	}
	client := record.Client
	counted := s.scopes(record, func(limits ratelimit.Limits) ratelimit.Limits { return limits })
	resp.Body = &checkedConn{Duplex: conn, checker: usage.NewMessageChecker(func(model string) bool {
		if !client.AllowsModel(model) {
			return false
		}
		var scopes []ratelimit.Scope
		for _, scope := range client.Scopes(model) {
			if !hasScope(counted, scope.Name) {
				scopes = append(scopes, scope)
			}
		}
		if len(scopes) == 0 || s.config.Limiter == nil {
			return true
		}
		counted = append(counted, scopes...)
		d := s.config.Limiter.Admit(ctx, scopes, false)
		endDecision(d, 0)
		return d.Rejection == nil
	})}
}

// checkedConn is a WebSocket with checks of the messages that the client sends. The end of
// a message is forwarded only after the check, so a rejected message is never complete. A
// rejected message closes the connection, after a close frame to the client.
type checkedConn struct {
	httpx.Duplex

	checker   *usage.MessageChecker
	rejected  atomic.Bool
	sentClose bool // used by Read
}

// Write forwards a piece that the client sends.
func (c *checkedConn) Write(p []byte) (int, error) {
	if c.rejected.Load() {
		return 0, usage.ErrMessageRejected
	}
	if err := c.checker.CheckSent(p); err != nil {
		c.rejected.Store(true)
		_ = c.Close() // Close interrupts Read.
		return 0, err
	}
	return c.Duplex.Write(p)
}

// Read returns the next piece that the upstream sends.
func (c *checkedConn) Read(p []byte) (int, error) {
	n, err := c.Duplex.Read(p)
	c.checker.TrackReceived(p[:n])
	if n > 0 || err == nil || !c.rejected.Load() {
		return n, err
	}
	frame := wsframe.NewClose(wsframe.PolicyViolation, "the message names a model that this API key may not use, or cannot be read", false)
	if c.sentClose || len(p) < len(frame) || !c.checker.AtBoundary() {
		return 0, io.EOF
	}
	c.sentClose = true
	return copy(p, frame), nil
}
