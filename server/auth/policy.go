// Package auth decides who may use the server, and with which upstream key.
//
// A [Policy] authenticates clients, removes their credentials from requests, and sets the
// credentials that each upstream receives. It is the only place with rules about keys.
package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// Config configures a [Policy]. At most one of ClientKey, Clients and AllowAnonymous is
// set. Without any, clients bring credentials of their own, which reach the upstreams
// unchanged, and no upstream may have a key.
type Config struct {
	// Upstreams are in order of preference.
	Upstreams []Upstream

	// UpstreamKey is the key of upstreams without a key of their own.
	UpstreamKey secret.Secret

	// ClientKey is the API key that all clients share.
	ClientKey secret.Secret

	// Clients holds the API keys of many clients.
	Clients *clients.Store

	// AllowAnonymous allows everyone to use the upstream keys.
	AllowAnonymous bool

	// ForwardOrganization keeps the OpenAI-Organization and OpenAI-Project headers of
	// authenticated clients.
	ForwardOrganization bool
}

// Upstream is an upstream and its key.
type Upstream struct {
	Name    string // for errors
	BaseURL string // as [upstream.ParseBaseURL] accepts it
	Key     secret.Secret
	NoKey   bool // the upstream requires no key
}

// ConfigError reports an invalid field of a [Config]. Upstreams is the name of the field
// for errors of one upstream.
type ConfigError struct {
	Field string
	Err   error
}

// Error implements error.
func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *ConfigError) Unwrap() error { return e.Err }

// ErrClientAuthRequired is the error of a configuration whose upstream keys everyone
// could use.
var ErrClientAuthRequired = errors.New("an upstream key requires client authentication: set a client key or a clients file, or allow anonymous use")

// ErrUpstreamKeyRequired is the error of a configuration that authenticates clients for
// an upstream that still receives their credentials.
var ErrUpstreamKeyRequired = errors.New("has no effect without an upstream key: clients send their own credentials to the upstream")

// ErrMissingKey is the error of a request without an API key. It may be shown to clients.
var ErrMissingKey = errors.New("this server requires an API key: send it as authorization: Bearer YOUR_API_KEY," +
	" as OpenAI's clients do")

// Policy decides who may use the server, and with which upstream key. It is safe for
// concurrent use.
type Policy struct {
	credentials []credential // of the upstreams
	lookup      func(key string) (*clients.Client, error)
	anonymous   bool

	forwardOrganization bool
}

// credential is the credential sent to an upstream.
type credential struct {
	key   secret.Secret // zero for the credentials of the request
	noKey bool          // no credentials
}

// NewPolicy returns a policy. The error is a [*ConfigError].
func NewPolicy(config Config) (*Policy, error) {
	p := &Policy{anonymous: config.AllowAnonymous, forwardOrganization: config.ForwardOrganization}
	switch {
	case !config.ClientKey.IsZero() && config.Clients != nil:
		return nil, &ConfigError{"ClientKey", errors.New("a client key and a clients file are mutually exclusive: add the client to the file")}
	case !config.ClientKey.IsZero() && config.AllowAnonymous:
		return nil, &ConfigError{"AllowAnonymous", errors.New("a client key and anonymous use are mutually exclusive")}
	case config.Clients != nil && config.AllowAnonymous:
		return nil, &ConfigError{"AllowAnonymous", errors.New("a clients file and anonymous use are mutually exclusive")}
	case config.Clients != nil:
		p.lookup = config.Clients.Lookup
	case !config.ClientKey.IsZero():
		p.lookup = sharedKey(config.ClientKey)
	}
	if err := p.setCredentials(config); err != nil {
		return nil, err
	}
	if err := p.checkCredentials(config); err != nil {
		return nil, err
	}
	return p, nil
}

