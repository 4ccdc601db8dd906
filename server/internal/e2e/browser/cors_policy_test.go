package browser_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// A CORS header of the upstream takes precedence. The header of the response,
// also to a preflight, is the one of a server without a policy.
func TestCORS_KeepsUpstreamHeaders(t *testing.T) {
	t.Parallel()
	kept := map[string]e2etest.Script{
		"any origin, with an exposed header": e2etest.Reply(200, "{}", e2etest.JSONType, "Access-Control-Allow-Origin: *",
			"Access-Control-Expose-Headers: X-Request-ID", "X-Request-ID: 1", "OpenAI-Version: 2020-10-01"),
		"other origin, with a cookie": e2etest.Reply(200, "{}", e2etest.JSONType, "Access-Control-Allow-Origin: https://platform.example.com",
			"Access-Control-Allow-Credentials: true", "Vary: Origin", "Set-Cookie: a=b"),
		"error":   e2etest.Reply(429, e2etest.RateLimitedBody, e2etest.JSONType, "Access-Control-Allow-Origin: *", "Retry-After: 1"),
		"stream":  e2etest.StreamWith([]string{"Access-Control-Allow-Origin: " + e2etest.Origin}, e2etest.DoneEvent),
		"no body": e2etest.Reply(204, "", "Access-Control-Allow-Origin: "+e2etest.Origin, "Access-Control-Allow-Headers: *", "Access-Control-Max-Age: 5"),
	}
	upstream := e2etest.ServeScripts(t, kept)
	front := e2etest.StartServer(t, server.Config{Upstream: upstream})
	without := e2etest.StartServer(t, server.Config{Upstream: upstream, CORSOrigins: []string{"none"}})
	for name := range kept {
		for _, request := range []e2etest.HTTPRequest{
			preflight("/v1/chat/completions"),
			{Method: http.MethodPost, Path: "/v1/chat/completions", Body: e2etest.HelloBody},
		} {
			t.Run(name+", "+request.Method, func(t *testing.T) {
				t.Parallel()
				request = request.WithOrigin(e2etest.Origin)
				request.Header.Set(e2etest.ScriptHeader, name)
				response, body := request.Do(e2etest.Context(t), t, front)
				want, wantBody := request.Do(e2etest.Context(t), t, without)
				if response.Status != want.Status || body != wantBody {
					t.Errorf("got status %s and body %q, want %s %q", response.Status, body, want.Status, wantBody)
				}
				e2etest.CheckHeader(t, response.Header, want.Header)
			})
		}
	}
}

func TestCORS_ListedOriginsOnly(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.HelloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL, CORSOrigins: []string{e2etest.Origin, "http://localhost:3000"}})
	for kind, request := range e2etest.SampleRequests(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			plain, _ := request.Do(e2etest.Context(t), t, front)
			for _, origin := range []string{e2etest.Origin, "http://localhost:3000"} {
				response, _ := request.WithOrigin(origin).Do(e2etest.Context(t), t, front)
				if got := response.Header["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{origin}) {
					t.Errorf("origin %s: got allowed origins %q", origin, got)
				}
				if !slices.Contains(response.Header["Vary"], "Origin") {
					t.Errorf("got Vary %q, want Origin", response.Header["Vary"])
				}
			}
			response, _ := request.WithOrigin(e2etest.OtherOrigin).Do(e2etest.Context(t), t, front)
			want := plain.Header.Clone()
			want.Add("Vary", "Origin")
			e2etest.CheckHeader(t, e2etest.WithoutHeaders(response.Header), e2etest.WithoutHeaders(want))
		})
	}
	for _, path := range []string{e2etest.CreateProcedure, "/v1/chat/completions"} {
		t.Run("preflight of "+path, func(t *testing.T) {
			t.Parallel()
			response, _ := preflight(path).WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
			e2etest.CheckHeader(t, e2etest.WithoutHeaders(response.Header), http.Header{
				"Access-Control-Allow-Origin":  {e2etest.Origin},
				"Access-Control-Allow-Methods": {"POST"},
				"Access-Control-Allow-Headers": preflight(path).Header["Access-Control-Request-Headers"],
				"Access-Control-Max-Age":       {"7200"},
				"Vary":                         {"Origin"},
			})
			response, _ = preflight(path).WithOrigin(e2etest.OtherOrigin).Do(e2etest.Context(t), t, front)
			for _, name := range corsHeaders {
				if values := response.Header[name]; values != nil {
					t.Errorf("other origin: got %s %q, want none", name, values)
				}
			}
		})
	}
}

func TestCORS_Disabled(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.HelloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL, CORSOrigins: []string{"none"}})
	requests := e2etest.SampleRequests(t)
	requests["preflight"] = preflight(e2etest.CreateProcedure)
	requests["raw preflight"] = preflight("/v1/chat/completions")
	for kind, request := range requests {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			response, _ := request.WithOrigin(e2etest.Origin).Do(e2etest.Context(t), t, front)
			checkNoCORS(t, e2etest.WithoutHeaders(response.Header, "Vary"))
		})
	}
}

func TestCORS_RejectsInvalidPolicy(t *testing.T) {
	t.Parallel()
	for _, origins := range [][]string{{}, {"app.example.com"}} {
		if _, err := server.New(server.Config{CORSOrigins: origins}); err == nil || !strings.Contains(err.Error(), "CORSOrigins: ") {
			t.Errorf("origins %q: got error %v", origins, err)
		}
	}
}
