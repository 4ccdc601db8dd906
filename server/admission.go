package server

import (
	"errors"
	"net/http"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"

	restv1 "github.com/openai-connect/openai-connect/gen/openai/rest/v1"
	"github.com/openai-connect/openai-connect/server/access"
	"github.com/openai-connect/openai-connect/server/cors"
	"github.com/openai-connect/openai-connect/server/passthrough"
)

// admission stands before the router of a server that holds a key.
type admission struct {
	gate   *access.Gate
	policy *cors.Policy
	router *router
}

func (a *admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.isOpen(r) {
		a.router.ServeHTTP(w, r)
		return
	}
	if a.gate.IsAnonymous() && !a.policy.Allows(r) {
		// Nothing else keeps a page from the key: it can send what needs no
		// preflight, and open a WebSocket.
		a.refuse(w, r, errForeignPage)
		return
	}
	admitted, err := a.gate.Admit(r)
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	a.router.ServeHTTP(w, admitted)
}

// isOpen reports whether r is for the playground, whose calls bring the token, or
// for a service that everyone may ask: load balancers know no token, and what the
// server serves is no secret. None of them goes to the upstream.
func (a *admission) isOpen(r *http.Request) bool {
	path := r.URL.EscapedPath()
	if isPlayground(path) {
		return true
	}
	service := serviceOf(path)
	return isOpen(service) && a.router.services[service]
}

// isOpen reports whether a service is one that everyone may ask.
func isOpen(service string) bool {
	switch service {
	case "/grpc.health.v1.Health/",
		"/grpc.reflection.v1.ServerReflection/",
		"/grpc.reflection.v1alpha.ServerReflection/":
		return true
	}
	return false
}

var errForeignPage = errors.New("web pages of this origin may not use this server")

// refuse answers a request that isn't let in, as an RPC or as OpenAI does.
func (a *admission) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code, status, reason := connect.CodeUnauthenticated, http.StatusUnauthorized, "invalid_api_key"
	if errors.Is(err, errForeignPage) {
		code, status, reason = connect.CodePermissionDenied, http.StatusForbidden, "origin_not_allowed"
	}
	if !a.router.takes(r) {
		passthrough.Refuse(challenge{w}, status, reason, err.Error())
		return
	}
	refusal := connect.NewError(code, err.Error())
	detail, packErr := connectproto.NewErrorDetail(&restv1.Error{Message: err.Error(), Type: "invalid_request_error", Code: &reason})
	if packErr == nil {
		refusal = refusal.WithDetail(detail)
	}
	_ = a.router.errors.Write(challenge{w}, r, refusal)
}

// challenge adds to a status of 401 the field that it comes with (RFC 9110
// §15.5.2), as RFC 6750 §3 has it.
type challenge struct{ http.ResponseWriter }

func (w challenge) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.ResponseWriter.WriteHeader(status)
}
