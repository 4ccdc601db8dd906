package policy_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// listOfModels responds with a list of models, in a framing and a content coding.
func listOfModels(body, coding string, chunked bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sent := []byte(body)
		if coding == "gzip" {
			var buffer bytes.Buffer
			z := gzip.NewWriter(&buffer)
			_, _ = io.WriteString(z, body)
			_ = z.Close()
			sent = buffer.Bytes()
		}
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("ETag", `"of-all"`)
		header.Set("Content-Digest", "sha-256=:of-all:")
		header.Set("X-Kept", "yes")
		if coding != "" {
			header.Set("Content-Encoding", coding)
		}
		if !chunked {
			header.Set("Content-Length", strconv.Itoa(len(sent)))
		}
		if r.Method == http.MethodHead {
			return
		}
		for len(sent) > 0 {
			n := min(len(sent), 1<<20)
			_, _ = w.Write(sent[:n])
			_ = http.NewResponseController(w).Flush()
			sent = sent[n:]
		}
	}
}

func TestModelRules_ListOnlyAllowedModels(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, path, body, want string }{
		{
			"OpenAI", "/v1/models",
			`{"object": "list",` + "\n" + ` "data": [{"id": "x", "created": 1}, {"id": "mini", "created": 1.0, "z": "\u00e4"},` + "\n" + `{"id":"mini-2"} , {"id": "y"}], "has_more": false, "first_id": "x"}` + "\n",
			`{"object": "list",` + "\n" + ` "data": [ {"id": "mini", "created": 1.0, "z": "\u00e4"},` + "\n" + `{"id":"mini-2"}], "has_more": false, "first_id": "x"}` + "\n",
		},
		{"all allowed", "/v1/models?limit=2", ` {"data":[{"id":"mini"},{"id":"mini-2"} ] } `, ` {"data":[{"id":"mini"},{"id":"mini-2"} ] } `},
		{"none allowed", "/v1/models/", `{"data":[ {"id":"x"}, {"id":"y"} ]}`, `{"data":[ ]}`},
		{"empty list", "/v1/models", `{"object":"list","data":[]}`, `{"object":"list","data":[]}`},
		{"list without an object", "/v1/models", `[{"id":"x"},{"id":"mini"}]`, `[{"id":"mini"}]`},
		{"Ollama", "/api/tags", `{"models":[{"name":"mini:8b","model":"mini:8b"},{"name":"x","model":"x","details":{"families":["mini"]}}]}`, `{"models":[{"name":"mini:8b","model":"mini:8b"}]}`},
		{"Ollama's running models", "/api/ps", `{"models":[{"name":"x","model":"x"}]}`, `{"models":[]}`},
		{"Google", "/v1beta/models", `{"models":[{"name":"models/x","displayName":"mini"},{"name":"models/mini"}],"nextPageToken":"t"}`, `{"models":[{"name":"models/mini"}],"nextPageToken":"t"}`},
		{"LiteLLM", "/model/info", `{"data":[{"model_name":"x","litellm_params":{"model":"mini"}},{"model_name":"mini","litellm_params":{"model":"x"}}]}`, `{"data":[{"model_name":"mini","litellm_params":{"model":"x"}}]}`},
		{"Azure", "/openai/deployments?api-version=1", `{"data":[{"id":"x","model":"mini"},{"id":"mini","model":"x"}]}`, `{"data":[{"id":"mini","model":"x"}]}`},
		{"escaped path", "/v1/%256Dodels;a", `{"data":[{"id":"x"}]}`, `{"data":[]}`},
		{"model without a name", "/v1/models", `{"data":[{"object":"model"},5,"x",["mini"],"mini"]}`, `{"data":["mini"]}`},
		{"further lists", "/v1/models", `{"notes":["a",{"b":1}],"data":[{"id":"x"}],"more":[{"id":"mini"},{"id":"x"}]}`, `{"notes":["a",{"b":1}],"data":[],"more":[{"id":"mini"}]}`},
		{"byte order mark", "/v1/models", "\ufeff" + `{"data":[{"id":"x"}]}`, "\ufeff" + `{"data":[]}`},
		{"long list", "/v1/models", `{"data":[` + strings.Repeat(`{"id":"x"},`, 100_000) + `{"id":"mini"}]}`, `{"data":[{"id":"mini"}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, coding := range []string{"", "gzip"} {
				for _, chunked := range []bool{false, true} {
					upstream := servertest.StartUpstream(t, listOfModels(row.body, coding, chunked))
					front := e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, "models: [mini*]"))
					for _, http2 := range []bool{false, true} {
						name := fmt.Sprintf("coding %q, chunked %t, HTTP/2 %t", coding, chunked, http2)
						checkList(t, name, upstream, front, row.path, http2, row.want, row.body != row.want)
					}
				}
			}
		})
	}
}

// checkList requests a list of models and checks the response. Changed reports
// whether models are removed.
func checkList(t *testing.T, name string, upstream *servertest.Upstream, front *servertest.Front, path string, http2 bool, want string, changed bool) {
	t.Helper()
	request := e2etest.HTTPRequest{Method: http.MethodGet, Path: path, HTTP2: http2, Header: http.Header{
		"Authorization": {"Bearer " + servertest.Key}, "Accept-Encoding": {"gzip"}, "If-None-Match": {`"of-all"`}, "Range": {"bytes=0-1"},
	}}
	response, body := request.Do(e2etest.Context(t), t, front)
	header := response.Header
	if header.Get("Content-Encoding") == "gzip" {
		body = gunzip(t, body)
	}
	if response.StatusCode != http.StatusOK || body != want || header.Get("X-Kept") != "yes" {
		t.Errorf("%s: got status %s and body %.300q, want %.300q", name, response.Status, body, want)
	}
	if described := header.Get("ETag") != "" || header.Get("Content-Digest") != "" || header.Get("Content-Encoding") != ""; changed && (described || response.ContentLength != int64(len(want))) {
		t.Errorf("%s: got header %v for a changed list", name, header)
	}
	if !changed && header.Get("ETag") == "" {
		t.Errorf("%s: got header %v for an unchanged list", name, header)
	}
	for _, got := range upstream.Take() {
		if got.Header.Get("If-None-Match")+got.Header.Get("Range") != "" || got.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s: got header %v at the upstream", name, got.Header)
		}
	}
	request.Method = http.MethodHead
	response, _ = request.Do(e2etest.Context(t), t, front)
	if response.StatusCode != http.StatusOK || response.Header.Get("ETag") != "" || response.Header.Get("Content-Length") != "" {
		t.Errorf("%s: got status %s and header %v for HEAD", name, response.Status, response.Header)
	}
	upstream.Take()
}

func gunzip(t *testing.T, text string) string {
	t.Helper()
	reader, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestModelRules_RejectUnreadableLists(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"not JSON":                 listOfModels("x", "", false),
		"truncated list":           listOfModels(`{"data":[{"id":"mini"}`, "", true),
		"two values":               listOfModels(`{"data":[]}{"data":[{"id":"x"}]}`, "", true),
		"unknown content coding":   listOfModels(`{"data":[]}`, "secret", false),
		"malformed content coding": listOfModels("{}", "br", false),
		"too large":                listOfModels(`{"data":[`+strings.Repeat(" ", 9<<20)+`]}`, "", true),
		"compression bomb":         listOfModels(`{"data":[`+strings.Repeat(" ", 9<<20)+`]}`, "gzip", true),
	} {
		upstream := servertest.StartUpstream(t, handler)
		front := e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, "models: [mini*]"))
		response, body := e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: http.Header{"Authorization": {"Bearer " + servertest.Key}}}.Do(e2etest.Context(t), t, front)
		if response.StatusCode != http.StatusBadGateway || !strings.Contains(body, "models_unreadable") {
			t.Errorf("%s: got status %s and body %.200s", name, response.Status, body)
		}
	}
}

// A list with a truncated body is an error.
func TestModelRules_FailForTruncatedList(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"data":[]}`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	front := e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, "models: [mini*]"))
	response, body := e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: http.Header{"Authorization": {"Bearer " + servertest.Key}}}.Do(e2etest.Context(t), t, front)
	if response.StatusCode != http.StatusBadGateway {
		t.Errorf("got status %s and body %s", response.Status, body)
	}
}

