// Package auth lets into a server that holds the upstream's key the clients
// that it knows, and takes from their requests what they showed.
package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/secret"
)

// Config says which key the server holds, and whom it serves with that.
type Config struct {
	// UpstreamKey is what the server has to send up in place of what clients
	// send. None means that clients bring their own, and that everything is let
	// through as it is.
	UpstreamKey secret.Secret

	// ClientKey is what clients have to show.
	ClientKey secret.Secret

	// AllowAnonymous serves every client that can reach the server.
	AllowAnonymous bool

	// ForwardOrganization sends the OpenAI-Organization and OpenAI-Project of clients
	// up beside UpstreamKey. By default they don't go up.
	ForwardOrganization bool
}

// Gate decides who is let in. It is safe for concurrent use.
type Authenticator struct {
	hasUpstreamKey bool
	token          [32]byte // SHA-256 of what clients have to show
	anonymous      bool

	forwardOrganization bool
}

// New returns a gate. A key with neither a token nor leave for everyone is
// refused: whoever reached the server could use it. So is what contradicts
// itself.
func New(config Config) (*Authenticator, error) {
	key, token := config.UpstreamKey, config.ClientKey
	switch {
	case key.IsZero() && !token.IsZero():
		return nil, errors.New("a client token is of no use without an upstream key: what clients send as authorization then goes to the upstream")
	case key.IsZero() && config.AllowAnonymous:
		return nil, errors.New("to allow anonymous use is of no use without an upstream key: clients bring their own")
	case key.IsZero():
		return new(Authenticator), nil
	case token.IsZero() && !config.AllowAnonymous:
		return nil, errors.New("a server that holds the upstream's key needs a client token, or leave for anonymous use in so many words")
	case !token.IsZero() && config.AllowAnonymous:
		return nil, errors.New("a client token and anonymous use contradict each other")
	case key.Reveal() == token.Reveal():
		return nil, errors.New("the client token is the upstream's key itself, which clients shall not know")
	}
	return &Authenticator{
		hasUpstreamKey: true,
		token:          sha256.Sum256([]byte(token.Reveal())),
		anonymous:      config.AllowAnonymous,

		forwardOrganization: config.ForwardOrganization,
	}, nil
}

// HoldsKey reports whether the server holds the upstream's key.
func (g *Authenticator) HasUpstreamKey() bool { return g.hasUpstreamKey }

// IsAnonymous reports whether the key serves clients who show nothing.
func (g *Authenticator) IsAnonymous() bool { return g.anonymous }

// The errors of [Gate.Admit]. They are fit to be shown to clients.
var (
	ErrMissingKey = errors.New("this server wants a token: send it in the header as authorization: Bearer YOUR_TOKEN," +
		" where OpenAI's clients send the API key")
	ErrUnknownKey = clients.ErrUnknownKey
)

// Admit returns the request as it may go on: as it is if the server holds no
// key, and otherwise as [Strip] returns it. A request that shows several keys is
// admitted if one of them is right. Otherwise the error is [ErrNoToken] or
// [ErrWrongToken].
func (g *Authenticator) Authenticate(r *http.Request) (*http.Request, error) {
	if !g.HasUpstreamKey() {
		return r, nil
	}
	if !g.anonymous {
		shown := Credentials(r)
		if len(shown) == 0 {
			return nil, ErrMissingKey
		}
		right := 0
		for _, token := range shown {
			digest := sha256.Sum256([]byte(token))
			right |= subtle.ConstantTimeCompare(digest[:], g.token[:])
		}
		if right != 1 {
			return nil, ErrUnknownKey
		}
	}
	return StripCredentials(r, g.forwardOrganization), nil
}
