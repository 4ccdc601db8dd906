package server

import (
	"fmt"
	"slices"

	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/policy"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// wayUp makes the way of requests to the upstream, of what the configuration asks
// for: the gateway, what observes, what chooses among several, and each of them. A
// plain proxy has the last alone.
func (s *Server) wayUp(config Config, guarded bool, budget *memory.Budget) (upstream.Sender, error) {
	send, err := s.connect(config, guarded, budget)
	if err != nil {
		return nil, err
	}
	send = config.Observer.Sender(send)
	if !guarded && config.Observer == nil {
		return send, nil
	}
	return policy.New(policy.Config{
		Next:        send,
		UpstreamKey: config.UpstreamKey,
		Limiter:     config.Limiter,

		MaxBodyBytes: int64(config.MaxMessageBytes),
		Memory:       budget,

		OnDecision: func(token string, refused ratelimit.Kind, shared bool) {
			config.Observer.LimiterDecision(token, refused, shared)
		},
	}), nil
}

// connect makes what sends to the upstream, or to several.
func (s *Server) connect(config Config, guarded bool, budget *memory.Budget) (upstream.Sender, error) {
	if _, err := upstream.ParseProxy(config.Proxy); config.Proxy != "" && err != nil {
		return nil, &ConfigError{"Proxy", err}
	}
	if config.Failover == nil {
		up, err := s.open(config, config.Upstream)
		if err != nil {
			return nil, &ConfigError{"Upstream", err}
		}
		return config.Observer.Upstream(nameOf(config.Upstream), up), nil
	}
	several := *config.Failover
	several.Memory, several.ClientKeys, several.Logger = budget, !guarded, s.logger
	several.Upstreams = slices.Clone(several.Upstreams)
	for i := range several.Upstreams {
		one := &several.Upstreams[i]
		up, err := s.open(config, one.BaseURL)
		if err != nil {
			return nil, &ConfigError{"Failover", fmt.Errorf("upstream %q: %w", one.Name, err)}
		}
		one.BaseURL, one.Sender = up.BaseURL(), config.Observer.Upstream(one.Name, up)
	}
	send, err := failover.New(several)
	if err != nil {
		return nil, &ConfigError{"Failover", err}
	}
	return send, nil
}

// nameOf is what the only upstream is called.
func nameOf(base string) string {
	if base == Sandbox {
		return Sandbox
	}
	return "upstream"
}

// open makes the way to one upstream, which is started if it is the sandbox.
func (s *Server) open(config Config, base string) (*upstream.Upstream, error) {
	proxy := config.Proxy
	if base == Sandbox {
		if s.sandbox == nil {
			var err error
			if s.sandbox, err = startSandbox(); err != nil {
				return nil, fmt.Errorf("start the sandbox: %w", err)
			}
		}
		base, proxy = s.sandbox.url(), upstream.NoProxy
	}
	up, err := upstream.New(upstream.Config{
		BaseURL:               base,
		Proxy:                 proxy,
		RootCAs:               config.UpstreamRoots,
		HTTP2:                 config.UpstreamHTTP2,
		NoRedirects:           config.NoRedirects,
		ConnectTimeout:        config.ConnectTimeout,
		ResponseHeaderTimeout: config.ResponseHeaderTimeout,
		DialContext:           config.dial,
	})
	if err != nil {
		return nil, err
	}
	s.upstreams = append(s.upstreams, up)
	return up, nil
}
