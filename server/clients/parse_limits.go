package clients

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// limits reads the limits of a token, or of the defaults.
func (r *reader) limits(s *settings, node ast.Node, field string) {
	for _, m := range r.mapping(node, field) {
		if m.name == "models" {
			s.modelLimits = r.modelLimits(m.value, within(field, m.name))
			continue
		}
		r.limit(s, m, field)
	}
}

// limit reads one of them.
func (r *reader) limit(s *settings, m member, field string) {
	var count **int64
	switch ratelimit.Kind(m.name) {
	case ratelimit.RequestsPerMinute:
		count = &s.requestsPerMinute
	case ratelimit.TokensPerMinute:
		count = &s.tokensPerMinute
	case ratelimit.TokensPerDay:
		count = &s.tokensPerDay
	case ratelimit.ConcurrentStreams:
		count = &s.concurrentStreams
	default:
		r.notef(m.key, field, "%q is no limit: there are requests_per_minute, tokens_per_minute, tokens_per_day"+
			" and concurrent_streams, and models with these for some of them", m.name)
		return
	}
	if value, ok := r.count(m.value, within(field, m.name)); ok {
		*count = &value
	}
}

// modelLimits reads limits by patterns of models, in their order.
func (r *reader) modelLimits(node ast.Node, field string) []ModelLimits {
	members := r.mapping(node, field)
	all := make([]ModelLimits, 0, len(members))
	for _, m := range members {
		name := within(field, m.name)
		pattern := Pattern(m.name)
		if err := pattern.Check(); err != nil {
			r.notef(m.key, field, "%q %v", m.name, err)
			continue
		}
		for _, before := range all {
			if before.Models.covers(pattern) {
				r.notef(m.key, name, "counts for nothing behind %s, the first that fits: put it before", before.Models)
			}
		}
		own := new(settings)
		for _, limit := range r.mapping(m.value, name) {
			r.limit(own, limit, name)
		}
		all = append(all, ModelLimits{pattern, own.entry(new(settings)).Limits})
	}
	return all
}
