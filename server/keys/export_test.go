package keys

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
func FinderOf(t *testing.T, text string) func(string) (*Token, error) {
	t.Helper()
	read, err := parse("keys.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	built, err := build("keys.yaml", []byte(text), read.entries, true)
	if err != nil {
		t.Fatal(err)
	}
	return func(token string) (*Token, error) { return built.find(token, time.Now()) }
}

// Prepared returns a token as a file's is.
func Prepared(token Token) *Token {
	token.prepare()
	return &token
}
