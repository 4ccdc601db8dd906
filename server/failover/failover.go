// Package failover sends each request to the first available upstream in a list, and
// retries it where that is safe. The upstreams may differ only in their key.
//
// A request is retried only if the upstream cannot have processed it, or if processing it
// twice is harmless:
//
//   - The connection, or its TLS handshake, failed: nothing was sent.
//   - Over HTTP/2, the upstream reported that it did not process the request (RFC 9113
//     §8.7).
//   - The upstream rejected the request with 429 (too many requests), 503 or 529
//     (overloaded). The request is sent to another upstream, because the same one would
//     probably reject it again.
//   - The method is idempotent (RFC 9110 §9.2.2), and the connection ended before a
//     response, or the status is 502 or 504.
//   - The request has an Idempotency-Key, and the connection ended before a response. The
//     request is sent only to the same upstream, because only that one knows the key.
//
// Nothing else is retried, so that the client can decide: slow responses, a 500, failures
// after the response header, and requests that a redirect turned into a GET.
//
// A retry also needs the request's body. A body with a Content-Length up to [MaxBodyBytes]
// is buffered before the request is sent. Any other body is streamed, and the request is
// retried only if nothing was read from the body.
package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
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

// Response headers. UpstreamHeader holds the name of the upstream that sent the response,
// and AttemptsHeader the number of attempts. They replace the same headers of an upstream
// that is itself an openai-connect server.
const (
	UpstreamHeader = "Openai-Connect-Upstream"
	AttemptsHeader = "Openai-Connect-Attempts"
)

// Upstream configures an upstream.
type Upstream struct {
	// Name identifies the upstream in response headers, logs and metrics. It has up to
	// 64 letters, digits, "-", "_" and ".".
	Name string

	// BaseURL is a URL that [upstream.ParseBaseURL] accepts, or [Sandbox].
	BaseURL string

	// Sender sends requests to the upstream. [ReadFile] leaves it nil.
	Sender upstream.Sender

	// Key is the upstream's API key. NoKey means that the upstream requires none. At most
	// one of them may be set. See also [auth.Policy].
	Key   secret.Secret
	NoKey bool
}

// Config configures a [Failover]. [ReadFile] sets Upstreams, Retries and Cooldown.
type Config struct {
	// Upstreams are in order of preference.
	Upstreams []Upstream

	// Retries is the maximum number of retries of a request on the same upstream, after a
	// connection failure or if the connection ends before a response. It is at most
	// [MaxRetries]. The backoff starts at 100ms and doubles with each retry.
	Retries int

	// Cooldown is how long an upstream is skipped after a failure: no valid response, or a
	// status of 429, 502, 503, 504 or 529. A longer Retry-After takes precedence, up to
	// [MaxCooldown]. After the cooldown, one request probes the upstream. The upstream is
	// used again once it has responded. Zero means [DefaultCooldown].
	Cooldown time.Duration

	// Memory is the budget for buffered bodies. A body that exceeds it is streamed, so the
	// request isn't retried once some of the body was read. Nil means no limit.
	Memory *memory.Budget

	// Policy sets the credentials of requests. It must have the same upstreams in the same
	// order. [ReadFile] leaves it nil.
	Policy *auth.Policy

	// Logger logs a warning for each failed attempt, with the upstream's name and the error
	// or status. Nil means no logging.
	Logger *slog.Logger
}

// Failover is an [upstream.Sender] that sends each request to one of several upstreams. It
// is safe for concurrent use.
type Failover struct {
	config  Config
	targets []*target
}

// target is an upstream and its state.
type target struct {
	Upstream
	cooldown

	index int
}

// New returns a Failover. The error names the invalid field of config.
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
		if err := check(u); err != nil {
			return nil, fmt.Errorf("upstream %q: %w", u.Name, err)
		}
		if seen[u.Name] {
			return nil, fmt.Errorf("upstream %q: duplicate name", u.Name)
		}
		seen[u.Name] = true
		u.Sender = config.Policy.Sender(i, u.Sender)
		f.targets = append(f.targets, &target{Upstream: u, index: i})
	}
	return f, nil
}

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// check returns an error for an invalid upstream.
func check(u Upstream) error {
	switch {
	case !validName.MatchString(u.Name):
		return errors.New(`invalid name: want up to 64 letters, digits, ".", "_" and "-"`)
	case !u.Key.IsZero() && u.NoKey:
		return errors.New("both Key and NoKey are set")
	}
	return nil
}

// Send implements [upstream.Sender].
//
// It returns the first response that does not allow a retry. If every response allows one,
// it returns the last one unchanged, even if later attempts on other upstreams failed. If no
// upstream responded, it returns the last error.
func (f *Failover) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	d := f.newDispatch(ctx, req)
	defer d.hold.Close()
	resp, err := d.run()
	d.body.finalize()
	return resp, err
}
