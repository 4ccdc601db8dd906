package restjson_test

import (
	"errors"
	"testing"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// testMessage is a minimal message: the member `v`, read by a method of the
// Decoder, and an extra_json.
type testMessage[T any] struct {
	read  func(*restjson.Decoder, *T) bool
	value T
	extra string
}

func (p *testMessage[T]) DecodeREST(d *restjson.Decoder) bool {
	var o restjson.ObjectReader
	if !d.Object(&o) {
		return false
	}
	for d.Next(&o) {
		ok := false
		if string(d.Key(&o)) == "v" {
			ok = o.Take(0) && p.read(d, &p.value)
		}
		if !ok {
			d.Spill(&o)
		}
	}
	p.extra = d.Extra(&o)
	return true
}

// unread matches no value, so that every member goes to extra_json.
func unread(*restjson.Decoder, *struct{}) bool { return false }

// scan reads text as a message without defined members.
func scan(text string) (extra string, err error) {
	p := testMessage[struct{}]{read: unread}
	err = restjson.Unmarshal([]byte(text), &p)
	return p.extra, err
}

// syntaxError returns the error as the SyntaxError that it must be.
func syntaxError(t *testing.T, err error) *restjson.SyntaxError {
	t.Helper()
	syntax, ok := errors.AsType[*restjson.SyntaxError](err)
	if !ok {
		t.Fatalf("want a *restjson.SyntaxError, got %v", err)
	}
	return syntax
}
