package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/clientaddr"
	"github.com/openai-connect/openai-connect/server/failover"
)

// parts are what a server is made of that its flags ask for.
type parts struct {
	config  server.Config
	several *failover.File // nil for one upstream
	closers []func() error
}

// close closes what was opened, the last first.
func (p *parts) close() error {
	var errs []error
	for _, closer := range slices.Backward(p.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// open opens what the flags name: files, the store of limits, what observes. What
// is returned must be closed.
func (c *serveCommand) open(ctx context.Context, logger *slog.Logger) (_ *parts, err error) {
	p := new(parts)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	roots, err := c.WayOut.roots()
	if err != nil {
		return nil, err
	}
	if p.several, err = c.Upstreams.read(c.Upstream); err != nil {
		return nil, err
	}
	key, token, err := c.Access.read(firstKey(p.several), logger)
	if err != nil {
		return nil, err
	}
	proxies, err := clientaddr.Parse(c.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("--trusted-proxies: %w", err)
	}
	p.config = server.Config{
		Upstream:              c.Upstream,
		Proxy:                 c.WayOut.Proxy,
		UpstreamRoots:         roots,
		UpstreamHTTP2:         c.WayOut.UpstreamHTTP2,
		NoRedirects:           c.WayOut.NoFollowRedirects,
		ConnectTimeout:        c.ConnectTimeout,
		ResponseHeaderTimeout: c.ResponseHeaderTimeout,
		MaxMessageBytes:       c.MaxMessageBytes,
		MaxKeptBytes:          int64(c.MaxKeptBytes),
		MaxReplyBytes:         c.MaxReplyBytes,
		MaxEventBytes:         c.MaxEventBytes,
		UpstreamKey:           key,
		ClientToken:           token,
		AllowAnonymous:        c.Access.AllowAnonymous,
		ForwardOrganization:   c.Access.ForwardOrganization,
		AllowedHosts:          c.hosts(),
		TrustedProxies:        proxies,
		Failover:              p.several,
		Overload:              c.Overload.config(),
		CORSOrigins:           c.CORSOrigin,
		Logger:                logger,
	}
	if c.Access.Keys != "" {
		if err := p.openKeys(ctx, c, logger); err != nil {
			return nil, err
		}
	}
	if p.config.Observer, err = c.Observe.observer(logger, p.secrets); err != nil { //nolint:contextcheck // It outlives ctx, to tell of the end.
		return nil, err
	}
	p.closers = append(p.closers, func() error { //nolint:contextcheck // as above
		p.config.Observer.Close()
		return nil
	})
	return p, nil
}

// openKeys opens the tokens of many clients, and what counts their limits.
func (p *parts) openKeys(ctx context.Context, c *serveCommand, logger *slog.Logger) error {
	keyless := p.upstreams()[0] == server.Sandbox || p.several != nil && p.several.Upstreams[0].NoKey
	tokens, err := c.Access.open(p.config.UpstreamKey.IsZero() && !keyless, logger)
	if err != nil {
		return err
	}
	stop := reloadAtHangup(tokens)
	// The store is closed first, as a reload may wait for a file that blocks.
	p.closers = append(p.closers, func() error {
		stop()
		return nil
	}, tokens.Close)
	limiter, err := c.Redis.limiter(ctx, logger)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, limiter.Close)
	p.config.Keys, p.config.Limiter = tokens, limiter
	return nil
}

// upstreams are the base URLs of those that are asked, in order.
func (p *parts) upstreams() []string {
	if p.several == nil {
		return []string{p.config.Upstream}
	}
	var bases []string
	for _, entry := range p.several.Upstreams {
		bases = append(bases, entry.BaseURL)
	}
	return bases
}

// firstKey is the first upstream's key, where a file lists several; none otherwise.
func firstKey(several *failover.File) auth.Secret {
	if several == nil {
		return auth.Secret{}
	}
	return several.Upstreams[0].Key
}

// secrets are those that no log may have.
func (p *parts) secrets() []auth.Secret {
	secrets := []auth.Secret{p.config.UpstreamKey, p.config.ClientToken}
	if p.several != nil {
		for _, entry := range p.several.Upstreams {
			secrets = append(secrets, entry.Key)
		}
	}
	if p.config.Keys != nil {
		secrets = append(secrets, p.config.Keys.UpstreamKeys()...)
	}
	return secrets
}
