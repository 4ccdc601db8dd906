package clients

import (
	"testing"
	"time"
)

// Same reports whether entries are the same, wherever they stand.
func Same(a, b Entry) bool {
	b.place = place{entry: 1} // Otherwise it would be one to add.
	return same([]Entry{a}, []Entry{b})
}

// FinderOf returns what finds the tokens of a file's text.
func FinderOf(t *testing.T, text string) func(string) (*Client, error) {
	t.Helper()
	read, err := parse("clients.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	built, err := build("clients.yaml", []byte(text), read.entries, true)
	if err != nil {
		t.Fatal(err)
	}
	return func(token string) (*Client, error) { return built.find(token, time.Now()) }
}

// Prepared returns a token as a file's is.
func Prepared(token Client) *Client {
	token.prepare()
	return &token
}

// OpenWith is [Open] with another patience for reads.
func OpenWith(file string, options Options, patience time.Duration) (*Store, error) {
	return openWith(file, options, patience)
}

// Reading returns how many reads of the file run.
func (s *Store) Reading() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reading
}

// Lock locks a folder for an edit.
func Lock(folder string, timeout time.Duration) (unlock func(), err error) {
	return lock(folder, timeout)
}
