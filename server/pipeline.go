package server

import (
	"net/http"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/cors"
	"github.com/openai-connect/openai-connect/server/internal/grpcwebtext"
	"github.com/openai-connect/openai-connect/server/internal/pipeline"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/playground"
	"github.com/openai-connect/openai-connect/server/policy"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage/metering"
)

// handlerLayers returns the chain around the router, from the outside in. The package
// comment describes the layers.
func (s *Server) handlerLayers(config Config, authPolicy *auth.Policy, router *router, rpc *connect.Server) ([]pipeline.Layer[http.Handler], error) {
	guarded := authPolicy.ReplacesCredentials()
	origins := config.CORSOrigins
	if origins == nil {
		origins = []string{cors.Any}
		if guarded {
			origins = []string{cors.None}
		}
	}
	corsPolicy, err := cors.NewPolicy(origins)
	if err != nil {
		return nil, &ConfigError{"CORSOrigins", err}
	}
	applyCORS := corsPolicy.Wrap
	createRecord := func(next http.Handler) http.Handler {
		return request.NewClassifier(rpc, playground.Path).Wrap(next)
	}
	var observe, checkHost, authenticate func(http.Handler) http.Handler
	if config.Observer != nil {
		observe = config.Observer.Wrap
	}
	if guarded {
		applyCORS = corsPolicy.Enforce
		authenticate = func(next http.Handler) http.Handler {
			return &authMiddleware{policy: authPolicy, cors: corsPolicy, router: router, next: next}
		}
	}
	if authPolicy.IsAnonymous() {
		hosts, err := auth.NewHosts(config.AllowedHosts)
		if err != nil {
			return nil, &ConfigError{"AllowedHosts", err}
		}
		checkHost = func(next http.Handler) http.Handler { return router.onlyHosts(hosts, next) }
	}
	return []pipeline.Layer[http.Handler]{
		{Name: "request-record", Wrap: createRecord},
		{Name: "client-address", Wrap: config.TrustedProxies.Wrap},
		{Name: "telemetry", Wrap: observe},
		{Name: "grpc-web-text", Wrap: grpcwebtext.Wrap},
		{Name: "allowed-hosts", Wrap: checkHost},
		{Name: "cors", Wrap: applyCORS},
		{Name: "target-limit", Wrap: func(next http.Handler) http.Handler { return limitTarget(router, next) }},
		{Name: "auth", Wrap: authenticate},
		{Name: "overload", Wrap: s.overload.Wrap},
	}, nil
}

// newSender returns the chain that sends requests to the upstream.
func (s *Server) newSender(config Config, authPolicy *auth.Policy, budget *memory.Budget) (upstream.Sender, error) {
	upstreams, err := s.newUpstreams(config, authPolicy, budget)
	if err != nil {
		return nil, err
	}
	return pipeline.Build(upstreams, senderLayers(config, authPolicy.ReplacesCredentials(), budget)), nil
}

// senderLayers returns the chain around the upstreams, from the outside in. The package
// comment describes the layers.
func senderLayers(config Config, guarded bool, budget *memory.Budget) []pipeline.Layer[upstream.Sender] {
	var meter, applyPolicy func(upstream.Sender) upstream.Sender
	if config.Observer != nil {
		meter = func(next upstream.Sender) upstream.Sender { return metering.New(next) }
	}
	if guarded {
		applyPolicy = func(next upstream.Sender) upstream.Sender {
			return policy.New(policy.Config{
				Next:    next,
				Limiter: config.Limiter,

				MaxBodyBytes: int64(config.MaxMessageBytes),
				Memory:       budget,

				OnDecision: func(client string, rejectedBy ratelimit.Kind, shared bool) {
					config.Observer.RecordRateLimitDecision(client, rejectedBy, shared)
				},
			})
		}
	}
	return []pipeline.Layer[upstream.Sender]{
		{Name: "usage", Wrap: meter},
		{Name: "policy", Wrap: applyPolicy},
		{Name: "telemetry", Wrap: config.Observer.Sender},
	}
}
