package clients

import (
	"crypto/subtle"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/strictyaml"
	"github.com/openai-connect/openai-connect/server/secret"
)

// The errors of [Store.Lookup]. They may be shown to clients.
var (
	ErrUnknownKey = errors.New("the API key is not known to this server")
	// ErrExpired reveals nothing that the client does not know: it had a valid key.
	ErrExpired = errors.New("the API key has expired")
)

// index holds the clients of a file and the upstream keys that they refer to. It is
// immutable.
type index struct {
	text          []byte // of the file
	loaded        time.Time
	byHash        map[Hash]*record
	byName        map[string]*record
	upstreamKeys  []secret.Secret   // without duplicates
	worldReadable []string          // files of upstream keys
	keyless       strictyaml.Errors // clients without an upstream key
}

// record is a client and the hash of its API key.
type record struct {
	hash   Hash
	client *Client
}

// newIndex reads the upstream keys of entries. The error is of type
// [strictyaml.Errors].
func newIndex(file string, text []byte, entries []Entry) (*index, error) {
	x := &index{
		text:   text,
		loaded: time.Now(),
		byHash: make(map[Hash]*record, len(entries)),
		byName: make(map[string]*record, len(entries)),
	}
	var problems strictyaml.Errors
	dir := filepath.Dir(file)
	keys := make(map[Hash]bool)
	for _, e := range entries {
		problem := strictyaml.Error{File: file, Line: e.lines.upstreamKey, Field: "upstream_key"}
		key, err := e.UpstreamKey.Read(dir)
		switch {
		case err != nil:
			problem.Text = "of client " + e.Name + ": " + err.Error()
			problems = append(problems, problem)
		case key.IsZero():
			problem.Line = e.lines.name
			problem.Text = "client " + e.Name + " has no upstream key, and neither has the server: want {env: VARIABLE} or {file: PATH}, or --upstream-key-file for all clients"
			x.keyless = append(x.keyless, problem)
		}
		if path := e.UpstreamKey.Path(dir); path != "" && secret.IsWorldReadable(path) && !slices.Contains(x.worldReadable, path) {
			x.worldReadable = append(x.worldReadable, path)
		}
		if hash := HashKey(key.Reveal()); !key.IsZero() && !keys[hash] {
			keys[hash] = true
			x.upstreamKeys = append(x.upstreamKeys, key)
		}
		r := &record{e.Hash, newClient(e, key)}
		x.byHash[e.Hash], x.byName[e.Name] = r, r
	}
	for _, e := range entries {
		if keys[e.Hash] {
			problems = append(problems, strictyaml.Error{
				File: file, Line: e.lines.hash, Field: "hash",
				Text: "is the hash of an upstream key, which clients must not know: run `openai-connect clients rotate` for " + e.Name,
			})
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return x, nil
}

// lookup returns the client with an API key. Its duration reveals nothing useful about
// other keys: finding a similar key would require inverting SHA-256.
func (x *index) lookup(key string, now time.Time) (*Client, error) {
	hash := HashKey(key)
	found, ok := x.byHash[hash]
	if !ok || subtle.ConstantTimeCompare(found.hash[:], hash[:]) != 1 {
		return nil, ErrUnknownKey
	}
	if expires := found.client.Expires; !expires.IsZero() && !now.Before(expires) {
		return nil, ErrExpired
	}
	return found.client, nil
}

// changes are the names of clients that differ between two files.
type changes struct{ added, removed, changed []string }

// diff returns the changes since an earlier index.
func (x *index) diff(earlier *index) changes {
	var c changes
	for name, r := range x.byName {
		switch old, ok := earlier.byName[name]; {
		case !ok:
			c.added = append(c.added, name)
		case !reflect.DeepEqual(old, r):
			c.changed = append(c.changed, name)
		}
	}
	for name := range earlier.byName {
		if _, ok := x.byName[name]; !ok {
			c.removed = append(c.removed, name)
		}
	}
	for _, names := range [][]string{c.added, c.removed, c.changed} {
		slices.Sort(names)
	}
	return c
}

func (c changes) none() bool { return len(c.added)+len(c.removed)+len(c.changed) == 0 }
