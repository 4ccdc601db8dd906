// Package clients identifies the clients of a server by their API keys. A file, which
// [Entry] describes, lists them with their upstream keys, permissions and limits.
package clients

import (
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

// Client is a client of a file. It is immutable.
type Client struct {
	// Name identifies the client, also in logs and metrics.
	Name string
	// UpstreamKey replaces the client's API key in requests to the upstream. The zero
	// value means the server's upstream key.
	UpstreamKey secret.Secret
	// Expires is when the API key expires, or zero for never.
	Expires time.Time
	// Models and Paths are what the client may use. Empty means everything.
	Models Patterns
	Paths  Patterns
	// Limits apply to all requests of the client. The first of ModelLimits that matches
	// a model also applies to requests for it.
	Limits      ratelimit.Limits
	ModelLimits []ModelLimits

	// Results of Scopes, for models without limits and for each of ModelLimits. They are
	// nil unless the client comes from a file.
	scopes      []ratelimit.Scope
	modelScopes [][]ratelimit.Scope
}

// ModelLimits are the limits of the models that match a pattern.
type ModelLimits struct {
	Models Pattern
	Limits ratelimit.Limits
}

// newClient returns the client of an entry.
func newClient(e Entry, upstreamKey secret.Secret) *Client {
	c := &Client{
		Name:        e.Name,
		UpstreamKey: upstreamKey,
		Expires:     e.Expires,
		Models:      e.Models,
		Paths:       e.Paths,
		Limits:      e.Limits,
		ModelLimits: e.ModelLimits,
	}
	c.precomputeScopes()
	return c
}

// AllowsModel reports whether the client may use a model. A model without a name is only
// allowed if all models are.
func (c *Client) AllowsModel(name string) bool {
	return len(c.Models) == 0 || c.Models.match(name)
}

// AllowsPath reports whether the client may use a path. The path is escaped as in the
// request, and has no query. Unless all paths are allowed, paths with "." or ".."
// segments are not, in any encoding, as the upstream might resolve them.
func (c *Client) AllowsPath(path string) bool {
	return len(c.Paths) == 0 || c.Paths.match(path) && !hasDotSegments(path)
}

// Scopes returns the rate limit scopes of a request for a model: the client's, with its
// name, and the model's, named "NAME/PATTERN", if they have limits. The model's case is
// ignored, and it may be empty if it is unknown. The result must not be modified.
func (c *Client) Scopes(model string) []ratelimit.Scope {
	for i, m := range c.ModelLimits {
		if !m.Models.matchFold(model) {
			continue
		}
		if c.modelScopes != nil {
			return c.modelScopes[i]
		}
		return c.newScopes(&m)
	}
	if c.scopes != nil {
		return c.scopes
	}
	return c.newScopes(nil)
}

// precomputeScopes computes the results of Scopes.
func (c *Client) precomputeScopes() {
	c.scopes = c.newScopes(nil)
	c.modelScopes = make([][]ratelimit.Scope, len(c.ModelLimits))
	for i := range c.ModelLimits {
		c.modelScopes[i] = c.newScopes(&c.ModelLimits[i])
	}
}

// newScopes returns the scopes of a request for models with limits, or for others if
// models is nil.
func (c *Client) newScopes(models *ModelLimits) []ratelimit.Scope {
	scopes := make([]ratelimit.Scope, 0, 2)
	if c.Limits != (ratelimit.Limits{}) {
		scopes = append(scopes, ratelimit.Scope{Name: c.Name, Limits: c.Limits})
	}
	if models != nil && models.Limits != (ratelimit.Limits{}) {
		scopes = append(scopes, ratelimit.Scope{Name: c.Name + "/" + string(models.Models), Limits: models.Limits})
	}
	return scopes
}
