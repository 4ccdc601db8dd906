// Package failover sends requests to one of several upstreams, or to one with several
// keys, in order of preference, and retries where that is safe.
//
// A request is only retried if the upstream cannot have processed it, or may process it
// twice:
//
//   - The connection, or its TLS handshake, failed: nothing was sent.
//   - Over HTTP/2, the upstream reported that it did not process the request (RFC 9113
//     §8.7).
//   - The upstream rejected the request with 429 (too many requests), 503 or 529
//     (overloaded). The request is sent to another upstream, as the same one would reject
//     it again.
//   - The method is idempotent (RFC 9110 §9.2.2), and the connection ended before a
//     response, or the status is 502 or 504.
//   - The request has an Idempotency-Key, and the connection ended before a response. The
//     request is sent to the same upstream, which knows the key, and to no other.
//
// The client decides about everything else: slow responses, a 500, failures after the
// response header, and requests that a redirect turned into a GET.
//
// A retry also needs the request's body. A body of a stated length up to [MaxBodyBytes]
// is buffered before anything is sent. Any other body is streamed, and the request is
// retried only if none of it was read.
package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// Defaults and limits of [Config].
const (
	DefaultCooldown = 10 * time.Second
	MaxRetries      = 5
	MaxCooldown     = 5 * time.Minute // also bounds an upstream's Retry-After
)

// Response headers that name the upstream of the response and the number of attempts. They
// replace those of an upstream that is such a server itself.
const (
	UpstreamHeader = "Openai-Connect-Upstream"
	AttemptsHeader = "Openai-Connect-Attempts"
)

// Upstream is one of the upstreams that requests are sent to.
type Upstream struct {
	// Name identifies the upstream in response headers, logs and metrics. It has up to
	// 64 letters, digits, "-", "_" and ".".
	Name string

	// BaseURL is a URL that [upstream.ParseBaseURL] accepts, or [Sandbox].
	BaseURL string

	// Sender sends to the upstream. [ReadFile] leaves it nil.
	Sender upstream.Sender

	// Key is the upstream key. It is sent as "Authorization: Bearer KEY" and replaces the
	// request's Authorization. Without a key the request's Authorization is sent, which is
	// only allowed for upstreams with the origin of the first one.
	Key secret.Secret

	// NoKey sends no Authorization, for an upstream that requires none.
	NoKey bool
}

// Config configures a [Failover]. [ReadFile] sets Upstreams, Retries and Cooldown.
type Config struct {
	// Upstreams are in order of preference.
	Upstreams []Upstream

	// Retries is the number of retries on one upstream that can't be reached or that
	// closes the connection before it responds: up to [MaxRetries]. Backoff starts at a
	// tenth of a second and doubles.
	Retries int

	// Cooldown is how long an upstream is skipped after a failure: no valid response, or a
	// status of 429, 502, 503, 504 or 529. A longer Retry-After takes precedence, up to
	// [MaxCooldown]. After a cooldown one request probes the upstream, and others follow
	// when it has responded. Zero means [DefaultCooldown].
	Cooldown time.Duration

	// Memory is the budget for buffered bodies. A request whose body exceeds it is only
	// sent to the first upstream. Nil means no limit.
	Memory *memory.Budget

	// ClientKeys reports that everyone may use the server, with API keys of their own. No
	// upstream may have a Key then, as everyone could use it.
	ClientKeys bool

	// Logger receives a warning for each failed attempt, with the upstream's name and the
	// error or status. Nil discards it.
	Logger *slog.Logger
}

// Failover is an [upstream.Sender] over several upstreams. It is safe for concurrent use.
type Failover struct {
	config  Config
	targets []*target
}

// target is an upstream and its state.
type target struct {
	Upstream
	cooldown

	first bool
}

// New returns a Failover. An error names the invalid part of config.
func New(config Config) (*Failover, error) {
	switch {
	case len(config.Upstreams) == 0:
		return nil, errors.New("no upstream: want at least one")
	case config.Retries < 0 || config.Retries > MaxRetries:
		return nil, fmt.Errorf("retries: %d is out of range: want 0 to %d", config.Retries, MaxRetries)
	case config.Cooldown < 0 || config.Cooldown > MaxCooldown:
		return nil, fmt.Errorf("cooldown: %v is out of range: want up to %v", config.Cooldown, MaxCooldown)
	}
	if config.Cooldown == 0 {
		config.Cooldown = DefaultCooldown
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Failover{config: config}
	seen := make(map[string]bool)
	for i, u := range config.Upstreams {
		if err := config.check(u); err != nil {
			return nil, fmt.Errorf("upstream %q: %w", u.Name, err)
		}
		if seen[u.Name] {
			return nil, fmt.Errorf("upstream %q: duplicate name", u.Name)
		}
		seen[u.Name] = true
		f.targets = append(f.targets, &target{Upstream: u, first: i == 0})
	}
	return f, nil
}

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// check returns an error for an invalid upstream.
func (c *Config) check(u Upstream) error {
	switch hasKey := !u.Key.IsZero(); {
	case !validName.MatchString(u.Name):
		return errors.New(`invalid name: want up to 64 letters, digits, ".", "_" and "-"`)
	case hasKey && u.NoKey:
		return errors.New("has a key although NoKey is set: want one of them")
	case hasKey && c.ClientKeys:
		return errors.New("has a key, but the server accepts unauthenticated clients: configure client authentication or allow anonymous use explicitly")
	case hasKey || u.NoKey:
		return nil
	}
	origin, err := originOf(u.BaseURL)
	if err != nil {
		return err
	}
	first, err := originOf(c.Upstreams[0].BaseURL)
	if err != nil {
		return err
	}
	if origin != first {
		return fmt.Errorf("has no key and would receive the key for %s: set its key, or none explicitly", first)
	}
	return nil
}

// originOf returns scheme, host and port of a base URL.
func originOf(baseURL string) (string, error) {
	base, err := upstream.ParseBaseURL(baseURL)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: base.Scheme, Host: strings.TrimSuffix(base.Host, ":"+defaultPort(base.Scheme))}).String(), nil
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// Send implements [upstream.Sender].
//
// It returns the first response that must not be retried elsewhere. If there is none, it
// returns the last upstream's response unchanged, or, if that upstream could not be
// reached, the last rejection of another one. It makes up no responses: without any it
// returns the last error.
func (f *Failover) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	d := f.newDispatch(ctx, req)
	defer d.hold.Close()
	resp, err := d.run()
	d.body.finalize()
	return resp, err
}

// authorize sets the credentials of a request to this upstream.
func (t *target) authorize(req *upstream.Request) {
	if t.Key.IsZero() && !t.NoKey {
		return
	}
	delete(req.Header, "Authorization")
	if !t.first {
		// Other credentials belong to an account at the first upstream.
		for name := range req.Header {
			if upstream.IsCredential(name) && !isHarmless(name) {
				delete(req.Header, name)
			}
		}
		auth.StripHeaderCredentials(req.Header, false)
	}
	// The response to a TRACE repeats the request (RFC 9110 §9.3.8).
	if !t.NoKey && req.Method != http.MethodTrace {
		req.Header["Authorization"] = []string{"Bearer " + t.Key.Reveal()}
	}
}

// isHarmless reports whether a header holds no credential although its name suggests it.
// WebSockets need theirs, from which client keys are removed separately; OpenAI-Beta selects
// features.
func isHarmless(name string) bool {
	lower := strings.ToLower(name)
	return lower == "openai-beta" || strings.HasPrefix(lower, "sec-websocket-")
}
