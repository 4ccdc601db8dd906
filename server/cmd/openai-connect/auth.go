package main

import (
	"errors"
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
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/clients"
)

// authFlags are the upstream's key, where the server holds it, and whom it then
// serves. No flag has a secret for its value, since every user of a machine sees
// the command lines of all.
type authFlags struct {
	UpstreamKeyFile string `help:"File with the upstream's key, which replaces what clients send as theirs. Or give the key itself by $$OPENAI_CONNECT_UPSTREAM_KEY. It needs --client-key-file, --clients or --allow-anonymous." placeholder:"FILE"`
	ClientKeyFile   string `help:"File with the token that clients have to send where they would send a key." placeholder:"FILE"`
	Clients         string `help:"File with the tokens of many clients, each with its own rights and limits: see 'openai-connect clients'. It is read again when it changes, and at SIGHUP." placeholder:"FILE"`
	AllowAnonymous  bool   `help:"Let everyone who reaches the server use the upstream's key that it holds."`

	ForwardOrganization bool `help:"Send the OpenAI-Organization and OpenAI-Project headers of clients to the upstream also where the server replaces the client's key. By default they are dropped then."`
}

// keyVariable is the environment variable that has the upstream's key.
const keyVariable = "OPENAI_CONNECT_UPSTREAM_KEY"

// check says what is wrong with the flags together. A file of upstreams may hold
// keys of its own.
func (f *authFlags) check(upstreams string) error {
	_, given := os.LookupEnv(keyVariable)
	holds := given || f.UpstreamKeyFile != ""
	switch {
	case f.ForwardOrganization && !holds && f.Clients == "" && upstreams == "":
		return errors.New("--forward-organization: is of no use without an upstream key: the headers go up with the client's own key anyway")
	case given && f.UpstreamKeyFile != "":
		return errors.New("--upstream-key-file and " + keyVariable + ": both have the key: choose one")
	case f.Clients != "" && f.ClientKeyFile != "":
		return errors.New("--clients and --client-key-file: contradict each other: choose one, or add the client to the keys")
	case f.Clients != "" && f.AllowAnonymous:
		return errors.New("--clients and --allow-anonymous: contradict each other: choose one")
	case f.Clients != "":
		return nil
	case f.ClientKeyFile != "" && f.AllowAnonymous:
		return errors.New("--client-key-file and --allow-anonymous: contradict each other: choose one")
	case upstreams != "" && !holds:
		return nil
	case f.ClientKeyFile != "" && !holds:
		return errors.New("--client-key-file: is of no use without --upstream-key-file or " + keyVariable +
			": what clients send as authorization then goes to the upstream")
	case f.AllowAnonymous && !holds:
		return errors.New("--allow-anonymous: is of no use without --upstream-key-file or " + keyVariable + ": clients bring their own key")
	case holds && f.ClientKeyFile == "" && !f.AllowAnonymous:
		return errors.New("--client-key-file: is needed with --upstream-key-file and " + keyVariable +
			"; or --clients for many clients; or let everyone who reaches the server use the key, by --allow-anonymous")
	}
	return nil
}

// read returns the upstream's key and the clients' token, each of them none where
// it isn't given. The key is listed where it is in a file of upstreams alone.
func (f *authFlags) read(listed auth.Secret, logger *slog.Logger) (key, token auth.Secret, err error) {
	if text, given := os.LookupEnv(keyVariable); given {
		if key, err = auth.NewSecret(text); err != nil {
			return key, token, fmt.Errorf("%s: %w", keyVariable, err)
		}
	}
	for _, file := range []struct {
		flag, path string
		secret     *auth.Secret
	}{
		{"--upstream-key-file", f.UpstreamKeyFile, &key},
		{"--client-key-file", f.ClientKeyFile, &token},
	} {
		if file.path == "" {
			continue
		}
		if *file.secret, err = auth.ReadSecret(file.path); err != nil {
			return key, token, fmt.Errorf("%s: %w", file.flag, err)
		}
		if auth.IsOpenToAll(file.path) {
			logger.Warn(file.flag+": every user of this machine can read the file: chmod 600 it", "file", file.path)
		}
	}
	if key.IsZero() {
		key = listed
	}
	if f.Clients != "" {
		return key, token, nil
	}
	if _, err := auth.New(auth.Config{UpstreamKey: key, ClientToken: token, AllowAnonymous: f.AllowAnonymous}); err != nil {
		return key, token, fmt.Errorf("--client-key-file: %w", err)
	}
	return key, token, nil
}

// open returns the tokens of many clients. The server's key serves those that have
// none of their own; without one they all need one, unless the upstream doesn't.
func (f *authFlags) open(needed bool, logger *slog.Logger) (*clients.Store, error) {
	store, err := clients.Open(f.Clients, clients.Options{ServerHoldsKey: !needed, Logger: logger})
	if err != nil {
		return nil, fmt.Errorf("--clients: %w", err)
	}
	return store, nil
}

// reloadAtHangup has tokens read again at each SIGHUP, until it is stopped.
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

// credential is what a shell has to replace with what clients send as their key,
// and empty where they need to send nothing.
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

// warn tells of settings that are allowed, but open the key to more than may be
// meant.
func (f *authFlags) warn(listen string, upstreams []string, logger *slog.Logger) {
	if host, _, err := net.SplitHostPort(listen); f.AllowAnonymous && err == nil && !isLoopback(host) {
		logger.Warn("--allow-anonymous: everyone who reaches this address uses the upstream's key", "address", listen)
	}
	_, given := os.LookupEnv(keyVariable)
	if !given && f.UpstreamKeyFile == "" && f.Clients == "" {
		return
	}
	for _, to := range upstreams {
		base, err := url.Parse(to)
		if err == nil && base.Scheme == "http" && !isLoopback(base.Hostname()) {
			logger.Warn("--upstream: the key, and all that is said, goes there in plain text: use https", "host", base.Host)
		}
	}
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// isOpenAI reports whether a base URL is of OpenAI's own API, whose key is no
// other host's to see.
func isOpenAI(upstream string) bool {
	base, err := url.Parse(upstream)
	return err == nil && base.Host == "api.openai.com"
}
