package telemetry

import "github.com/openai-connect/openai-connect/server/ratelimit"

// LimiterDecision counts what a limiter decided of a request of a token: what it
// refused for want of, "" if it let it through. Shared says that it counted in a
// store that servers share, and not in this one alone.
func (o *Observer) LimiterDecision(token string, refused ratelimit.Kind, shared bool) {
	if o == nil {
		return
	}
	decision, store := "admitted", "local"
	if refused != "" {
		decision = "rejected"
	}
	if shared {
		store = "shared"
	}
	o.metrics.decisions.WithLabelValues(token, decision, string(refused), store).Inc()
}
