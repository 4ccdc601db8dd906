// Package failover keeps calls going while an upstream is in trouble: it asks
// several, or one with several keys, in order, and where that can do no harm asks
// once more.
//
// A request is asked again only where nobody can have acted on it:
//
//   - There was no connection, or no TLS on it: nothing was sent.
//   - Over HTTP/2, the upstream said that it has not acted on it, and won't (RFC 9113
//     §8.7).
//   - The upstream refused it, with 429 (too many requests), 503 or 529
//     (overloaded). Another one is asked then; the same would say the same.
//   - Its method is idempotent (RFC 9110 §9.2.2), and the connection ended before
//     an answer, or 502 or 504 tells of that behind the upstream.
//   - It has an Idempotency-Key, and the connection ended before an answer: then
//     the upstream that knows the key is asked again, and no other.
//
// An answer that took long, a 500, and all that comes after the header of an
// answer, are the client's to judge. So is what a request became by a redirect
// that made a GET of it.
//
// Its body must be at hand, too: one of a stated length up to [MaxBodyBytes] is
// read before anything is sent, and one in memory is there anyway. Any other is
// sent as it comes, and the request is asked again only while none of it was read.
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
	"github.com/openai-connect/openai-connect/server/upstream"
)

// Defaults and bounds of [Config].
const (
	DefaultCooldown = 10 * time.Second
	MaxRetries      = 5
	MaxCooldown     = 5 * time.Minute // whatever an upstream's retry-after says
)

// The fields of an answer that say who gave it, and how often one was asked until
// then. They replace those of an upstream that is such a server too.
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

	// Key is the upstream's, which is sent to it as "authorization: Bearer KEY" in
	// place of what the request has. None leaves that as it is, which all are
	// refused but those of the first one's origin.
	Key auth.Secret

	// NoKey sends no authorization: it asks for none. There is no Key then.
	NoKey bool
}

// Config configures a failover. [ReadFile] sets Upstreams, Retries and Cooldown.
type Config struct {
	// Upstreams are asked in this order.
	Upstreams []Upstream

	// Retries is how often more one upstream is asked if it can't be reached, or
	// hangs up before it answers: up to [MaxRetries], each after a pause that
	// doubles from a tenth of a second.
	Retries int

	// Cooldown is for how long an upstream is passed over that failed, by a broken
	// or missing answer or by 502, 503, 504 or 529, or that refused by 429; longer,
	// up to [MaxCooldown], if its answer has a longer retry-after. Behind that one
	// call tries it, and others follow when it was answered. Zero means
	// [DefaultCooldown].
	Cooldown time.Duration

	// Memory is the budget of the bodies that are kept until there is an answer. One
	// that there is no room for goes to the first upstream alone. Nil bounds nothing.
	Memory *memory.Budget

	// ClientKeys says that clients bring keys of their own, and that everyone is
	// let in. No upstream may have a Key then, which would be everyone's.
	ClientKeys bool

	// Logger is told, at level WARN, of each try that failed, by the upstream's
	// name and what happened. Nil means silence.
	Logger *slog.Logger
}

// Failover is an [upstream.Sender] over several. It is safe for concurrent use.
type Failover struct {
	config  Config
	targets []*target
}

// target is an upstream with what is known of its state.
type target struct {
	Upstream
	cooldown

	first bool
}

// New returns a failover. The error says which part of config is wrong.
func New(config Config) (*Failover, error) {
	switch {
	case len(config.Upstreams) == 0:
		return nil, errors.New("there is no upstream: give one at least")
	case config.Retries < 0 || config.Retries > MaxRetries:
		return nil, fmt.Errorf("retries: %d is out of bounds: give a number from 0 to %d", config.Retries, MaxRetries)
	case config.Cooldown < 0 || config.Cooldown > MaxCooldown:
		return nil, fmt.Errorf("cooldown: %v is out of bounds: give a time up to %v", config.Cooldown, MaxCooldown)
	}
	if config.Cooldown == 0 {
		config.Cooldown = DefaultCooldown
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Failover{config: config}
	seen := make(map[string]bool)
	for i, one := range config.Upstreams {
		if err := config.check(one); err != nil {
			return nil, fmt.Errorf("upstream %q: %w", one.Name, err)
		}
		if seen[one.Name] {
			return nil, fmt.Errorf("upstream %q: there are two of that name", one.Name)
		}
		seen[one.Name] = true
		f.targets = append(f.targets, &target{Upstream: one, first: i == 0})
	}
	return f, nil
}

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// check says what is wrong with one of the upstreams.
func (c *Config) check(one Upstream) error {
	switch hasKey := !one.Key.IsZero(); {
	case !validName.MatchString(one.Name):
		return errors.New("the name may have up to 64 letters, digits, and the signs \".\", \"_\" and \"-\", and nothing else")
	case hasKey && one.NoKey:
		return errors.New("it has a key, and is said to have none")
	case hasKey && c.ClientKeys:
		return errors.New("it has a key, which everyone could use who reaches this server: have clients show a token, or allow anonymous use in so many words")
	case hasKey || one.NoKey:
		return nil
	}
	origin, err := originOf(one.BaseURL)
	if err != nil {
		return err
	}
	first, err := originOf(c.Upstreams[0].BaseURL)
	if err != nil {
		return err
	}
	if origin != first {
		return fmt.Errorf("it has no key of its own, and would be sent the one for %s: give it a key, or none in so many words", first)
	}
	return nil
}

// originOf returns scheme, host and port of a base URL.
func originOf(base string) (string, error) {
	at, err := upstream.ParseBaseURL(base)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: at.Scheme, Host: strings.TrimSuffix(at.Host, ":"+defaultPort(at.Scheme))}).String(), nil
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// Send implements [upstream.Sender].
//
// The answer is the first that isn't to be had again elsewhere. Where none is, it
// is the last upstream's, as it came; or if that one couldn't be reached, the last
// refusal of another. No answer is invented: without one there is the last
// error.
func (f *Failover) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	t := f.begin(ctx, req)
	defer t.hold.Close()
	resp, err := t.run()
	t.body.settle()
	return resp, err
}

// authorize gives a request's header what this upstream is to see.
func (t *target) authorize(req *upstream.Request) {
	if t.Key.IsZero() && !t.NoKey {
		return
	}
	delete(req.Header, "Authorization")
	if !t.first {
		// What else names an account names one of the first upstream's.
		for name := range req.Header {
			if upstream.IsCredential(name) && !isHarmless(name) {
				delete(req.Header, name)
			}
		}
		auth.StripHeader(req.Header, false)
	}
	// The answer to a TRACE is the request (RFC 9110 §9.3.8).
	if !t.NoKey && req.Method != http.MethodTrace {
		req.Header["Authorization"] = []string{"Bearer " + t.Key.Reveal()}
	}
}

// isHarmless reports whether a field is only called like a credential: WebSockets
// need theirs, out of which keys of clients are taken, and the other chooses
// features.
func isHarmless(name string) bool {
	lower := strings.ToLower(name)
	return lower == "openai-beta" || strings.HasPrefix(lower, "sec-websocket-")
}
