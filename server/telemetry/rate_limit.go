package telemetry

import "github.com/openai-connect/openai-connect/server/ratelimit"

// RecordRateLimitDecision counts a decision of the rate limiter on a client's request.
// rejectedBy is the kind of the exceeded limit, or empty if the request was admitted. shared
// reports whether the limiter used the store that all server instances share.
func (o *Observer) RecordRateLimitDecision(client string, rejectedBy ratelimit.Kind, shared bool) {
	if o == nil {
		return
	}
	decision, store := "admitted", "local"
	if rejectedBy != "" {
		decision = "rejected"
	}
	if shared {
		store = "shared"
	}
	o.metrics.decisions.WithLabelValues(client, decision, string(rejectedBy), store).Inc()
}
