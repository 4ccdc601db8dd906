// Package policy decides about each request on its way to the upstream: whether
// the client's token may make it, how much of its limits is left, and with which
// key of the upstream it goes up. It counts what the answer takes.
//
// It stands where typed and raw calls have become the same, a REST request, so
// that what holds for one way in holds for the other. A request that it doesn't
// let through gets an answer in the form of OpenAI's own errors, which either way
// passes on as it would the upstream's.
package policy

import (
	"cmp"
	"context"
	"net/http"

	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
	"github.com/openai-connect/openai-connect/server/usage/metering"
)

// Defaults of [Config].
const (
	DefaultMaxBodyBytes = 64 << 20
	DefaultMaxKeptBytes = 256 << 20
)

// Config configures a gateway.
type Config struct {
	// Next is where requests go that are let through.
	Next upstream.Sender

	// UpstreamKey goes up with the requests of clients whose token has no key of
	// its own, as "authorization: Bearer KEY". None means that what the client sent
	// goes up.
	UpstreamKey secret.Secret

	// Limiter counts what tokens use. Nil means that nothing is limited.
	Limiter ratelimit.Limiter

	// MaxBodyBytes bounds the JSON body of a request whose model has to be known,
	// which is kept until it is sent. A larger one is answered with status 413.
	// Zero means [DefaultMaxBodyBytes].
	MaxBodyBytes int64

	// Memory is the budget of such bodies, until they are sent. One that there is no
	// room for is answered with status 503, or 413 if there never is, and one that comes
	// too slowly while there is little, with 408. Nil means one of MaxKeptBytes, for the
	// gateway alone.
	Memory *memory.Budget

	// MaxKeptBytes is the size of the budget where there is no Memory. Zero means
	// [DefaultMaxKeptBytes].
	MaxKeptBytes int64

	// OnDecision, unless nil, is told what became of each request that has limits:
	// the kind of the limit that was used up, or "", and whether that was counted for
	// all instances or for this one alone.
	OnDecision func(token string, refused ratelimit.Kind, shared bool)
}

// Gateway is an [upstream.Sender].
type Gateway struct {
	config Config
}

// New returns a gateway.
func New(config Config) *Gateway {
	config.MaxBodyBytes = cmp.Or(config.MaxBodyBytes, DefaultMaxBodyBytes)
	if config.Memory == nil {
		config.Memory = memory.New(cmp.Or(config.MaxKeptBytes, DefaultMaxKeptBytes), false)
	}
	return &Gateway{config: config}
}

// Send implements [upstream.Sender].
func (g *Gateway) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	c := request.FromContext(ctx)
	if c.Client == nil {
		g.authorize(c, req)
		return g.config.Next.Send(ctx, req)
	}
	hold := g.config.Memory.Hold(c.ClientName())
	defer hold.Close()
	asked, refusal, err := g.inspect(ctx, c, req, hold)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	case refusal != nil:
		return reject(c, req, refusal), nil
	}
	decision, refusal := g.admit(ctx, c)
	if refusal != nil {
		return reject(c, req, refusal), nil
	}
	g.authorize(c, req)
	withoutExtensions(c, req)
	lists := asksForModels(c.Client, req)
	if lists {
		askForModels(req)
	}
	resp, err := g.config.Next.Send(ctx, req)
	if err != nil {
		decision.end(0)
		return nil, err
	}
	decision.describe(resp.Header)
	streams := c.Streaming
	g.account(ctx, c, asked, resp, decision)
	g.judgeMessages(ctx, c, resp)
	if lists {
		return g.filterModels(ctx, c, req, resp)
	}
	if c.Streaming && !streams {
		if refusal := g.admitStream(ctx, c); refusal != nil {
			_ = resp.Body.Close()
			return reject(c, req, refusal), nil
		}
	}
	return resp, nil
}

// authorize puts the upstream's key on a request. A TRACE gets none, as its answer
// is the request (RFC 9110 §9.3.8).
func (g *Gateway) authorize(c *request.Record, req *upstream.Request) {
	key := g.config.UpstreamKey
	if c.Client != nil && !c.Client.UpstreamKey.IsZero() {
		key = c.Client.UpstreamKey
	}
	if key.IsZero() || req.Method == http.MethodTrace {
		return
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header["Authorization"] = []string{"Bearer " + key.Reveal()}
}

// account has the response's tokens counted when the request ends, and those of a
// WebSocket before, too.
func (g *Gateway) account(ctx context.Context, c *request.Record, asked usage.Request, resp *http.Response, decision decision) {
	tap := metering.ReadResponse(c, asked, resp)
	counted := func() int64 { return 0 }
	if resp.StatusCode == http.StatusSwitchingProtocols {
		counted = g.follow(ctx, c, tap)
	}
	c.OnEnd(func() { decision.end(tap.Response().Usage.Charge() - counted()) })
}
