package policy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/policy"
	"github.com/openai-connect/openai-connect/server/ratelimit"
)

func TestPolicy_RejectsSeveralCodingsIfBodyIsNeeded(t *testing.T) {
	const text = `{"model":"small","messages":[]}`
	twice := zipped(t, zipped(t, text))
	bomb := zipped(t, `{"model":"small","input":"`+strings.Repeat("a", 2<<20)+`"}`)
	for _, row := range []struct {
		name        string
		client      *clients.Client
		codings     []string
		contentType string
		body        string
		status      int
		code        string
	}{
		{"a client without rules", &clients.Client{Name: "a"}, []string{"gzip, gzip"}, "application/json", twice, 200, ""},
		{"a client with paths", &clients.Client{Name: "a", Paths: clients.Patterns{"/v1/*"}}, []string{"gzip, gzip"}, "application/json", twice, 200, ""},
		{"no client", nil, []string{"gzip", "gzip"}, "application/json", twice, 200, ""},
		{"models", &clients.Client{Name: "a", Models: clients.Patterns{"small"}}, []string{"gzip, gzip"}, "application/json", twice, 415, "unsupported_content_encoding"},
		{"models, two fields", &clients.Client{Name: "a", Models: clients.Patterns{"small"}}, []string{"GZIP", "x-gzip"}, "application/vnd.x+json", twice, 415, "unsupported_content_encoding"},
		{"streams", &clients.Client{Name: "a", Limits: ratelimit.Limits{ConcurrentStreams: 1}}, []string{"br, zstd"}, "application/json", twice, 415, "unsupported_content_encoding"},
		{"one coding", &clients.Client{Name: "a", Models: clients.Patterns{"small"}}, []string{"identity", "X-Gzip"}, "application/json", zipped(t, text), 200, ""},
		{"a decompression bomb of a client without rules", &clients.Client{Name: "a"}, []string{"gzip"}, "application/json", bomb, 200, ""},
		{"a decompression bomb", &clients.Client{Name: "a", Models: clients.Patterns{"small"}}, []string{"gzip"}, "application/json", bomb, 413, "request_too_large"},
	} {
		t.Run(row.name, func(t *testing.T) {
			up := &recorder{response: response}
			req := post(row.body)
			req.Header["Content-Encoding"] = row.codings
			req.Header.Set("Content-Type", row.contentType)
			record, resp, text := send(t, policy.New(policy.Config{Next: up}), row.client, req)
			if resp.StatusCode != row.status || row.code != "" && !strings.Contains(text, row.code) || record != nil && record.RejectedBy != row.code {
				t.Errorf("got status %d, rejected by %q, want %d and %q: %s", resp.StatusCode, record.RejectedBy, row.status, row.code, text)
			}
			accepted := resp.Header.Get("Accept-Encoding")
			if want := resp.StatusCode == http.StatusUnsupportedMediaType; want != (accepted == "gzip, deflate, br, zstd") {
				t.Errorf("got Accept-Encoding %q for status %d", accepted, resp.StatusCode)
			}
			if row.status == http.StatusOK && (len(up.bodies) != 1 || up.bodies[0] != row.body) {
				t.Error("the upstream got a changed body")
			}
		})
	}
}
