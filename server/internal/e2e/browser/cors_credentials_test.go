package browser_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// servePublicCORS answers like an upstream that allows every origin.
func servePublicCORS(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), http.Header{
		"Access-Control-Allow-Origin":      {"*"},
		"Access-Control-Allow-Credentials": {"true"},
		"Access-Control-Expose-Headers":    {"X-Request-ID"},
		"X-Request-Id":                     {"1"},
	})
	e2etest.ServeHello(w, r)
}

func TestCORS_HidesResponsesWithUpstreamKey(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	front := e2etest.StartServer(t, e2etest.ClientKeyConfig(t, upstream.URL))
	for kind, request := range e2etest.SampleRequests(t) {
		for _, asked := range []e2etest.HTTPRequest{request.WithClientKey(), request.WithClientKey().WithOrigin(e2etest.Origin), request, request.WithOrigin(e2etest.Origin)} {
			response, _ := asked.Do(e2etest.Context(t), t, front)
			checkNoCORS(t, e2etest.WithoutHeaders(response.Header, "Vary"))
			if asked.Header["Authorization"] != nil && response.StatusCode == http.StatusUnauthorized {
				t.Errorf("%s: got status %s", kind, response.Status)
			}
		}
	}
}

// A preflight carries no client key. It is never forwarded to the upstream.
func TestCORS_AnswersPreflightsWithUpstreamKey(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	for name, config := range map[string]server.Config{"client key": e2etest.ClientKeyConfig(t, upstream.URL), "anonymous": e2etest.AnonymousConfig(t, upstream.URL)} {
		closed := e2etest.StartServer(t, config)
		config.CORSOrigins = []string{e2etest.Origin}
		open := e2etest.StartServer(t, config)
		for _, path := range []string{"/v1/chat/completions", "/v1/realtime", e2etest.CreateProcedure, "/openaiconnect.chat.v1.ChatService/Nothing", "/"} {
			for _, http2 := range []bool{false, true} {
				request := preflight(path)
				request.HTTP2 = http2
				for what, asked := range map[string]struct {
					e2etest.HTTPRequest
					*servertest.Front

					status int
				}{
					"no origin allowed":   {request.WithOrigin(e2etest.Origin), closed, http.StatusForbidden},
					"without an origin":   {request, closed, http.StatusForbidden},
					"with the client key": {request.WithOrigin(e2etest.Origin).WithClientKey(), closed, http.StatusForbidden},
					"other origin":        {request.WithOrigin(e2etest.OtherOrigin), open, http.StatusForbidden},
					"allowed origin":      {request.WithOrigin(e2etest.Origin), open, http.StatusNoContent},
				} {
					response, body := asked.Do(e2etest.Context(t), t, asked.Front)
					if response.StatusCode != asked.status || body != "" {
						t.Errorf("%s, %s %s: got status %s and body %q", name, what, path, response.Status, body)
					}
					if allowed := response.Header["Access-Control-Allow-Origin"]; (asked.status == http.StatusNoContent) != slices.Equal(allowed, []string{e2etest.Origin}) {
						t.Errorf("%s, %s %s: got allowed origins %q", name, what, path, allowed)
					}
				}
			}
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("got requests at the upstream, want none: %+v", got)
	}
}

func TestCORS_AllowedOriginReadsResponsesWithUpstreamKey(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	config := e2etest.ClientKeyConfig(t, upstream.URL)
	config.CORSOrigins = []string{e2etest.Origin}
	front := e2etest.StartServer(t, config)
	for _, path := range []string{"/v1/chat/completions", e2etest.CreateProcedure} {
		request := e2etest.HTTPRequest{Method: http.MethodPost, Path: path, Body: e2etest.HelloMessage, Header: http.Header{"Content-Type": {"application/json"}}}
		for what, row := range map[string]struct {
			e2etest.HTTPRequest

			allowed []string
			status  int
		}{
			"with the client key": {request.WithClientKey().WithOrigin(e2etest.Origin), []string{e2etest.Origin}, http.StatusOK},
			"without":             {request.WithOrigin(e2etest.Origin), []string{e2etest.Origin}, http.StatusUnauthorized},
			"other origin":        {request.WithClientKey().WithOrigin(e2etest.OtherOrigin), nil, http.StatusOK},
		} {
			response, _ := row.Do(e2etest.Context(t), t, front)
			if got := response.Header["Access-Control-Allow-Origin"]; response.StatusCode != row.status || !slices.Equal(got, row.allowed) {
				t.Errorf("%s, %s: got status %s and allowed origins %q", what, path, response.Status, got)
			}
			if response.Header["Access-Control-Allow-Credentials"] != nil {
				t.Errorf("%s, %s: got Access-Control-Allow-Credentials", what, path)
			}
			if row.allowed != nil {
				header := response.Header.Clone()
				header.Del("Vary")
				checkExposed(t, header)
			}
		}
	}
}

// Browsers send some requests without a preflight. A server without client
// authentication rejects them by their origin.
func TestCORS_RejectsRequestsOfOtherOriginsToAnonymousServer(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	config := e2etest.AnonymousConfig(t, upstream.URL)
	config.CORSOrigins = []string{e2etest.Origin}
	front := e2etest.StartServer(t, config)
	for path, code := range map[string]string{"/v1/chat/completions": `"code":"origin_not_allowed"`, e2etest.CreateProcedure: `"code":"permission_denied"`} {
		request := e2etest.HTTPRequest{Method: http.MethodPost, Path: path, Body: e2etest.HelloMessage, Header: http.Header{"Content-Type": {"application/json"}}}
		for origin, status := range map[string]int{
			"":                          http.StatusOK,
			e2etest.Origin:              http.StatusOK,
			front.URL:                   http.StatusOK, // the server's own origin
			e2etest.OtherOrigin:         http.StatusForbidden,
			"null":                      http.StatusForbidden,
			"http://x." + front.Address: http.StatusForbidden,
			"file://":                   http.StatusForbidden,
			strings.TrimSuffix(e2etest.Origin, ".com"): http.StatusForbidden,
		} {
			asked := request
			if origin != "" {
				asked = request.WithOrigin(origin)
			}
			response, body := asked.Do(e2etest.Context(t), t, front)
			if response.StatusCode != status || status == http.StatusForbidden && !strings.Contains(body, code) {
				t.Errorf("%s from %q: got status %s and body %s", path, origin, response.Status, body)
			}
			if status == http.StatusOK {
				e2etest.CheckUpstreamKey(t, upstream)
			}
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("got requests at the upstream, want none: %+v", got)
	}
}

// Requests without an Origin header, and requests of a page whose host name
// resolves to this server, don't use the upstream key either.
func TestCORS_RejectsCrossSiteRequestsWithoutOrigin(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	front := e2etest.StartServer(t, e2etest.AnonymousConfig(t, upstream.URL))
	for name, row := range map[string]struct {
		fields string
		status int
	}{
		"no browser":                                  {"Host: " + front.Address, http.StatusOK},
		"address bar":                                 {"Host: " + front.Address + "\r\nSec-Fetch-Site: none", http.StatusOK},
		"server's own page":                           {"Host: " + front.Address + "\r\nSec-Fetch-Site: same-origin", http.StatusOK},
		"image on a cross-site page":                  {"Host: " + front.Address + "\r\nSec-Fetch-Site: cross-site", http.StatusForbidden},
		"image on a same-site page":                   {"Host: " + front.Address + "\r\nSec-Fetch-Site: same-site", http.StatusForbidden},
		"page whose host name resolves to the server": {"Host: evil.example:8080\r\nOrigin: http://evil.example:8080", http.StatusForbidden},
		"server's own page on localhost":              {"Host: localhost:8080\r\nOrigin: http://localhost:8080", http.StatusOK},
		"server's own page over IPv6":                 {"Host: [::1]:8080\r\nOrigin: http://[::1]:8080", http.StatusOK},
	} {
		status, answer := e2etest.SendSmuggling(t, front, "GET /v1/models HTTP/1.1\r\n"+row.fields+"\r\nConnection: close\r\n\r\n")
		if status != row.status {
			t.Errorf("%s: got status %d and responses %q", name, status, answer)
		}
	}
}

// The services without authentication limit messages to a few bytes, also when
// compressed.
func TestAuth_PublicServicesRejectLargeMessages(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servePublicCORS)
	front := e2etest.StartServer(t, e2etest.ClientKeyConfig(t, upstream.URL))
	name := `{"service":"` + strings.Repeat("x", 1<<20) + `"}`
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := io.WriteString(writer, name); err != nil || writer.Close() != nil {
		t.Fatal(err)
	}
	for coding, body := range map[string]string{"identity": name, "gzip": packed.String()} {
		response, answer := e2etest.HTTPRequest{
			Method: http.MethodPost, Path: "/grpc.health.v1.Health/Check", Body: body,
			Header: http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {coding}},
		}.Do(e2etest.Context(t), t, front)
		if response.StatusCode != http.StatusTooManyRequests || len(answer) > 1000 || !strings.Contains(answer, "resource_exhausted") {
			t.Errorf("%s: got status %s and body %.1000s", coding, response.Status, answer)
		}
	}
}
