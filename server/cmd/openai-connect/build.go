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

// deps are what a server is made of that its flags ask for.
type deps struct {
	config  server.Config
	several *failover.Config // nil for one upstream
	closers []func() error
}

// close closes what was opened, the last first.
func (d *deps) close() error {
	var errs []error
	for _, closer := range slices.Backward(d.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// build opens what the flags name: files, the store of limits, what observes. What
// is returned must be closed.
func (c *serveCommand) build(ctx context.Context, logger *slog.Logger) (_ *deps, err error) {
	d := new(deps)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	roots, err := c.Transport.roots()
	if err != nil {
		return nil, err
	}
	if d.several, err = c.Upstreams.read(c.Upstream); err != nil {
		return nil, err
	}
	key, token, err := c.Auth.read(firstKey(d.several), logger)
	if err != nil {
		return nil, err
	}
	proxies, err := clientaddr.Parse(c.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("--trusted-proxies: %w", err)
	}
	d.config = server.Config{
		Upstream:              c.Upstream,
		Proxy:                 c.Transport.Proxy,
		UpstreamRoots:         roots,
		UpstreamHTTP2:         c.Transport.UpstreamHTTP2,
		NoRedirects:           c.Transport.NoFollowRedirects,
		ResponseHeaderTimeout: c.ResponseHeaderTimeout,
		MaxMessageBytes:       c.MaxMessageBytes,
		MaxKeptBytes:          int64(c.MaxBufferedBytes),
		MaxReplyBytes:         c.MaxMessageBytes,
		UpstreamKey:           key,
		ClientToken:           token,
		AllowAnonymous:        c.Auth.AllowAnonymous,
		ForwardOrganization:   c.Auth.ForwardOrganization,
		AllowedHosts:          c.hosts(),
		TrustedProxies:        proxies,
		Failover:              d.several,
		Overload:              c.Overload.config(),
		CORSOrigins:           c.CORSOrigin,
		Logger:                logger,
	}
	if c.Auth.Clients != "" {
		if err := d.openClients(ctx, c, logger); err != nil {
			return nil, err
		}
	}
	if d.config.Observer, err = c.Telemetry.observer(logger, d.secrets); err != nil { //nolint:contextcheck // It outlives ctx, to tell of the end.
		return nil, err
	}
	d.closers = append(d.closers, func() error { //nolint:contextcheck // as above
		d.config.Observer.Close()
		return nil
	})
	return d, nil
}

// openClients opens the tokens of many clients, and what counts their limits.
func (d *deps) openClients(ctx context.Context, c *serveCommand, logger *slog.Logger) error {
	keyless := d.upstreams()[0] == server.Sandbox || d.several != nil && d.several.Upstreams[0].NoKey
	tokens, err := c.Auth.open(d.config.UpstreamKey.IsZero() && !keyless, logger)
	if err != nil {
		return err
	}
	stop := reloadAtHangup(tokens)
	// The store is closed first, as a reload may wait for a file that blocks.
	d.closers = append(d.closers, func() error {
		stop()
		return nil
	}, tokens.Close)
	limiter, err := c.Redis.limiter(ctx, logger)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, limiter.Close)
	d.config.Keys, d.config.Limiter = tokens, limiter
	return nil
}

// upstreams are the base URLs of those that are asked, in order.
func (d *deps) upstreams() []string {
	if d.several == nil {
		return []string{d.config.Upstream}
	}
	var bases []string
	for _, entry := range d.several.Upstreams {
		bases = append(bases, entry.BaseURL)
	}
	return bases
}

// firstKey is the first upstream's key, where a file lists several; none otherwise.
func firstKey(several *failover.Config) auth.Secret {
	if several == nil {
		return auth.Secret{}
	}
	return several.Upstreams[0].Key
}

// secrets are those that no log may have.
func (d *deps) secrets() []auth.Secret {
	secrets := []auth.Secret{d.config.UpstreamKey, d.config.ClientToken}
	if d.several != nil {
		for _, entry := range d.several.Upstreams {
			secrets = append(secrets, entry.Key)
		}
	}
	if d.config.Keys != nil {
		secrets = append(secrets, d.config.Keys.UpstreamKeys()...)
	}
	return secrets
}
