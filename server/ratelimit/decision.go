package ratelimit

import "sync/atomic"

// decision is a [Decision] of either limiter.
type decision struct {
	verdict

	shared bool
	ended  atomic.Bool
	end    func(tokens int64) // nil if there is nothing to do at the end
}

func (d *decision) Refusal() *Refusal { return d.refusal }

func (d *decision) States() States { return d.states }

func (d *decision) Shared() bool { return d.shared }

// maxTokens is what one request may count for. It keeps sums in the range in which
// Redis's scripts handle integers exactly.
const maxTokens = 1e12

func (d *decision) End(tokens int64) {
	if d.end != nil && !d.ended.Swap(true) {
		d.end(min(max(tokens, 0), maxTokens))
	}
}
