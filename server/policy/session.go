package policy

import (
	"context"
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/usage"
)

// sessionInterval is how often the tokens of a WebSocket are counted while it is
// open, which may be for hours.
const sessionInterval = 10 * time.Second

// follow counts the tokens of a WebSocket while it is open, in the limits of its
// token. The function that it returns ends that, and tells how many were counted.
func (g *Gateway) follow(ctx context.Context, c *request.Record, tap *usage.Tap) (end func() int64) {
	scopes := g.tokenScopes(c)
	if len(scopes) == 0 {
		return func() int64 { return 0 }
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	counted := make(chan int64, 1)
	go func() {
		ticker := time.NewTicker(sessionInterval)
		defer ticker.Stop()
		var sum int64
		for {
			select {
			case <-ctx.Done():
				counted <- sum
				return
			case <-ticker.C:
				sum += g.count(ctx, scopes, tap.Response().Usage.Charge()-sum)
			}
		}
	}()
	return func() int64 {
		cancel()
		return <-counted
	}
}

// count counts tokens, and returns how many it did: none where they are used up. They
// are counted later, when a window begins anew.
func (g *Gateway) count(ctx context.Context, scopes []ratelimit.Scope, tokens int64) int64 {
	if tokens <= 0 {
		return 0
	}
	d := g.config.Limiter.Admit(ctx, scopes, false)
	if d.Refusal != nil {
		return 0
	}
	d.End(tokens)
	return tokens
}

// tokenScopes are those of a call, with their limits of tokens alone.
func (g *Gateway) tokenScopes(c *request.Record) []ratelimit.Scope {
	if g.config.Limiter == nil || c.Client == nil {
		return nil
	}
	var scopes []ratelimit.Scope
	for _, scope := range scopesOf(c) {
		only := ratelimit.Limits{TokensPerMinute: scope.Limits.TokensPerMinute, TokensPerDay: scope.Limits.TokensPerDay}
		if only != (ratelimit.Limits{}) {
			scopes = append(scopes, ratelimit.Scope{Name: scope.Name, Limits: only})
		}
	}
	return scopes
}
