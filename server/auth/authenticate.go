package auth

import (
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/secret"
)

// sharedKey returns a lookup of the one key that all clients share.
func sharedKey(key secret.Secret) func(string) (*clients.Client, error) {
	want := clients.HashKey(key.Reveal())
	return func(key string) (*clients.Client, error) {
		if got := clients.HashKey(key); subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			return nil, clients.ErrUnknownKey
		}
		return nil, nil // Clients that share a key have no name.
	}
}

// Authenticate returns a request as upstreams may receive it, and its client. The client
// is nil unless there is a clients file. The request is unchanged if clients bring
// credentials for the upstream, and otherwise as [StripCredentials] returns it. If a
// request has several API keys, one of them must be valid. The error is
// [ErrMissingKey], [clients.ErrUnknownKey] or [clients.ErrExpired].
func (p *Policy) Authenticate(r *http.Request) (*http.Request, *clients.Client, error) {
	if !p.ReplacesCredentials() {
		return r, nil, nil
	}
	var client *clients.Client
	if !p.anonymous {
		var err error
		if client, err = p.identify(Credentials(r)); err != nil {
			return nil, nil, err
		}
	}
	return StripCredentials(r, p.forwardOrganization), client, nil
}

// identify returns the client of the first valid key. It looks up every key, so that its
// duration does not depend on which one is valid.
func (p *Policy) identify(keys []string) (*clients.Client, error) {
	var (
		client *clients.Client
		valid  bool
		err    = ErrMissingKey
	)
	for i, key := range keys {
		found, failure := p.lookup(key)
		switch {
		case failure != nil && (i == 0 || errors.Is(failure, clients.ErrExpired)):
			err = failure
		case failure == nil && !valid:
			client, valid = found, true
		}
	}
	if valid {
		return client, nil
	}
	return nil, err
}
