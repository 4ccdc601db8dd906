// Package clients knows the clients of a server by the tokens they show: which key
// of the upstream is theirs, what they may ask for, and how much of it. It has
// them from a file, which [Entry] describes.
package clients

import (
	"time"

	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

// Token is a client's, as the file has it. It doesn't change.
type Client struct {
	// Name is what the client goes by, in logs and metrics too.
	Name string
	// UpstreamKey is sent up in the token's place; none means the server's own.
	UpstreamKey secret.Secret
	// Expires is when the token is of no more use; zero means never.
	Expires time.Time
	// Models and Paths are what the client may ask for, all if empty.
	Models Patterns
	Paths  Patterns
	// Limits are of all that the client does, and ModelLimits of what it does with
	// the models of a pattern, of which the first that fits counts.
	Limits      ratelimit.Limits
	ModelLimits []ModelLimits

	// What Scopes returns: for a model without limits of its own, and for those
	// of each of ModelLimits. Nil where the token is of no file.
	own     []ratelimit.Scope
	byModel [][]ratelimit.Scope
}

// ModelLimits are limits of the models that a pattern stands for.
type ModelLimits struct {
	Models Pattern
	Limits ratelimit.Limits
}

// AllowsModel reports whether the client may ask for a model. One without a name
// is only allowed where all are.
func (t *Client) AllowsModel(name string) bool {
	return len(t.Models) == 0 || t.Models.match(name)
}

// AllowsPath reports whether the client may ask for a path, as it is written in
// the request: escaped, and without a query. Where not all are allowed, none is
// that leads elsewhere by "." or "..", however they are written: an upstream might
// go there.
func (t *Client) AllowsPath(path string) bool {
	return len(t.Paths) == 0 || t.Paths.match(path) && !wanders(path)
}

// Scopes returns what a request for a model counts in: the token's own scope,
// which has its name, and that of the model, "NAME/PATTERN", each where it has
// limits. The case of the model's name doesn't matter. The model may be empty, if it
// isn't known. The result is not to be changed.
func (t *Client) Scopes(model string) []ratelimit.Scope {
	for i, m := range t.ModelLimits {
		if !m.Models.matchFold(model) {
			continue
		}
		if t.byModel != nil {
			return t.byModel[i]
		}
		return t.scopesOf(&m)
	}
	if t.own != nil {
		return t.own
	}
	return t.scopesOf(nil)
}

// prepare makes the scopes of every request at once.
func (t *Client) prepare() {
	t.own = t.scopesOf(nil)
	t.byModel = make([][]ratelimit.Scope, len(t.ModelLimits))
	for i := range t.ModelLimits {
		t.byModel[i] = t.scopesOf(&t.ModelLimits[i])
	}
}

// scopesOf makes the scopes of a request for models with limits, nil for others.
func (t *Client) scopesOf(models *ModelLimits) []ratelimit.Scope {
	scopes := make([]ratelimit.Scope, 0, 2)
	if t.Limits != (ratelimit.Limits{}) {
		scopes = append(scopes, ratelimit.Scope{Name: t.Name, Limits: t.Limits})
	}
	if models != nil && models.Limits != (ratelimit.Limits{}) {
		scopes = append(scopes, ratelimit.Scope{Name: t.Name + "/" + string(models.Models), Limits: models.Limits})
	}
	return scopes
}
