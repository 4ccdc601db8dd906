package telemetry

import (
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/secret"
)

func TestRedact_Keys(t *testing.T) {
	hidden, err := secret.New("correct-horse")
	if err != nil {
		t.Fatal(err)
	}
	r := &redactor{secrets: func() []secret.Secret { return []secret.Secret{{}, hidden} }}
	for _, test := range []struct{ name, text, want string }{
		{"OpenAI's keys", "a sk-proj-Ab12_-xyz b", "a [redacted] b"},
		{"this server's tokens", `{"x":"oc-0123456789"}`, `{"x":"[redacted]"}`},
		{"short-lived keys", `{"value":"ek_0123456789"}`, `{"value":"[redacted]"}`},
		{"an authorization", "authorization: Bearer abc.def-123", "authorization: [redacted]"},
		{"one that is escaped", "Bearer%20abcdef123", "[redacted]"},
		{"a member that is called like one", `{"api_key": "x\"y", "a": 1}`, `{[redacted], "a": 1}`},
		{"a secret that is known", "it is correct-horse.", "it is [redacted]."},
		{"one in the middle of a word", "xcorrect-horsex", "x[redacted]x"},
		{"words that only end like one", "a risk-based task-oriented desk-bound thing", "a risk-based task-oriented desk-bound thing"},
		{"a member that counts", `{"max_tokens": 5}`, `{"max_tokens": 5}`},
		{"a key in an escaped path", "/v1/%73k-abcdefghij", "/v1/[redacted]"},
		{"one behind an escaped slash", "/v1%2Fsk-abcdefghij%2Fx", "/v1/[redacted]/x"},
		{"one that is escaped twice", "/v1/%2573k-abcdefghij/%25zz", "/v1/[redacted]/%zz"},
		{"one with an escaped letter within", "/v1/sk-abcdefghij%6Blmnop", "/v1/[redacted]"},
		{"two, one of which is escaped twice", "/%73k-abcdefghij/%2573k-abcdefghij", "/[redacted]/[redacted]"},
		{"a secret that is known, escaped", "/v1/correct%2Dhorse", "/v1/[redacted]"},
		{"what is escaped and no key", "/v1/a%20b%2Fc%", "/v1/a%20b%2Fc%"},
		{"a vendor's key", "/v1/gsk_abcdefghijklmnopqrstuvwx", "/v1/[redacted]"},
		{"a method", "sk-abcdefghij", "[redacted]"},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := r.redact(test.text); got != test.want {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}

// FuzzRedact: a key doesn't show whatever stands around it, nor does what looks
// like one.
func FuzzRedact(f *testing.F) {
	f.Add("", "")
	f.Add("Bearer ", ", and more")
	f.Add(`{"api_key":"`, `"}`)
	f.Add("correct", "horse")
	f.Add("", "Bearer\fabcdefgh")
	f.Fuzz(func(t *testing.T, before, behind string) {
		const key = "correct-horse-battery"
		hidden, err := secret.New(key)
		if err != nil {
			t.Fatal(err)
		}
		r := &redactor{secrets: func() []secret.Secret { return []secret.Secret{hidden} }}
		if got := r.redact(before + key + behind); strings.Contains(got, key) {
			t.Errorf("%q", got)
		}
		if keyPattern.MatchString(behind) && !strings.ContainsAny(keyPattern.FindString(behind), keyChars) {
			t.Errorf("%q looks like a key without a sign of one", behind)
		}
	})
}
