package telemetry

import "github.com/openai-connect/openai-connect/server/ratelimit"

// LimiterDecision counts a decision of the rate limiter on a client's request. The kind of
// the exceeded limit is empty for an admitted request. Shared reports whether the decision
// was made with the store that instances share.
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
