package auth

import (
	"context"
	"net/http"
	"strings"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// Reachable returns how many of the upstreams, from the first, a client's requests may be
// sent to. A client with its own upstream key may not use the keys of the server: its
// requests are sent to the first upstream that requires a key, and to those before it.
func (p *Policy) Reachable(client *clients.Client) int {
	if !hasOwnKey(client) {
		return len(p.credentials)
	}
	return min(p.firstWithKey()+1, len(p.credentials))
}

// firstWithKey returns the index of the first upstream that requires a key, or the number
// of upstreams.
func (p *Policy) firstWithKey() int {
	for i, c := range p.credentials {
		if !c.noKey {
			return i
		}
	}
	return len(p.credentials)
}

func hasOwnKey(client *clients.Client) bool { return client != nil && !client.UpstreamKey.IsZero() }

// UsesClientsKey reports whether a client's requests to the i-th upstream have a
// credential of the client, and not one that it shares with others.
func (p *Policy) UsesClientsKey(i int, client *clients.Client) bool {
	return !p.ReplacesCredentials() || hasOwnKey(client) && i == p.firstWithKey()
}

// Sender returns a sender that sets the credentials of requests to the i-th upstream.
// It modifies the header of requests.
func (p *Policy) Sender(i int, next upstream.Sender) upstream.Sender {
	return &sender{p, i, next}
}

type sender struct {
	policy *Policy
	index  int
	next   upstream.Sender
}

// Send implements [upstream.Sender].
func (s *sender) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	s.policy.authorize(s.index, request.FromContext(ctx).Client, req)
	return s.next.Send(ctx, req)
}

// authorize sets the credentials of a request to the i-th upstream.
func (p *Policy) authorize(i int, client *clients.Client, req *upstream.Request) {
	c := p.credentials[i]
	if hasOwnKey(client) && i == p.firstWithKey() {
		c.key = client.UpstreamKey
	}
	if c.key.IsZero() && !c.noKey {
		return
	}
	delete(req.Header, authorizationHeader)
	if i > 0 {
		// Other credentials belong to an account at the first upstream.
		for name := range req.Header {
			if upstream.IsCredential(name) && !isHarmless(name) {
				delete(req.Header, name)
			}
		}
		StripHeaderCredentials(req.Header, false)
	}
	// The response to a TRACE repeats the request (RFC 9110 §9.3.8).
	if c.noKey || req.Method == http.MethodTrace {
		return
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header[authorizationHeader] = []string{bearer + " " + c.key.Reveal()}
}

// isHarmless reports whether a header holds no credential although its name suggests it.
// WebSockets need theirs, from which client keys are removed separately. OpenAI-Beta
// selects features.
func isHarmless(name string) bool {
	lower := strings.ToLower(name)
	return lower == "openai-beta" || strings.HasPrefix(lower, "sec-websocket-")
}
