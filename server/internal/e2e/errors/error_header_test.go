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

// Every error of the upstream with a retry delay has google.rpc.RetryInfo.
func TestRetryInfo_IsRetryAfter(t *testing.T) {
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
		exhausted("seconds", e2etest.After(20*time.Second), "Retry-After: 20"),
		exhausted("zero", e2etest.After(0), "Retry-After: 0"),
		exhausted("fraction of a second", e2etest.After(250*time.Millisecond), "Retry-After: 0.25"),
		exhausted("milliseconds", e2etest.After(1500*time.Millisecond), "Retry-After-Ms: 1500"),
		exhausted("milliseconds, which take precedence", e2etest.After(1500*time.Millisecond), "Retry-After: 2", "Retry-After-Ms: 1500"),
		exhausted("invalid milliseconds and seconds", e2etest.After(2*time.Second), "Retry-After: 2", "Retry-After-Ms: x"),
		exhausted("date", &e2etest.Delay{Min: 59 * time.Minute, Max: time.Hour}, "Retry-After: "+soon.UTC().Format(http.TimeFormat)),
		exhausted("date in the past", e2etest.After(0), "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
		exhausted("with X-Should-Retry", e2etest.After(3*time.Second), "Retry-After: 3", "X-Should-Retry: false"),
		exhausted("absent", nil),
		exhausted("absent, with X-Should-Retry", nil, "X-Should-Retry: true"),
		exhausted("negative", nil, "Retry-After: -1"),
		exhausted("too large", nil, "Retry-After: 1e300"),
		exhausted("NaN", nil, "Retry-After: NaN"),
		exhausted("neither number nor date", nil, "Retry-After: tomorrow"),
		{
			Name:   "error in another form",
			Script: e2etest.Reply(503, "busy", "Retry-After: 3"),
			Code:   connect.CodeUnavailable, Contains: []string{"503 Service Unavailable"}, Retry: e2etest.After(3 * time.Second),
		},
		{
			Name:   "error with status 200",
			Script: e2etest.Reply(200, body, e2etest.JSONType, "Retry-After: 3"),
			Code:   connect.CodeResourceExhausted, Contains: []string{"slow down"}, Retry: e2etest.After(3 * time.Second),
		},
		{
			Name:    "error event",
			Script:  e2etest.StreamWith([]string{"Retry-After: 3"}, e2etest.Chunk(0, "a"), e2etest.Event(body)),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeResourceExhausted, Contains: []string{"slow down"}, Retry: e2etest.After(3 * time.Second), Chunks: 1,
		},
	})
}

// The upstream's response headers are metadata of an error too.
func TestErrorHeader_IsMetadata(t *testing.T) {
	t.Parallel()
	fields := []string{
		"X-Request-Id: req_1", "Openai-Processing-Ms: 12", "X-Ratelimit-Remaining-Requests: 0", "Retry-After: 7",
		"Retry-After-Ms: 7000", "X-Should-Retry: true",
		"X-Repeated: a", "X-Repeated: b",
	}
	scripts := map[string]e2etest.Script{
		"error status":                    e2etest.Reply(429, `{"error":{"message":"slow down"}}`, append(fields, e2etest.JSONType)...),
		"error in a body with status 200": e2etest.Reply(200, `{"error":{"message":"slow down"}}`, append(fields, e2etest.JSONType)...),
		"malformed body":                  e2etest.Reply(200, `{`, append(fields, e2etest.JSONType)...),
		"error event":                     e2etest.StreamWith(fields, e2etest.Event(`{"error":{"message":"slow down"}}`)),
		"unfinished stream":               e2etest.StreamWith(fields, e2etest.Chunk(0, "a")),
	}
	clients := e2etest.LibraryClients(t, e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)}))
	for name := range scripts {
		t.Run(name, func(t *testing.T) {
			for _, client := range clients {
				for _, method := range e2etest.Methods {
					got := e2etest.ScriptedCall{Method: method, Script: name}.Do(t, client)
					if got.Err == nil {
						t.Fatalf("%s %s: call succeeded", client.Name, method)
					}
					for _, field := range fields {
						key, value, _ := strings.Cut(field, ": ")
						if !slices.Contains(got.Header.Values(key), value) {
							t.Errorf("%s %s: got %s %q, want it to contain %q", client.Name, method, key, got.Header.Values(key), value)
						}
					}
				}
			}
		})
	}
}

// gRPC clients decode a header whose name ends in -bin from base64, and fail the
// call if that is impossible. An upstream may send any value.
func TestErrorHeader_BinarySuffixIsEncoded(t *testing.T) {
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
		if strings.Contains(client.Name, "grpc-go") { // grpc-go decodes values
			text, twice = []string{"not base64!"}, []string{"Hello!", "Hi"}
		}
		if values := got.Header.Values("X-Text-Bin"); !slices.Equal(values, text) {
			t.Errorf("%s: got text %q", client.Name, values)
		}
		if values := got.Header.Values("X-Base64-Bin"); !slices.Equal(values, twice) {
			t.Errorf("%s: got base64 %q", client.Name, values)
		}
	}
}
