package policy

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
)

// admit counts a request, unless a limit of its client is used up.
func (s *Sender) admit(ctx context.Context, record *request.Record) (*ratelimit.Decision, *apierror.Error) {
	scopes := s.scopes(record, func(limits ratelimit.Limits) ratelimit.Limits { return limits })
	if len(scopes) == 0 {
		return new(ratelimit.Decision), nil
	}
	d := s.config.Limiter.Admit(ctx, scopes, record.Streaming)
	s.reportDecision(record, d)
	return d, rateLimited(d)
}

// admitStream counts a stream that was not recognized in the request. It is counted until
// the request ends.
func (s *Sender) admitStream(ctx context.Context, record *request.Record) *apierror.Error {
	scopes := s.scopes(record, func(limits ratelimit.Limits) ratelimit.Limits {
		return ratelimit.Limits{ConcurrentStreams: limits.ConcurrentStreams}
	})
	if len(scopes) == 0 {
		return nil
	}
	d := s.config.Limiter.Admit(ctx, scopes, true)
	record.OnEnd(func() { endDecision(d, 0) })
	if d.Rejection != nil {
		s.reportDecision(record, d)
	}
	return rateLimited(d)
}

// scopes returns the scopes in which a request is counted: the scopes of its client for
// each model that the request names, without duplicates. selected returns the limits to
// apply. Scopes without limits are omitted.
func (s *Sender) scopes(record *request.Record, selected func(ratelimit.Limits) ratelimit.Limits) []ratelimit.Scope {
	if s.config.Limiter == nil {
		return nil
	}
	var scopes []ratelimit.Scope
	for _, model := range append([]string{record.Model}, record.OtherModels...) {
		for _, scope := range record.Client.Scopes(model) {
			scope.Limits = selected(scope.Limits)
			if scope.Limits != (ratelimit.Limits{}) && !hasScope(scopes, scope.Name) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes
}

func hasScope(scopes []ratelimit.Scope, name string) bool {
	return slices.ContainsFunc(scopes, func(scope ratelimit.Scope) bool { return scope.Name == name })
}

func (s *Sender) reportDecision(record *request.Record, d *ratelimit.Decision) {
	if s.config.OnDecision == nil {
		return
	}
	rejected := ratelimit.Kind("")
	if d.Rejection != nil {
		rejected = d.Rejection.Kind
	}
	s.config.OnDecision(record.Client.Name, rejected, d.Shared)
}

// rateLimited returns the error of a decision, or nil if it admits the request.
func rateLimited(d *ratelimit.Decision) *apierror.Error {
	if d.Rejection == nil {
		return nil
	}
	header := d.States.Header()
	maps.Copy(header, d.Rejection.Header())
	return &apierror.Error{
		Status: http.StatusTooManyRequests, Type: d.Rejection.Type(), Code: d.Rejection.Code(),
		Message: d.Rejection.Message(), Header: header,
	}
}

// endDecision counts the tokens of a request. It does not wait for Redis, because the
// client may receive the end of the response only when the request has ended.
func endDecision(d *ratelimit.Decision, tokens int64) {
	if d.Shared {
		go d.End(tokens)
		return
	}
	d.End(tokens)
}

// setRateLimitHeaders sets the x-ratelimit headers of a response, unless it has those of
// the upstream.
func setRateLimitHeaders(header http.Header, d *ratelimit.Decision) {
	for name := range header {
		if strings.HasPrefix(name, "X-Ratelimit-") {
			return
		}
	}
	maps.Copy(header, d.States.Header())
}
