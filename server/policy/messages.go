package policy

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/internal/wsframe"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
)

// connection is the body of a response of status 101.
type connection = httpx.Duplex

// hasModelRules reports whether a token has rights or limits by model.
func hasModelRules(token *clients.Client) bool {
	return token != nil && (len(token.Models) > 0 || len(token.ModelLimits) > 0)
}

// withoutExtensions has the messages of a WebSocket sent as they are, where they are
// judged: compression is agreed on only if a client offers it (RFC 6455 §9.1).
func withoutExtensions(c *request.Record, req *upstream.Request) {
	if hasModelRules(c.Client) {
		delete(req.Header, "Sec-Websocket-Extensions")
	}
}

// judgeMessages has the messages of a WebSocket's client judged by the models that they
// name, where the token has rules for them.
func (g *Gateway) judgeMessages(ctx context.Context, c *request.Record, resp *http.Response) {
	body, ok := resp.Body.(connection)
	if !ok || resp.StatusCode != http.StatusSwitchingProtocols || !hasModelRules(c.Client) {
		return
	}
	token, counted := c.Client, slices.Clone(scopesOf(c))
	resp.Body = &judgedConnection{connection: body, messages: usage.NewMessageChecker(func(model string) bool {
		if !token.AllowsModel(model) {
			return false
		}
		var more []ratelimit.Scope
		for _, scope := range token.Scopes(model) {
			if !slices.ContainsFunc(counted, func(known ratelimit.Scope) bool { return known.Name == scope.Name }) {
				more = append(more, scope)
			}
		}
		if len(more) == 0 || g.config.Limiter == nil {
			return true
		}
		counted = append(counted, more...)
		d := g.config.Limiter.Admit(ctx, more, false)
		if d.Refusal != nil {
			return false
		}
		decision{d}.end(0)
		return true
	})}
}

// judgedConnection is a connection on which the client's messages are judged. A message
// reaches the upstream whole or not at all: the piece in which it ends is judged before
// it is passed on. A message that is refused ends the connection, of which the client is
// told by a close frame.
type judgedConnection struct {
	connection

	messages *usage.MessageChecker
	refused  atomic.Bool
	told     bool // by Read: the close frame was read
}

// Write passes on what the client sends.
func (c *judgedConnection) Write(p []byte) (int, error) {
	if c.refused.Load() {
		return 0, usage.ErrMessage
	}
	if err := c.messages.Sent(p); err != nil {
		c.refused.Store(true)
		_ = c.Close() // which ends Read
		return 0, err
	}
	return c.connection.Write(p)
}

// Read passes on what the upstream sends.
func (c *judgedConnection) Read(p []byte) (int, error) {
	n, err := c.connection.Read(p)
	c.messages.Received(p[:n])
	if n > 0 || err == nil || !c.refused.Load() {
		return n, err
	}
	frame := wsframe.NewClose(wsframe.PolicyViolation, "this API key may not use the model that the message names, or the message cannot be read", false)
	if c.told || len(p) < len(frame) || !c.messages.AtBoundary() {
		return 0, io.EOF
	}
	c.told = true
	return copy(p, frame), nil
}