func TestModelRules_KeepOtherModelResponses(t *testing.T) {
	t.Parallel()
	const list = `{"data":[{"id":"x"}]}`
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "fail" {
			servertest.JSON(http.StatusTeapot, list)(w, r)
			return
		}
		servertest.JSON(http.StatusOK, list)(w, r)
	})
	listed, limited := e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, "models: [mini*]")), e2etest.StartServer(t, e2etest.PolicyConfig(t, upstream.URL, "limits: {models: {x: {requests_per_minute: 1}}}"))
	header := http.Header{"Authorization": {"Bearer " + servertest.Key}}
	for _, row := range []struct {
		front  *servertest.Front
		path   string
		status int
		body   string // empty for the server's own response
	}{
		{listed, "/v1/models?fail", http.StatusTeapot, list},
		{listed, "/v1/models/mini", http.StatusOK, list},
		{listed, "/v1/models/x", http.StatusForbidden, ""},
		{listed, "/v1/files", http.StatusOK, list},
		{limited, "/v1/models", http.StatusOK, list},
	} {
		response, body := e2etest.HTTPRequest{Method: http.MethodGet, Path: row.path, Header: header}.Do(e2etest.Context(t), t, row.front)
		if response.StatusCode != row.status || row.body != "" && body != row.body {
			t.Errorf("%s: got status %s and body %s", row.path, response.Status, body)
		}
	}
}
