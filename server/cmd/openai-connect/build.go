package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/clientaddr"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// deps are the server's configuration and the resources in it.
type deps struct {
	config  server.Config
	hosts   *auth.Hosts
	closers []func() error
}

// close closes the resources, the last first.
func (d *deps) close() error {
	var errs []error
	for _, closer := range slices.Backward(d.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// build opens the resources that the flags name. They must be closed.
func (f *serverFlags) build(ctx context.Context, logger *slog.Logger) (_ *deps, err error) {
	d := new(deps)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	roots, err := readRoots(f.Upstream.UpstreamCA)
	if err != nil {
		return nil, fmt.Errorf("--upstream-ca: %w", err)
	}
	several, err := f.Upstream.failover()
	if err != nil {
		return nil, err
	}
	key, clientKey, err := f.Auth.read(logger)
	if err != nil {
		return nil, err
	}
	proxies, err := clientaddr.Parse(f.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("--trusted-proxies: %w", err)
	}
	if d.hosts, err = auth.NewHosts(f.hosts()); err != nil {
		return nil, fmt.Errorf("--allowed-host: %w", err)
	}
	d.config = server.Config{
		Upstream:              cmp.Or(f.Upstream.Upstream, upstream.DefaultBaseURL),
		Failover:              several,
		Proxy:                 f.Upstream.Proxy,
		UpstreamRoots:         roots,
		UpstreamHTTP2:         f.Upstream.UpstreamHTTP2,
		NoRedirects:           f.Upstream.NoFollowRedirects,
		ResponseHeaderTimeout: f.Upstream.ResponseHeaderTimeout,
		MaxMessageBytes:       f.Limits.MaxMessageBytes,
		MaxReplyBytes:         f.Limits.MaxMessageBytes,
		MaxBufferedBytes:      f.Limits.MaxBufferedBytes,
		UpstreamKey:           key,
		ClientKey:             clientKey,
		AllowAnonymous:        f.Auth.AllowAnonymous,
		ForwardOrganization:   f.Auth.ForwardOrganization,
		AllowedHosts:          f.hosts(),
		TrustedProxies:        proxies,
		Overload:              f.Limits.overload(),
		CORSOrigins:           f.CORSOrigin,
		Logger:                logger,
	}
	if f.Auth.Clients != "" {
		if err := d.openClients(ctx, f, logger); err != nil {
			return nil, err
		}
	}
	if d.config.Observer, err = f.Telemetry.observer(logger, d.secrets); err != nil { //nolint:contextcheck // It outlives ctx, to report the end.
		return nil, err
	}
	d.closers = append(d.closers, func() error { //nolint:contextcheck // as above
		d.config.Observer.Close()
		return nil
	})
	return d, nil
}

// openClients opens the file of clients, and the limiter of their requests.
func (d *deps) openClients(ctx context.Context, f *serverFlags, logger *slog.Logger) error {
	store, err := clients.Open(f.Auth.Clients, clients.Options{Logger: logger})
	if err != nil {
		return fmt.Errorf("--clients: %w", err)
	}
	stop := reloadAtHangup(store)
	// The store is closed first, as a reload may wait for a file that blocks.
	d.closers = append(d.closers, func() error {
		stop()
		return nil
	}, store.Close)
	limiter, err := f.Redis.limiter(ctx, logger)
	if err != nil {
		return err
	}
	d.closers = append(d.closers, limiter.Close)
	d.config.Clients, d.config.Limiter = store, limiter
	return nil
}

// replacesKeys reports whether the server replaces the keys that clients send.
func (d *deps) replacesKeys() bool {
	return !d.config.ClientKey.IsZero() || d.config.Clients != nil || d.config.AllowAnonymous
}

// upstreams returns the base URLs of the upstreams, in order of preference.
func (d *deps) upstreams() []string {
	if d.config.Failover == nil {
		return []string{d.config.Upstream}
	}
	var urls []string
	for _, one := range d.config.Failover.Upstreams {
		urls = append(urls, one.BaseURL)
	}
	return urls
}

// secrets returns the secrets that must not be logged.
func (d *deps) secrets() []secret.Secret {
	secrets := []secret.Secret{d.config.UpstreamKey, d.config.ClientKey}
	if d.config.Failover != nil {
		for _, one := range d.config.Failover.Upstreams {
			secrets = append(secrets, one.Key)
		}
	}
	if d.config.Clients != nil {
		secrets = append(secrets, d.config.Clients.UpstreamKeys()...)
	}
	return secrets
}

// flagsOfFields lists, for each field of a [server.ConfigError], the flags that set
// it.
var flagsOfFields = map[string][]string{
	"Upstream":       {"upstream"},
	"Failover":       {"upstreams", "upstream"},
	"Proxy":          {"proxy"},
	"UpstreamKey":    {"upstream-key-file", "upstream-key", "upstreams"},
	"ClientKey":      {"client-key-file"},
	"Clients":        {"clients"},
	"AllowAnonymous": {"allow-anonymous"},
	"AllowedHosts":   {"allowed-host", "domain", "listen"},
	"CORSOrigins":    {"cors-origin"},
	"Overload":       {"max-calls"},
}

// checkTransport returns an error if a flag about connections has no effect on any
// upstream. The sandbox is reached directly and without TLS.
func (d *deps) checkTransport(given givenFlags) error {
	remote := slices.DeleteFunc(d.upstreams(), func(base string) bool { return base == server.Sandbox })
	for _, flag := range []string{"proxy", "upstream-ca"} {
		if given.has(flag) && len(remote) == 0 {
			return fmt.Errorf("%s: has no effect on the sandbox, which is reached directly: leave it out", nameOf(flag))
		}
	}
	isHTTPS := func(base string) bool { return !strings.HasPrefix(strings.ToLower(base), "http:") }
	if given.has("upstream-http2") && !slices.ContainsFunc(remote, isHTTPS) {
		return errors.New("--upstream-http2: requires an https upstream")
	}
	return nil
}

// newServer returns a server. Its errors name the flag that was given.
func (d *deps) newServer(given givenFlags) (*server.Server, error) {
	if err := d.checkTransport(given); err != nil {
		return nil, err
	}
	s, err := server.New(d.config)
	invalid, ok := errors.AsType[*server.ConfigError](err)
	if !ok && err != nil {
		return nil, fmt.Errorf("--client-key-file: %w", err)
	}
	if !ok {
		return s, nil
	}
	flags := flagsOfFields[invalid.Field]
	if len(flags) == 0 {
		return nil, err
	}
	name := flags[0]
	for _, flag := range slices.Backward(flags) {
		if given.has(flag) {
			name = flag
		}
	}
	advice := ""
	switch {
	case errors.Is(err, auth.ErrClientAuthRequired):
		advice = ": add --client-key-file, --clients or --allow-anonymous"
	case errors.Is(err, auth.ErrUpstreamKeyRequired):
		advice = ": add --upstream-key-file, " + nameOf("upstream-key") + " or --upstreams"
	}
	return nil, fmt.Errorf("%s: %w%s", nameOf(name), invalid.Err, advice)
}
