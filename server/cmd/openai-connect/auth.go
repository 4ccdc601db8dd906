package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/secret"
)

// authFlags configure the upstream key, if the server holds one, and the clients that
// may use it. No flag takes a secret as its value, as all users of a machine see its
// command lines.
type authFlags struct {
	UpstreamKeyFile string `help:"File with the upstream key, which replaces what clients send. $$OPENAI_CONNECT_UPSTREAM_KEY can hold the key instead. Requires --client-key-file, --clients or --allow-anonymous." placeholder:"FILE"`
	UpstreamKey     string `hidden:"" secret:""`

	ClientKeyFile       string `help:"File with the key that clients must send as their API key." placeholder:"FILE"`
	Clients             string `help:"YAML file of clients, each with its own API key, rights and limits: see 'openai-connect clients'. It is reloaded when it changes and on SIGHUP." placeholder:"FILE"`
	AllowAnonymous      bool   `help:"Let everyone who can reach the server use the upstream key."`
	ForwardOrganization bool   `help:"Forward the OpenAI-Organization and OpenAI-Project headers of clients even if the server replaces their key. By default they are dropped then."`
}

// read returns the upstream key and the client key. A key that is not given is zero.
func (f *authFlags) read(logger *slog.Logger) (upstreamKey, clientKey secret.Secret, err error) {
	if f.UpstreamKey != "" {
		if upstreamKey, err = secret.New(f.UpstreamKey); err != nil {
			return upstreamKey, clientKey, fmt.Errorf("%s: %w", nameOf("upstream-key"), err)
		}
	}
	for _, file := range []struct {
		flag, path string
		secret     *secret.Secret
	}{
		{"--upstream-key-file", f.UpstreamKeyFile, &upstreamKey},
		{"--client-key-file", f.ClientKeyFile, &clientKey},
	} {
		if file.path == "" {
			continue
		}
		if *file.secret, err = secret.ReadFile(file.path); err != nil {
			return upstreamKey, clientKey, fmt.Errorf("%s: %w", file.flag, err)
		}
		if secret.IsWorldReadable(file.path) {
			logger.Warn(file.flag+": every user of this machine can read the file: run chmod 600", "file", file.path)
		}
	}
	return upstreamKey, clientKey, nil
}

// reloadAtHangup reloads the clients on SIGHUP until stop is called.
func reloadAtHangup(store *clients.Store) (stop func()) {
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-hangups:
				_ = store.Reload() // The error is logged.
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(done)
		running.Wait()
	}
}

// credential returns a shell expression for the API key that clients send. It is
// empty if they need none.
func (f *authFlags) credential(upstream string) string {
	switch {
	case f.Clients != "":
		return "$" + apiKeyVariable
	case f.ClientKeyFile != "":
		return "$(cat '" + strings.ReplaceAll(f.ClientKeyFile, "'", `'\''`) + "')"
	case f.AllowAnonymous || upstream == server.Sandbox:
		return ""
	case isOpenAI(upstream):
		return "$OPENAI_API_KEY"
	default:
		return "$API_KEY"
	}
}

// warn logs warnings about settings that may expose the keys of the server.
func (f *serverFlags) warn(listen string, d *deps, logger *slog.Logger) {
	if host, _, err := net.SplitHostPort(listen); f.Auth.AllowAnonymous && err == nil && !isLoopback(host) {
		logger.Warn("--allow-anonymous: everyone who can reach this address can use the upstream key", "address", listen)
	}
	if !d.replacesKeys() {
		return
	}
	flag, upstreams := "--upstream", []failover.Upstream{{BaseURL: d.config.Upstream}}
	if f.Upstream.Upstreams != "" {
		flag, upstreams = "--upstreams", d.config.Failover.Upstreams
	}
	for _, to := range upstreams {
		base, err := url.Parse(to.BaseURL)
		if err == nil && base.Scheme == "http" && !to.NoKey && !isLoopback(base.Hostname()) {
			logger.Warn(flag+": keys and messages are sent in plain text: use https", "host", base.Host)
		}
	}
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// isOpenAI reports whether a base URL is OpenAI's own. Its key must not be sent to
// other hosts.
func isOpenAI(upstream string) bool {
	base, err := url.Parse(upstream)
	return err == nil && base.Host == "api.openai.com"
}
