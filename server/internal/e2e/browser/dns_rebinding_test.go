package browser_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

const foreignHost = "evil.example:8080"

func TestHost_RejectsForeignHostInEveryProtocol(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	config := e2etest.AnonymousConfig(t, upstream.URL)
	config.AllowedHosts = []string{"api.example.com"}
	front := e2etest.StartServer(t, config)
	secure, roots := e2etest.StartTLSServerWith(t, config)
	trust := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	requests := e2etest.SampleRequests(t)
	requests["playground"] = e2etest.HTTPRequest{Method: http.MethodGet, Path: "/playground/"}
	requests["health"] = e2etest.HTTPRequest{Method: http.MethodPost, Path: "/grpc.health.v1.Health/Check", Header: http.Header{"Content-Type": {"application/json"}}, Body: "{}"}
	requests["OPTIONS"] = e2etest.HTTPRequest{Method: http.MethodOptions, Path: "/v1/models"}
	requests["preflight"] = preflight("/v1/models").WithOrigin("http://" + foreignHost)
	requests["same-origin request"] = e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}
	requests["request with an origin"] = e2etest.HTTPRequest{Method: http.MethodPost, Path: "/v1/models"}.WithOrigin("http://" + foreignHost)
	for transport, via := range map[string]struct {
		client *http.Client
		url    string
	}{
		"HTTP/1.1":          {servertest.HTTPClient(t, false), front.URL},
		"h2c":               {servertest.HTTPClient(t, true), front.URL},
		"HTTP/1.1 over TLS": {e2etest.NewTransportClient(t, trust.Clone(), (*http.Protocols).SetHTTP1, false), secure.URL},
		"HTTP/2 over TLS":   {e2etest.NewTransportClient(t, trust.Clone(), (*http.Protocols).SetHTTP2, false), secure.URL},
	} {
		for kind, request := range requests {
			response, body := request.DoHost(e2etest.Context(t), t, via.client, via.url, foreignHost)
			isGRPCWeb := strings.HasPrefix(response.Header.Get("Content-Type"), "application/grpc-web")
			isStream := strings.HasPrefix(response.Header.Get("Content-Type"), "application/connect+")
			switch {
			case isGRPCWeb:
				if response.Header.Get("Grpc-Status") != "7" && !strings.Contains(strings.ToLower(body), "grpc-status: 7") {
					t.Errorf("%s, %s: got header %v and body %q, want permission_denied", transport, kind, response.Header, body)
				}
			case isStream:
				if !strings.Contains(body, `"code":"permission_denied"`) {
					t.Errorf("%s, %s: got body %q, want permission_denied", transport, kind, body)
				}
			case response.StatusCode != http.StatusForbidden:
				t.Errorf("%s, %s: got status %s and body %q, want 403", transport, kind, response.Status, body)
			}
			checkNoCORS(t, e2etest.WithoutHeaders(response.Header, "Vary"))
			if again, body := request.DoHost(e2etest.Context(t), t, via.client, via.url, "API.example.com.:9999"); again.StatusCode == http.StatusForbidden && !slices.Contains([]string{"preflight", "request with an origin"}, kind) {
				t.Errorf("%s, %s: got status %s and body %q for an allowed host", transport, kind, again.Status, body)
			}
		}
	}
}

