package server

import (
	"fmt"
	"slices"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// newUpstreams returns the sender to the upstream or, with failover, to several of
// them. Each is observed separately.
func (s *Server) newUpstreams(config Config, authPolicy *auth.Policy, budget *memory.Budget) (upstream.Sender, error) {
	if _, err := upstream.ParseProxy(config.Proxy); config.Proxy != "" && err != nil {
		return nil, &ConfigError{"Proxy", err}
	}
	if config.Failover == nil {
		up, err := s.newUpstream(config, config.Upstream)
		if err != nil {
			return nil, &ConfigError{"Upstream", err}
		}
		name := "upstream"
		if config.Upstream == Sandbox {
			name = Sandbox
		}
		return authPolicy.Sender(0, config.Observer.Upstream(name, up)), nil
	}
	upstreams := *config.Failover
	upstreams.Memory, upstreams.Policy, upstreams.Logger = budget, authPolicy, s.logger
	upstreams.Upstreams = slices.Clone(upstreams.Upstreams)
	for i := range upstreams.Upstreams {
		one := &upstreams.Upstreams[i]
		up, err := s.newUpstream(config, one.BaseURL)
		if err != nil {
			return nil, &ConfigError{"Failover", fmt.Errorf("upstream %q: %w", one.Name, err)}
		}
		one.BaseURL, one.Sender = up.BaseURL(), config.Observer.Upstream(one.Name, up)
	}
	send, err := failover.New(upstreams)
	if err != nil {
		return nil, &ConfigError{"Failover", err}
	}
	return send, nil
}

// newUpstream returns the client of one upstream. It starts the sandbox if that is the
// upstream.
func (s *Server) newUpstream(config Config, base string) (*upstream.Upstream, error) {
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
		ResponseHeaderTimeout: config.ResponseHeaderTimeout,
		DialContext:           config.DialContext,
	})
	if err != nil {
		return nil, err
	}
	s.upstreams = append(s.upstreams, up)
	return up, nil
}
