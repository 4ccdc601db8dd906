package restjson_test

import (
	"errors"
	"testing"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// probe is the least that a message can be: the one member `v`, read by a
// method of the Decoder, and an extra_json.
type probe[T any] struct {
	read  func(*restjson.Decoder, *T) bool
	value T
	extra string
}

func (p *probe[T]) DecodeREST(d *restjson.Decoder) bool {
	var o restjson.ObjectReader
	if !d.Object(&o) {
		return false
	}
	for d.Next(&o) {
		fits := false
		if string(d.Key(&o)) == "v" {
			fits = o.Take(0) && p.read(d, &p.value)
		}
		if !fits {
			d.Spill(&o)
		}
	}
	p.extra = d.Extra(&o)
	return true
}

// unread fits no value, so that all goes to extra_json.
func unread(*restjson.Decoder, *struct{}) bool { return false }

// scan reads a text of which no member is known.
func scan(text string) (extra string, err error) {
	p := probe[struct{}]{read: unread}
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
