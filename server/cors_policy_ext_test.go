package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// What an upstream says to pages is kept, to the byte: with an origin, and for a
// preflight, the head of its answer is the one that a server without a policy
// gives.
func TestWhatTheUpstreamSaysToPagesIsKept(t *testing.T) {
	t.Parallel()
	kept := map[string]script{
		"any origin, and a name exposed": reply(200, "{}", jsonType, "Access-Control-Allow-Origin: *",
			"Access-Control-Expose-Headers: X-Request-ID", "X-Request-ID: 1", "OpenAI-Version: 2020-10-01"),
		"another origin, and a cookie": reply(200, "{}", jsonType, "Access-Control-Allow-Origin: https://platform.example.com",
			"Access-Control-Allow-Credentials: true", "Vary: Origin", "Set-Cookie: a=b"),
		"an error": reply(429, rateLimited, jsonType, "Access-Control-Allow-Origin: *", "Retry-After: 1"),
		"a stream": streamWith([]string{"Access-Control-Allow-Origin: " + page}, done),
		"no body":  reply(204, "", "Access-Control-Allow-Origin: "+page, "Access-Control-Allow-Headers: *", "Access-Control-Max-Age: 5"),
	}
	upstream := serveScripts(t, kept)
	front := startFront(t, server.Config{Upstream: upstream})
	without := startFront(t, server.Config{Upstream: upstream, CORSOrigins: []string{"none"}})
	for name := range kept {
		for _, request := range []exchange{
			preflight("/v1/chat/completions"),
			{method: http.MethodPost, path: "/v1/chat/completions", body: helloBody},
		} {
			t.Run(name+", "+request.method, func(t *testing.T) {
				t.Parallel()
				request = request.from(page)
				request.header.Set(scriptHeader, name)
				response, body := request.run(within(t), t, front)
				want, wantBody := request.run(within(t), t, without)
				if response.Status != want.Status || body != wantBody {
					t.Errorf("got %s %q, not %s %q", response.Status, body, want.Status, wantBody)
				}
				checkFields(t, response.Header, want.Header)
			})
		}
	}
}

func TestAPolicyOfSomeOrigins(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, helloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL, CORSOrigins: []string{page, "http://localhost:3000"}})
	for kind, request := range rpcRequests(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			plain, _ := request.run(within(t), t, front)
			for _, origin := range []string{page, "http://localhost:3000"} {
				response, _ := request.from(origin).run(within(t), t, front)
				if got := response.Header["Access-Control-Allow-Origin"]; !slices.Equal(got, []string{origin}) {
					t.Errorf("from %s, the origins allowed are %q", origin, got)
				}
				if !slices.Contains(response.Header["Vary"], "Origin") {
					t.Errorf("it varies by %q", response.Header["Vary"])
				}
			}
			response, _ := request.from(otherPage).run(within(t), t, front)
			want := plain.Header.Clone()
			want.Add("Vary", "Origin")
			checkFields(t, without(response.Header), without(want))
		})
	}
	for _, path := range []string{createProcedure, "/v1/chat/completions"} {
		t.Run("preflight of "+path, func(t *testing.T) {
			t.Parallel()
			response, _ := preflight(path).from(page).run(within(t), t, front)
			checkFields(t, without(response.Header), http.Header{
				"Access-Control-Allow-Origin":  {page},
				"Access-Control-Allow-Methods": {"POST"},
				"Access-Control-Allow-Headers": preflight(path).header["Access-Control-Request-Headers"],
				"Access-Control-Max-Age":       {"7200"},
				"Vary":                         {"Origin"},
			})
			response, _ = preflight(path).from(otherPage).run(within(t), t, front)
			for _, name := range corsHeaders {
				if values := response.Header[name]; values != nil {
					t.Errorf("to another page, %s is %q", name, values)
				}
			}
		})
	}
}

func TestNoPolicyAtAll(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, helloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL, CORSOrigins: []string{"none"}})
	requests := rpcRequests(t)
	requests["a preflight"] = preflight(createProcedure)
	requests["a raw preflight"] = preflight("/v1/chat/completions")
	for kind, request := range requests {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			response, _ := request.from(page).run(within(t), t, front)
			checkNoCORS(t, without(response.Header, "Vary"))
		})
	}
}

func TestAnInvalidPolicyIsRefused(t *testing.T) {
	t.Parallel()
	for _, origins := range [][]string{{}, {"app.example.com"}} {
		if _, err := server.New(server.Config{CORSOrigins: origins}); err == nil || !strings.Contains(err.Error(), "CORS origins: ") {
			t.Errorf("%q gives the error %v", origins, err)
		}
	}
}
