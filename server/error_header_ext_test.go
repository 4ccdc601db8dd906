package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
)

// After which time to try again is told as google.rpc.RetryInfo, on every kind
// of error that the upstream states.
func TestRetryAfterIsRetryInfo(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"message":"slow down","type":"rate_limit_error"}}`
	var (
		soon      = time.Now().Add(time.Hour)
		tooMany   = &restv1.Error{Message: "slow down", Type: "rate_limit_error", HttpStatus: 429}
		exhausted = func(name string, retry *delay, fields ...string) failing {
			return failing{
				name: name, script: reply(429, body, append(fields, jsonType)...),
				code: connect.CodeResourceExhausted, detail: tooMany, retry: retry,
			}
		}
	)
	checkErrors(t, []failing{
		exhausted("in seconds", after(20*time.Second), "Retry-After: 20"),
		exhausted("in no time", after(0), "Retry-After: 0"),
		exhausted("in part of a second", after(250*time.Millisecond), "Retry-After: 0.25"),
		exhausted("in milliseconds", after(1500*time.Millisecond), "Retry-After-Ms: 1500"),
		exhausted("in milliseconds, which are more exact", after(1500*time.Millisecond), "Retry-After: 2", "Retry-After-Ms: 1500"),
		exhausted("in milliseconds that are none, and seconds", after(2*time.Second), "Retry-After: 2", "Retry-After-Ms: x"),
		exhausted("by a date", &delay{59 * time.Minute, time.Hour}, "Retry-After: "+soon.UTC().Format(http.TimeFormat)),
		exhausted("by a date that has passed", after(0), "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
		exhausted("beside a word whether to", after(3*time.Second), "Retry-After: 3", "X-Should-Retry: false"),
		exhausted("not at all", nil),
		exhausted("not at all, but that it is worth it", nil, "X-Should-Retry: true"),
		exhausted("by a number below zero", nil, "Retry-After: -1"),
		exhausted("by a number beyond all bounds", nil, "Retry-After: 1e300"),
		exhausted("by what is no number", nil, "Retry-After: NaN"),
		exhausted("by what is no date", nil, "Retry-After: tomorrow"),
		{
			name:   "with an error that isn't OpenAI's",
			script: reply(503, "busy", "Retry-After: 3"),
			code:   connect.CodeUnavailable, says: []string{"503 Service Unavailable"}, retry: after(3 * time.Second),
		},
		{
			name:   "with an error of status 200",
			script: reply(200, body, jsonType, "Retry-After: 3"),
			code:   connect.CodeResourceExhausted, says: []string{"slow down"}, retry: after(3 * time.Second),
		},
		{
			name:   "with an error event",
			script: streamWith([]string{"Retry-After: 3"}, chunk(0, "a"), event(body)),
			ways:   []string{streaming},
			code:   connect.CodeResourceExhausted, says: []string{"slow down"}, retry: after(3 * time.Second), texts: 1,
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
	scripts := map[string]script{
		"by its status":         reply(429, `{"error":{"message":"slow down"}}`, append(fields, jsonType)...),
		"by its body":           reply(200, `{"error":{"message":"slow down"}}`, append(fields, jsonType)...),
		"that can't be read":    reply(200, `{`, append(fields, jsonType)...),
		"in a stream":           streamWith(fields, event(`{"error":{"message":"slow down"}}`)),
		"of an unfinished call": streamWith(fields, chunk(0, "a")),
	}
	clients := libraryClients(t, startFront(t, server.Config{Upstream: serveScripts(t, scripts)}))
	for name := range scripts {
		t.Run(name, func(t *testing.T) {
			for _, client := range clients {
				for _, way := range bothWays {
					got := question{way: way, script: name}.ask(t, client)
					if got.failed == nil {
						t.Fatalf("%s %s: the call succeeded", client.name, way)
					}
					for _, field := range fields {
						key, value, _ := strings.Cut(field, ": ")
						if !slices.Contains(got.header.Values(key), value) {
							t.Errorf("%s %s: %s is %q, which lacks %q", client.name, way, key, got.header.Values(key), value)
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
	front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
		"it": reply(200, completion("Hello!"), jsonType, "X-Text-Bin: not base64!", "X-Base64-Bin: SGVsbG8h", "X-Base64-Bin: SGk"),
	})})
	for _, client := range libraryClients(t, front) {
		got := question{way: unary, script: "it"}.ask(t, client)
		if got.failed != nil {
			t.Errorf("%s: %v", client.name, got.failed)
			continue
		}
		text, twice := []string{"bm90IGJhc2U2NCE"}, []string{"SGVsbG8h", "SGk"}
		if strings.Contains(client.name, "grpc-go") { // which decodes
			text, twice = []string{"not base64!"}, []string{"Hello!", "Hi"}
		}
		if values := got.header.Values("X-Text-Bin"); !slices.Equal(values, text) {
			t.Errorf("%s: the text is %q", client.name, values)
		}
		if values := got.header.Values("X-Base64-Bin"); !slices.Equal(values, twice) {
			t.Errorf("%s: the base64 is %q", client.name, values)
		}
	}
}
