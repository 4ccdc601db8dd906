package clients

import (
	"testing"
	"time"
)

// Same reports whether entries are equal except for their lines.
func Same(a, b Entry) bool {
	b.lines = entryLines{entry: 1} // An entry without lines is a new one.
	return same([]Entry{a}, []Entry{b})
}

// LookupIn returns a function that looks up API keys in the text of a file.
func LookupIn(t *testing.T, text string) func(string) (*Client, error) {
	t.Helper()
	parsed, err := parse("clients.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	x, err := newIndex("clients.yaml", []byte(text), parsed.entries)
	if err != nil {
		t.Fatal(err)
	}
	return func(key string) (*Client, error) { return x.lookup(key, time.Now()) }
}

// Precomputed returns a client with precomputed scopes, as from a file.
func Precomputed(client Client) *Client {
	client.precomputeScopes()
	return &client
}

// OpenWith is [Open] with another read timeout.
func OpenWith(file string, options Options, timeout time.Duration) (*Store, error) {
	return openWith(file, options, timeout)
}

// Reading returns the number of reads in progress.
func (s *Store) Reading() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading
}

// Lock locks a directory for an edit.
func Lock(dir string, timeout time.Duration) (unlock func(), err error) {
	return lock(dir, timeout)
}
