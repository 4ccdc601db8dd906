package protocols_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// A request to an unknown service is an RPC in the response, in the metrics and in errors
// of authentication, whatever its protocol.
func TestRequestKind_IsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	const path = "/foo.v1.Bar/Baz"
	for _, row := range []struct {
		name, method, target string
		header               http.Header
		protocol             string
		status               int
		response             string // part of the body or of the header
	}{
		{"Connect GET", "GET", path + "?connect=v1&encoding=json&message=%7B%7D", nil, "connect", 404, `"code":"unimplemented"`},
		{"Connect", "POST", path, http.Header{"Content-Type": {"application/json"}, "Connect-Protocol-Version": {"1"}}, "connect", 404, `"code":"unimplemented"`},
		{"Connect stream", "POST", path, http.Header{"Content-Type": {"application/connect+json"}}, "connect", 200, `"code":"unimplemented"`},
		{"gRPC", "POST", path, http.Header{"Content-Type": {"application/grpc"}}, "grpc", 200, "Grpc-Status: 12"},
		{"gRPC-Web", "POST", path, http.Header{"Content-Type": {"application/grpc-web+proto"}}, "grpc-web", 200, "Grpc-Status: 12"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			observer, err := telemetry.New(telemetry.Config{})
			if err != nil {
				t.Fatal(err)
			}
			upstream := servertest.StartUpstream(t, func(http.ResponseWriter, *http.Request) { t.Error("the upstream got a request") })
			front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL, Observer: observer})
			req, err := http.NewRequest(row.method, front.URL+row.target, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(req.Header, row.header)
			resp, err := servertest.HTTPClient(t, false).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			var received strings.Builder
			received.Write(body)
			_ = resp.Header.Write(&received)
			_ = resp.Trailer.Write(&received)
			if resp.StatusCode != row.status || !strings.Contains(received.String(), row.response) {
				t.Errorf("got %d with %s, want %d with %s", resp.StatusCode, received.String(), row.status, row.response)
			}
			sample := `openai_connect_requests_total{client="",code="unimplemented",model="",protocol="` + row.protocol + `",route="other"} 1`
			counted := func() string {
				recorder := httptest.NewRecorder()
				observer.MetricsHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
				var lines strings.Builder
				for line := range strings.Lines(recorder.Body.String()) {
					if strings.HasPrefix(line, "openai_connect_requests_total") {
						lines.WriteString(line)
					}
				}
				return lines.String()
			}
			deadline := time.Now().Add(10 * time.Second)
			for !strings.Contains(counted(), sample) { // the client may be faster
				if time.Now().After(deadline) {
					t.Fatalf("got the metrics\n%swant %s", counted(), sample)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}
