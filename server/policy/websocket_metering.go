package policy

import (
	"context"
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/usage"
)

// chargeInterval is the interval at which the tokens of an open WebSocket are counted. A
// WebSocket may be open for hours.
const chargeInterval = 10 * time.Second

// chargeWebSocket counts the tokens of a WebSocket while it is open. The returned function
// ends the counting and returns the number of counted tokens.
func (s *Sender) chargeWebSocket(ctx context.Context, record *request.Record, tap *usage.Tap) (stop func() int64) {
	scopes := s.scopes(record, func(limits ratelimit.Limits) ratelimit.Limits {
		return ratelimit.Limits{TokensPerMinute: limits.TokensPerMinute, TokensPerDay: limits.TokensPerDay}
	})
	if len(scopes) == 0 {
		return func() int64 { return 0 }
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	charged := make(chan int64, 1)
	go func() {
		ticker := time.NewTicker(chargeInterval)
		defer ticker.Stop()
		var sum int64
		for {
			select {
			case <-ctx.Done():
				charged <- sum
				return
			case <-ticker.C:
				sum += s.chargeTokens(ctx, scopes, tap.Response().Usage.Charge()-sum)
			}
		}
	}()
	return func() int64 {
		cancel()
		return <-charged
	}
}

// chargeTokens counts tokens and returns their number. If the limits are used up, it
// returns 0, and the tokens must be counted in a later window.
func (s *Sender) chargeTokens(ctx context.Context, scopes []ratelimit.Scope, tokens int64) int64 {
	if tokens <= 0 {
		return 0
	}
	d := s.config.Limiter.Admit(ctx, scopes, false)
	if d.Rejection != nil {
		return 0
	}
	d.End(tokens)
	return tokens
}