// setCredentials sets what each upstream receives.
func (p *Policy) setCredentials(config Config) error {
	used := config.UpstreamKey.IsZero()
	for i, u := range config.Upstreams {
		c := credential{key: u.Key, noKey: u.NoKey}
		if c.key.IsZero() && !c.noKey {
			// The key, or the client's credentials, are for the origin of the first upstream.
			if err := checkOrigin(u, config.Upstreams[0]); i > 0 && err != nil {
				return &ConfigError{"Upstreams", fmt.Errorf("upstream %q: %w", u.Name, err)}
			}
			c.key, used = config.UpstreamKey, true
			if i > 0 && c.key.IsZero() {
				c.key = p.credentials[0].key
			}
		}
		p.credentials = append(p.credentials, c)
	}
	if !used && len(config.Upstreams) > 0 {
		return &ConfigError{"UpstreamKey", errors.New("has no effect: every upstream has a key of its own or requires none")}
	}
	return nil
}

// checkOrigin returns an error unless an upstream without a key has the origin of the
// first one.
func checkOrigin(u, first Upstream) error {
	origin, err := originOf(u.BaseURL)
	if err != nil {
		return err
	}
	home, err := originOf(first.BaseURL)
	if err != nil {
		return err
	}
	if origin != home {
		return fmt.Errorf("has no key and would receive the key for %s: set its key, or none explicitly", home)
	}
	return nil
}

// originOf returns scheme, host and port of a base URL.
func originOf(baseURL string) (string, error) {
	base, err := upstream.ParseBaseURL(baseURL)
	if err != nil {
		return "", err
	}
	port := ":80"
	if base.Scheme == "https" {
		port = ":443"
	}
	return (&url.URL{Scheme: base.Scheme, Host: strings.TrimSuffix(base.Host, port)}).String(), nil
}

// checkCredentials checks the credentials of upstreams together with the authentication
// of clients.
func (p *Policy) checkCredentials(config Config) error {
	hasKey, passesOn := -1, -1 // an upstream with a key, and one that receives the client's
	clientKey := sha256.Sum256([]byte(config.ClientKey.Reveal()))
	for i, c := range p.credentials {
		switch {
		case c.noKey:
		case c.key.IsZero():
			passesOn = i
		default:
			hasKey = i
			if key := sha256.Sum256([]byte(c.key.Reveal())); key == clientKey {
				return &ConfigError{"ClientKey", errors.New("is an upstream key, which clients must not know")}
			}
		}
	}
	switch {
	case !p.ReplacesCredentials() && hasKey < 0:
		return nil
	case !p.ReplacesCredentials() && !config.UpstreamKey.IsZero():
		return &ConfigError{"UpstreamKey", ErrClientAuthRequired}
	case !p.ReplacesCredentials():
		return &ConfigError{"Upstreams", fmt.Errorf("upstream %q: %w", config.Upstreams[hasKey].Name, ErrClientAuthRequired)}
	case config.Clients != nil && passesOn >= 0:
		if err := config.Clients.RequireUpstreamKeys(); err != nil {
			return &ConfigError{"Clients", err}
		}
		return nil
	case config.Clients != nil:
		return nil
	case hasKey >= 0 && passesOn >= 0:
		return &ConfigError{"Upstreams", fmt.Errorf("upstream %q: has no key: set its key, or none explicitly", config.Upstreams[passesOn].Name)}
	case config.AllowAnonymous && hasKey < 0:
		return &ConfigError{"AllowAnonymous", ErrUpstreamKeyRequired}
	case passesOn >= 0:
		return &ConfigError{"ClientKey", ErrUpstreamKeyRequired}
	}
	return nil
}

// ReplacesCredentials reports whether the server replaces the credentials of clients.
// Otherwise they reach the upstreams unchanged.
func (p *Policy) ReplacesCredentials() bool { return p.lookup != nil || p.anonymous }

// IsAnonymous reports whether clients need no credentials.
func (p *Policy) IsAnonymous() bool { return p.anonymous }
