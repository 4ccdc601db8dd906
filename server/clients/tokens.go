package clients

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/secret"
)

// ErrExpired is what is wrong with a token that was known. It is fit to be shown to
// clients: who has the token knows that it was one.
var ErrExpired = errors.New("the token that was sent as API key has expired")

// tokens are those of a file, with the upstream's keys that it names. They don't
// change.
type tokens struct {
	text   []byte // of the file
	loaded time.Time
	secret [sha256.Size]byte // of the places
	places map[[sha256.Size]byte]*known
	byName map[string]*known
	keys   []secret.Secret // of the upstream, each once
	open   []string        // files of keys that every user of the machine can read
}

// known is a token beside its hash.
type known struct {
	hash  Hash
	token *Client
}

// build makes the tokens of entries, with their keys.
func build(file string, text []byte, entries []Entry, serverHoldsKey bool) (*tokens, error) {
	built := &tokens{
		text:   text,
		loaded: time.Now(),
		places: make(map[[sha256.Size]byte]*known, len(entries)),
		byName: make(map[string]*known, len(entries)),
	}
	_, _ = rand.Read(built.secret[:]) // It never fails.
	r := &reader{file: file}
	keys := make(map[Hash]bool)
	for _, e := range entries {
		key := r.key(e, serverHoldsKey)
		if path := r.path(e.UpstreamKey); path != "" && secret.IsWorldReadable(path) && !slices.Contains(built.open, path) {
			built.open = append(built.open, path)
		}
		if hash := HashKey(key.Reveal()); !key.IsZero() && !keys[hash] {
			keys[hash] = true
			built.keys = append(built.keys, key)
		}
		token := &Client{
			Name:        e.Name,
			UpstreamKey: key,
			Expires:     e.Expires,
			Models:      e.Models,
			Paths:       e.Paths,
			Limits:      e.Limits,
			ModelLimits: e.ModelLimits,
		}
		token.prepare()
		k := &known{e.Hash, token}
		built.places[built.place(e.Hash)] = k
		built.byName[e.Name] = k
	}
	for _, e := range entries {
		if keys[e.Hash] {
			r.noteLinef(e.place.hash, "hash", "is that of an upstream's key, which clients shall not know: give %s a token, by `openai-connect clients rotate`", e.Name)
		}
	}
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	return built, nil
}

// key returns the upstream's key of an entry, none if it has none of its own.
func (r *reader) key(e Entry, serverHoldsKey bool) secret.Secret {
	switch source := e.UpstreamKey; {
	case source.Env != "":
		text, given := os.LookupEnv(source.Env)
		if !given {
			r.noteLinef(e.place.key, "upstream_key.env", "%s of token %s is not set: set it, or name another variable", source.Env, e.Name)
			return secret.Secret{}
		}
		key, err := secret.New(text)
		if err != nil {
			r.noteLinef(e.place.key, "upstream_key.env", "%s of token %s: %v: set it to the key", source.Env, e.Name, err)
		}
		return key
	case source.File != "":
		key, err := secret.ReadFile(r.path(source))
		if err != nil {
			r.noteLinef(e.place.key, "upstream_key.file", "of token %s: %v: write the key into it, or name another file", e.Name, err)
		}
		return key
	case !serverHoldsKey:
		r.noteLinef(e.place.key, "upstream_key", "token %s has none, and the server holds none for all:"+
			" write {env: VARIABLE} or {file: PATH}, or give the server one by --upstream-key-file", e.Name)
	}
	return secret.Secret{}
}

// path is where the file of a key is, empty for none.
func (r *reader) path(source KeySource) string {
	if source.File == "" || filepath.IsAbs(source.File) {
		return source.File
	}
	return filepath.Join(filepath.Dir(r.file), source.File)
}

// find returns what is known under a token. How long that takes tells nothing of
// the tokens that there are: the place in the map depends on a secret, and the
// comparison of the hash takes the same time for each.
func (t *tokens) find(token string, now time.Time) (*Client, error) {
	hash := HashKey(token)
	found, ok := t.places[t.place(hash)]
	if !ok {
		found = new(known)
	}
	switch {
	case subtle.ConstantTimeCompare(found.hash[:], hash[:]) != 1 || !ok:
		return nil, auth.ErrUnknownKey
	case !found.token.Expires.IsZero() && !now.Before(found.token.Expires):
		return nil, ErrExpired
	}
	return found.token, nil
}

// place is where a hash is in the map.
func (t *tokens) place(hash Hash) (place [sha256.Size]byte) {
	mac := hmac.New(sha256.New, t.secret[:])
	mac.Write(hash[:])
	mac.Sum(place[:0])
	return place
}

// changes are the names of tokens that differ between two files.
type changes struct{ added, removed, changed []string }

func (t *tokens) since(before *tokens) changes {
	var c changes
	for name, k := range t.byName {
		switch old, ok := before.byName[name]; {
		case !ok:
			c.added = append(c.added, name)
		case !reflect.DeepEqual(old, k):
			c.changed = append(c.changed, name)
		}
	}
	for name := range before.byName {
		if _, ok := t.byName[name]; !ok {
			c.removed = append(c.removed, name)
		}
	}
	for _, names := range [][]string{c.added, c.removed, c.changed} {
		slices.Sort(names)
	}
	return c
}

func (c changes) none() bool { return len(c.added)+len(c.removed)+len(c.changed) == 0 }
