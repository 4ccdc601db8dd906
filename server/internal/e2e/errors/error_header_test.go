package errors_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
)

// After which time to try again is told as google.rpc.RetryInfo, on every kind
// of error that the upstream states.
func TestRetryAfterIsRetryInfo(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"message":"slow down","type":"rate_limit_error"}}`
	var (
		soon      = time.Now().Add(time.Hour)
		tooMany   = &restv1.Error{Message: "slow down", Type: "rate_limit_error", HttpStatus: 429}
		exhausted = func(name string, retry *e2etest.Delay, fields ...string) e2etest.FailureCase {
			return e2etest.FailureCase{
				Name: name, Script: e2etest.Reply(429, body, append(fields, e2etest.JSONType)...),
				Code: connect.CodeResourceExhausted, Detail: tooMany, Retry: retry,
			}
		}
	)
	checkErrors(t, []e2etest.FailureCase{
		exhausted("in seconds", e2etest.After(20*time.Second), "Retry-After: 20"),
		exhausted("in no time", e2etest.After(0), "Retry-After: 0"),
		exhausted("in part of a second", e2etest.After(250*time.Millisecond), "Retry-After: 0.25"),
		exhausted("in milliseconds", e2etest.After(1500*time.Millisecond), "Retry-After-Ms: 1500"),
		exhausted("in milliseconds, which are more exact", e2etest.After(1500*time.Millisecond), "Retry-After: 2", "Retry-After-Ms: 1500"),
		exhausted("in milliseconds that are none, and seconds", e2etest.After(2*time.Second), "Retry-After: 2", "Retry-After-Ms: x"),
		exhausted("by a date", &e2etest.Delay{Min: 59 * time.Minute, Max: time.Hour}, "Retry-After: "+soon.UTC().Format(http.TimeFormat)),
		exhausted("by a date that has passed", e2etest.After(0), "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
		exhausted("beside a word whether to", e2etest.After(3*time.Second), "Retry-After: 3", "X-Should-Retry: false"),
		exhausted("not at all", nil),
		exhausted("not at all, but that it is worth it", nil, "X-Should-Retry: true"),
		exhausted("by a number below zero", nil, "Retry-After: -1"),
		exhausted("by a number beyond all bounds", nil, "Retry-After: 1e300"),
		exhausted("by what is no number", nil, "Retry-After: NaN"),
		exhausted("by what is no date", nil, "Retry-After: tomorrow"),
		{
			Name:   "with an error that isn't OpenAI's",
			Script: e2etest.Reply(503, "busy", "Retry-After: 3"),
			Code:   connect.CodeUnavailable, Contains: []string{"503 Service Unavailable"}, Retry: e2etest.After(3 * time.Second),
		},
		{
			Name:   "with an error of status 200",
			Script: e2etest.Reply(200, body, e2etest.JSONType, "Retry-After: 3"),
			Code:   connect.CodeResourceExhausted, Contains: []string{"slow down"}, Retry: e2etest.After(3 * time.Second),
		},
		{
			Name:    "with an error event",
			Script:  e2etest.StreamWith([]string{"Retry-After: 3"}, e2etest.Chunk(0, "a"), e2etest.Event(body)),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeResourceExhausted, Contains: []string{"slow down"}, Retry: e2etest.After(3 * time.Second), Texts: 1,
		},
	})
}

// What the upstream's response headers say reaches the caller with an error
// too.
func TestResponseHeadersComeWithAnError(t *testing.T) {
	t.Parallel()
	fields := []string{
		"X-Request-Id: req_1", "Openai-Processing-Ms: 12", "X-Ratelimit-Remaining-Requests: 0", "Retry-After: 7",
		"Retry-After-Ms: 7000", "X-Should-Retry: true",
		"X-Repeated: a", "X-Repeated: b",
	}
	scripts := map[string]e2etest.Script{
		"by its status":         e2etest.Reply(429, `{"error":{"message":"slow down"}}`, append(fields, e2etest.JSONType)...),
		"by its body":           e2etest.Reply(200, `{"error":{"message":"slow down"}}`, append(fields, e2etest.JSONType)...),
		"that can't be read":    e2etest.Reply(200, `{`, append(fields, e2etest.JSONType)...),
		"in a stream":           e2etest.StreamWith(fields, e2etest.Event(`{"error":{"message":"slow down"}}`)),
		"of an unfinished call": e2etest.StreamWith(fields, e2etest.Chunk(0, "a")),
	}
	clients := e2etest.LibraryClients(t, e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)}))
	for name := range scripts {
		t.Run(name, func(t *testing.T) {
			for _, client := range clients {
				for _, way := range e2etest.Methods {
					got := e2etest.ScriptedCall{Method: way, Script: name}.Do(t, client)
					if got.Err == nil {
						t.Fatalf("%s %s: the call succeeded", client.Name, way)
					}
					for _, field := range fields {
						key, value, _ := strings.Cut(field, ": ")
						if !slices.Contains(got.Header.Values(key), value) {
							t.Errorf("%s %s: %s is %q, which lacks %q", client.Name, way, key, got.Header.Values(key), value)
						}
					}
				}
			}
		})
	}
}

// A header whose name ends in -bin is base64 to gRPC, whose clients fail a call
// where it isn't. The upstream knows nothing of that.
func TestAResponseHeaderThatLooksLikeBase64(t *testing.T) {
	t.Parallel()
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"it": e2etest.Reply(200, e2etest.Completion("Hello!"), e2etest.JSONType, "X-Text-Bin: not base64!", "X-Base64-Bin: SGVsbG8h", "X-Base64-Bin: SGk"),
	})})
	for _, client := range e2etest.LibraryClients(t, front) {
		got := e2etest.ScriptedCall{Method: e2etest.UnaryMethod, Script: "it"}.Do(t, client)
		if got.Err != nil {
			t.Errorf("%s: %v", client.Name, got.Err)
			continue
		}
		text, twice := []string{"bm90IGJhc2U2NCE"}, []string{"SGVsbG8h", "SGk"}
		if strings.Contains(client.Name, "grpc-go") { // which decodes
			text, twice = []string{"not base64!"}, []string{"Hello!", "Hi"}
		}
		if values := got.Header.Values("X-Text-Bin"); !slices.Equal(values, text) {
			t.Errorf("%s: the text is %q", client.Name, values)
		}
		if values := got.Header.Values("X-Base64-Bin"); !slices.Equal(values, twice) {
			t.Errorf("%s: the base64 is %q", client.Name, values)
		}
	}
}
