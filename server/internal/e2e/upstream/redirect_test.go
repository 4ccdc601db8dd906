package upstream_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// The typed and the raw API follow redirects of the upstream and repeat the body.
// Otherwise both report the redirect.
func TestRedirect_IsFollowedByTypedAndRawRequests(t *testing.T) {
	t.Parallel()
	const completion = `{"id":"moved","object":"chat.completion","created":1,"model":"m","choices":[]}`
	up := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/chat/completions" {
			servertest.JSON(http.StatusOK, completion)(w, r)
			return
		}
		w.Header().Set("Location", "/v2/chat/completions")
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	for _, row := range []struct {
		name     string
		config   server.Config
		followed bool
	}{
		{"by default", server.Config{Upstream: up.URL}, true},
		{"disabled", server.Config{Upstream: up.URL, NoRedirects: true}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			front := servertest.Start(t, row.config)
			reply, err := front.Client(t, servertest.Protocols()[0]).CreateChatCompletion(t.Context(), e2etest.Hello())
			if row.followed && (err != nil || reply.GetId() != "moved") || !row.followed && connect.CodeOf(err) != connect.CodeInternal {
				t.Errorf("typed: got response %v and error %v", reply, err)
			}
			resp, err := servertest.HTTPClient(t, false).Post(front.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m"}`))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || row.followed != (string(body) == completion) || !row.followed && resp.Header.Get("Location") != "/v2/chat/completions" {
				t.Errorf("raw: got status %d, body %q, and error %v", resp.StatusCode, body, err)
			}
			requests := up.Take()
			if last := requests[len(requests)-1]; last.Method != http.MethodPost || last.Body != `{"model":"m"}` {
				t.Errorf("upstream received %+v", last)
			}
		})
	}
}