func TestHost_NeverForwardsForeignHost(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	front := e2etest.StartServer(t, e2etest.AnonymousConfig(t, upstream.URL))
	for name, row := range map[string]struct {
		text   string
		status int
	}{
		"foreign host":                                     {"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n", http.StatusForbidden},
		"foreign host with a port":                         {"GET /v1/models HTTP/1.1\r\nHost: evil.example:80\r\n", http.StatusForbidden},
		"foreign host with our address as prefix":          {"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n", http.StatusForbidden},
		"HTTP/1.0":                                         {"GET /v1/models HTTP/1.0\r\nHost: evil.example\r\n", http.StatusForbidden},
		"HTTP/1.0 without a host":                          {"GET /v1/models HTTP/1.0\r\n", http.StatusOK},
		"empty host":                                       {"GET /v1/models HTTP/1.1\r\nHost:\r\n", http.StatusOK},
		"foreign host in an absolute target":               {"GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\n", http.StatusForbidden},
		"foreign host in an absolute HTTPS target":         {"GET https://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\n", http.StatusForbidden},
		"foreign host in an absolute target over HTTP/1.0": {"GET http://evil.example/v1/models HTTP/1.0\r\n", http.StatusForbidden},
		"our host in an absolute target":                   {"GET http://localhost/v1/models HTTP/1.1\r\nHost: localhost\r\n", http.StatusOK},
		"upper case with a trailing dot":                   {"GET /v1/models HTTP/1.1\r\nHost: LOCALHOST.:80\r\n", http.StatusOK},
		"IPv6 address":                                     {"GET /v1/models HTTP/1.1\r\nHost: [::1]:8080\r\n", http.StatusOK},
		"private IPv4 address":                             {"GET /v1/models HTTP/1.1\r\nHost: 10.1.2.3:8080\r\n", http.StatusOK},
		"WebSocket":                                        {"GET /v1/realtime?model=m HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", http.StatusForbidden},
		"WebSocket from the foreign origin":                {"GET /v1/realtime?model=m HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", http.StatusForbidden},
		"upgrade to h2c":                                   {"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", http.StatusForbidden},
		"asterisk target":                                  {"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n", http.StatusForbidden},
		"request that expects 100-continue":                {"POST /v1/models HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n", http.StatusForbidden},
	} {
		upstream.Take()
		client := e2etest.DialRaw(t, front)
		client.Send(strings.ReplaceAll(row.text, "\r\n", "\n") + "\n")
		first, err := client.ReadRequest()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answer := first.Line + first.Body
		var minor, code int
		if _, err := fmt.Sscanf(first.Line, "HTTP/1.%d %d ", &minor, &code); err != nil {
			t.Fatalf("%s: got status line %q", name, first.Line)
		}
		client.Close()
		if code != row.status || code == http.StatusForbidden && row.text[0] != 'O' && !strings.Contains(answer, `"code":"host_not_allowed"`) {
			t.Errorf("%s: got status %d and response %q", name, code, answer)
		}
		if got := upstream.Take(); code == http.StatusForbidden && len(got) > 0 {
			t.Errorf("%s: got requests at the upstream: %+v", name, got)
		}
	}
}

func TestHost_RejectsForeignAuthorityOverGRPC(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	config := e2etest.AnonymousConfig(t, upstream.URL)
	config.AllowedHosts = []string{"api.example.com"}
	front := e2etest.StartServer(t, config)
	for authority, want := range map[string]codes.Code{"evil.example": codes.PermissionDenied, "evil.example:80": codes.PermissionDenied, "api.example.com:80": codes.OK, "": codes.OK} {
		conn := front.GRPC(t, grpc.WithAuthority(authority))
		_, err := grpc_health_v1.NewHealthClient(conn).Check(e2etest.Context(t), new(grpc_health_v1.HealthCheckRequest))
		if status.Code(err) != want {
			t.Errorf("authority %q: got health error %v", authority, err)
		}
		stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(e2etest.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		if _, err := stream.Recv(); status.Code(err) != want {
			t.Errorf("authority %q: got reflection error %v", authority, err)
		}
		err = conn.Invoke(e2etest.Context(t), e2etest.CreateProcedure, e2etest.Hello(), e2etest.Hello())
		if code := status.Code(err); (code == codes.PermissionDenied) != (want == codes.PermissionDenied) {
			t.Errorf("authority %q: got call error %v", authority, err)
		}
	}
}

// Some servers prefer a Host field to :authority, so it is checked too.
func TestHost_RejectsForeignHostFieldOverHTTP2(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	front := e2etest.StartServer(t, e2etest.AnonymousConfig(t, upstream.URL))
	for _, row := range []struct {
		authority, host string
		refused         bool
	}{
		{"localhost", "evil.example", true},
		{"evil.example", "localhost", true},
		{"", "evil.example", true},
		{"localhost", "localhost", false},
		{"", "localhost", false},
	} {
		client := e2etest.DialHTTP2(t, front)
		fields := []e2etest.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/v1/models"}}
		if row.authority != "" {
			fields = append(fields, e2etest.HeaderField{Name: ":authority", Value: row.authority})
		}
		fields = append(fields, e2etest.HeaderField{Name: "host", Value: row.host})
		upstream.Take()
		if err := client.Send(1, fields); err != nil {
			t.Fatal(err)
		}
		status := client.Outcome(1)
		if got := len(upstream.Take()) == 0; got != row.refused || row.refused && status == "200" {
			t.Errorf("%+v: got status %q, rejected: %t", row, status, got)
		}
	}
}

// If clients authenticate, a page of another host has no credentials to abuse.
func TestHost_AllowsAnyHostForAuthenticatedClients(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	front := e2etest.StartServer(t, e2etest.ClientKeyConfig(t, upstream.URL))
	for _, line := range []string{"HTTP/1.1", "HTTP/1.0"} {
		code, answer := e2etest.SendSmuggling(t, front, fmt.Sprintf("GET /v1/models %s\r\nHost: any.example\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", line, servertest.Key))
		if code != http.StatusOK {
			t.Errorf("%s: got status %d and responses %q", line, code, answer)
		}
	}
}
