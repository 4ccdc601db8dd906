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

// decision is the limiter's on a request, or none.
type decision struct{ *ratelimit.Decision }

// admit counts a request, unless a limit of its token's is used up.
func (g *Gateway) admit(ctx context.Context, c *request.Record) (decision, *apierror.Error) {
	if g.config.Limiter == nil || c.Client == nil {
		return decision{}, nil
	}
	scopes := scopesOf(c)
	if len(scopes) == 0 {
		return decision{}, nil
	}
	d := g.config.Limiter.Admit(ctx, scopes, c.Streaming)
	refused := d.Refusal
	if g.config.OnDecision != nil {
		kind := ratelimit.Kind("")
		if refused != nil {
			kind = refused.Kind
		}
		g.config.OnDecision(c.Client.Name, kind, d.Shared)
	}
	return decision{d}, usedUp(d)
}

// scopesOf returns what a call counts in: its token's scope and those of all models that
// it names, each once.
func scopesOf(c *request.Record) []ratelimit.Scope {
	scopes := c.Client.Scopes(c.Model)
	for _, model := range c.OtherModels {
		for _, scope := range c.Client.Scopes(model) {
			if !slices.ContainsFunc(scopes, func(known ratelimit.Scope) bool { return known.Name == scope.Name }) {
				scopes = append(slices.Clip(scopes), scope)
			}
		}
	}
	return scopes
}

// admitStream counts an answer that turned out to be a stream, which the request
// hadn't said in a way that was read. It is given back when the call ends.
func (g *Gateway) admitStream(ctx context.Context, c *request.Record) *apierror.Error {
	if g.config.Limiter == nil || c.Client == nil {
		return nil
	}
	var scopes []ratelimit.Scope
	for _, scope := range scopesOf(c) {
		if most := scope.Limits.ConcurrentStreams; most > 0 {
			scopes = append(scopes, ratelimit.Scope{Name: scope.Name, Limits: ratelimit.Limits{ConcurrentStreams: most}})
		}
	}
	if len(scopes) == 0 {
		return nil
	}
	d := g.config.Limiter.Admit(ctx, scopes, true)
	c.OnEnd(func() { decision{d}.end(0) })
	refused := usedUp(d)
	if refused != nil && g.config.OnDecision != nil {
		g.config.OnDecision(c.Client.Name, d.Refusal.Kind, d.Shared)
	}
	return refused
}

// usedUp is the refusal of a decision that doesn't admit, nil for one that does.
func usedUp(d *ratelimit.Decision) *apierror.Error {
	refused := d.Refusal
	if refused == nil {
		return nil
	}
	header := d.States.Header()
	maps.Copy(header, refused.Header())
	return &apierror.Error{
		Status: http.StatusTooManyRequests, Type: refused.Type(), Code: refused.Code(),
		Message: refused.Message(), Header: header,
	}
}

// end counts the tokens that a request took. The client, who may have the last of its
// answer only when the call has ended, doesn't wait for a store to hear of them.
func (d decision) end(tokens int64) {
	switch {
	case d.Decision == nil:
	case d.Shared:
		go d.End(tokens)
	default:
		d.End(tokens)
	}
}

// describe says in the header of an answer what is left of the limits, unless it
// says what is left of the upstream's own.
func (d decision) describe(header http.Header) {
	if d.Decision == nil {
		return
	}
	for name := range header {
		if strings.HasPrefix(name, "X-Ratelimit-") {
			return
		}
	}
	maps.Copy(header, d.States.Header())
}
