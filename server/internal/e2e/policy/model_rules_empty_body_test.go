package policy_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// startForVersion starts a server and returns a client for one version of HTTP.
func startForVersion(t *testing.T, protocol, upstream string, rules ...string) (*servertest.Front, *http.Client) {
	t.Helper()
	config := e2etest.PolicyConfig(t, upstream, rules...)
	if protocol != "HTTP/2 over TLS" {
		return e2etest.StartServer(t, config), servertest.HTTPClient(t, protocol == "h2c")
	}
	front, roots := e2etest.StartTLSServerWith(t, config)
	return front, e2etest.NewTransportClient(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, (*http.Protocols).SetHTTP2, false)
}

func TestModelRules_AllowRequestsWithoutBody(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	rules := map[string][]string{
		"models":                   {"models: [m*]"},
		"models and paths":         {"models: [m*]", "paths: [/v1/*]"},
		"paths":                    {"paths: [/v1/*]"},
		"limits by model":          {"limits: {models: {m*: {requests_per_minute: 1000}}}"},
		"concurrent_streams":       {"limits: {concurrent_streams: 1000}"},
		"requests_per_minute":      {"limits: {requests_per_minute: 1000}"},
		"tokens_per_minute":        {"limits: {tokens_per_minute: 1000}"},
		"tokens_per_day":           {"limits: {tokens_per_day: 1000}"},
		"every rule and limit":     {"models: [m*]", "paths: [/v1/*]", "limits: {requests_per_minute: 1000, tokens_per_minute: 1000, tokens_per_day: 1000, concurrent_streams: 1000, models: {m*: {concurrent_streams: 1000}}}"},
		"neither rules nor limits": {"expires: never"},
	}
	for _, protocol := range []string{"HTTP/1.1", "h2c", "HTTP/2 over TLS"} {
		for name, lines := range rules {
			front, client := startForVersion(t, protocol, upstream.URL, lines...)
			for _, row := range []struct {
				method string
				body   func() io.Reader // nil for none
			}{
				{http.MethodGet, nil},
				{http.MethodDelete, nil},
				{http.MethodHead, nil},
				{http.MethodOptions, nil},
				{http.MethodPost, func() io.Reader { return http.NoBody }},
				{http.MethodPost, func() io.Reader { return io.MultiReader() }}, // of unknown length
				{http.MethodDelete, func() io.Reader { return io.MultiReader() }},
				{http.MethodPut, func() io.Reader { return http.NoBody }},
			} {
				var body io.Reader
				if row.body != nil {
					body = row.body()
				}
				status := sendEmpty(e2etest.Context(t), t, client, row.method, front.URL+"/v1/responses/resp_1/cancel", body)
				want := http.StatusNoContent
				if row.method == http.MethodPost && name == "models" {
					want = http.StatusForbidden // no model, and no path rule
				}
				if status != want {
					t.Errorf("%s over %s with %s: got status %d, want %d", row.method, protocol, name, status, want)
				}
				received := upstream.Take()
				if want == http.StatusNoContent && (len(received) != 1 || received[0].Method != row.method || received[0].Body != "") {
					t.Errorf("%s over %s with %s: upstream received %+v", row.method, protocol, name, received)
				}
			}
		}
	}
}

func sendEmpty(ctx context.Context, t *testing.T, client *http.Client, method, url string, body io.Reader) int {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+servertest.Key)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}
