package server

import (
	"errors"
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/cors"
	"github.com/openai-connect/openai-connect/server/request"
)

// authMiddleware authenticates the clients of a server that replaces their credentials.
// Admitted requests contain no credentials: the policy sets those of the upstream when a
// request is sent.
type authMiddleware struct {
	policy *auth.Policy
	cors   *cors.Policy
	router *router
	next   http.Handler
}

// newAuthPolicy returns the policy about clients and keys. The error is a [ConfigError].
func newAuthPolicy(config Config) (*auth.Policy, error) {
	c := auth.Config{
		Upstreams:      []auth.Upstream{{Name: config.Upstream, BaseURL: config.Upstream}},
		UpstreamKey:    config.UpstreamKey,
		ClientKey:      config.ClientKey,
		Clients:        config.Clients,
		AllowAnonymous: config.AllowAnonymous,

		ForwardOrganization: config.ForwardOrganization,
	}
	upstreams := "UpstreamKey" // the field to blame for the key of an upstream
	if config.Failover != nil {
		upstreams, c.Upstreams = "Failover", nil
		for _, u := range config.Failover.Upstreams {
			c.Upstreams = append(c.Upstreams, auth.Upstream{Name: u.Name, BaseURL: u.BaseURL, Key: u.Key, NoKey: u.NoKey})
		}
	}
	authenticates := !config.ClientKey.IsZero() || config.Clients != nil || config.AllowAnonymous
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		if u.BaseURL == Sandbox && u.Key.IsZero() && config.UpstreamKey.IsZero() && authenticates {
			u.NoKey = true
		}
	}
	policy, err := auth.NewPolicy(c)
	if invalid, ok := errors.AsType[*auth.ConfigError](err); ok {
		field := invalid.Field
		if field == "Upstreams" {
			field = upstreams
		}
		return nil, &ConfigError{field, invalid.Err}
	}
	return policy, err
}

func (a *authMiddleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	record := request.FromContext(r.Context())
	if record.Kind.IsPublic() {
		a.next.ServeHTTP(w, r)
		return
	}
	if a.policy.IsAnonymous() && !a.cors.Allows(r) {
		// Nothing else keeps a web page from the key. It can send requests that need no
		// preflight, and open WebSockets.
		a.reject(w, r, errForeignPage)
		return
	}
	admitted, client, err := a.policy.Authenticate(r)
	if err != nil {
		a.reject(w, r, err)
		return
	}
	record.Client = client
	a.next.ServeHTTP(w, admitted)
}

// onlyHosts returns a handler that rejects requests for other hosts and passes on the
// rest.
func (m *router) onlyHosts(hosts *auth.Hosts, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hosts.Serves(r) {
			next.ServeHTTP(w, r)
			return
		}
		m.reject(w, r, &apierror.Error{
			Status: http.StatusForbidden, Type: apierror.InvalidRequest, Code: "host_not_allowed", Message: auth.ErrHost.Error(),
		})
	})
}

var errForeignPage = errors.New("web pages of this origin may not use this server")

// reject answers a request that is not admitted.
func (a *authMiddleware) reject(w http.ResponseWriter, r *http.Request, err error) {
	e := &apierror.Error{
		Status: http.StatusUnauthorized, Type: apierror.InvalidRequest, Code: "invalid_api_key", Message: err.Error(),
	}
	if errors.Is(err, errForeignPage) {
		e.Status, e.Code = http.StatusForbidden, "origin_not_allowed"
	}
	a.router.reject(w, r, e)
}
