package server

import (
	"errors"
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/cors"
	"github.com/openai-connect/openai-connect/server/request"
)

// admission stands before the router of a server that holds a key, or keys. What it
// lets through has no credential of the client's, and none of the upstream's yet:
// that is put on where the request leaves.
type authMiddleware struct {
	authenticator *auth.Authenticator
	clients       *clients.Store // in place of the gate's token, unless nil
	policy        *cors.Policy
	router        *router // of all that is served, by next
	next          http.Handler

	forwardOrganization bool // with keys
}

// newGate returns the gate of a server, which holds no key where tokens of many are
// asked for.
func newAuthenticator(config Config) (*auth.Authenticator, error) {
	if config.Clients == nil {
		return auth.New(auth.Config{
			UpstreamKey:    config.UpstreamKey,
			ClientKey:      config.ClientKey,
			AllowAnonymous: config.AllowAnonymous,

			ForwardOrganization: config.ForwardOrganization,
		})
	}
	switch {
	case !config.ClientKey.IsZero():
		return nil, errors.New("keys and a client token contradict each other: add the token to the keys")
	case config.AllowAnonymous:
		return nil, errors.New("keys and anonymous use contradict each other")
	case config.UpstreamKey.IsZero() && !upstreamNeedsNoKey(config):
		if err := config.Clients.RequireUpstreamKeys(); err != nil {
			return nil, &ConfigError{"Clients", err}
		}
	}
	return new(auth.Authenticator), nil
}

// needsNoKey reports whether the upstream, the first of several, asks for no key.
func upstreamNeedsNoKey(config Config) bool {
	if config.Failover == nil {
		return config.Upstream == Sandbox
	}
	first := config.Failover.Upstreams[0]
	return first.NoKey || first.BaseURL == Sandbox
}

func (a *authMiddleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	record := request.FromContext(r.Context())
	if record.Kind.IsPublic() {
		a.next.ServeHTTP(w, r)
		return
	}
	if a.authenticator.IsAnonymous() && !a.policy.Allows(r) {
		// Nothing else keeps a page from the key: it can send what needs no
		// preflight, and open a WebSocket.
		a.refuse(w, r, errForeignPage)
		return
	}
	admitted, token, err := a.authenticate(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	record.Client = token
	a.next.ServeHTTP(w, admitted)
}

// admit returns a request as it may go on, and the token that it is by, where there
// are many.
func (a *authMiddleware) authenticate(r *http.Request) (*http.Request, *clients.Client, error) {
	if a.clients == nil {
		admitted, err := a.authenticator.Authenticate(r)
		return admitted, nil, err
	}
	token, err := a.find(auth.Credentials(r))
	if err != nil {
		return nil, nil, err
	}
	return auth.StripCredentials(r, a.forwardOrganization), token, nil
}

// find returns the first token that is known among the API keys that a request shows.
// The time that it takes does not depend on which one that is.
func (a *authMiddleware) find(shown []string) (found *clients.Client, err error) {
	err = auth.ErrMissingKey
	for i, key := range shown {
		token, failure := a.clients.Lookup(key)
		switch {
		case failure != nil && (i == 0 || errors.Is(failure, clients.ErrExpired)):
			err = failure
		case failure == nil && found == nil:
			found = token
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, err
}

// onlyHosts returns a handler that refuses requests for other hosts, whatever they
// are for: next gets the others.
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

// refuse answers a request that isn't let in.
func (a *authMiddleware) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := &apierror.Error{
		Status: http.StatusUnauthorized, Type: apierror.InvalidRequest, Code: "invalid_api_key", Message: err.Error(),
	}
	if errors.Is(err, errForeignPage) {
		e.Status, e.Code = http.StatusForbidden, "origin_not_allowed"
	}
	a.router.reject(w, r, e)
}
