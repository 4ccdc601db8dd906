package browser_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

func TestPlayground_ServesOnlyItsFiles(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeHello)
	for name, config := range map[string]server.Config{
		"no upstream key": {Upstream: upstream.URL},
		"client key":      e2etest.ClientKeyConfig(t, upstream.URL),
		"anonymous":       e2etest.AnonymousConfig(t, upstream.URL),
	} {
		front := e2etest.StartServer(t, config)
		for what, row := range map[string]struct {
			request  e2etest.HTTPRequest
			status   int
			says     string
			mime     string
			location string
		}{
			"page":                   {e2etest.HTTPRequest{Method: "GET", Path: "/playground/"}, http.StatusOK, "<!doctype html>", "text/html; charset=utf-8", ""},
			"page over HTTP/2":       {e2etest.HTTPRequest{Method: "GET", Path: "/playground/", HTTP2: true}, http.StatusOK, "<!doctype html>", "text/html; charset=utf-8", ""},
			"page with a query":      {e2etest.HTTPRequest{Method: "GET", Path: "/playground/?a=b"}, http.StatusOK, "<!doctype html>", "text/html; charset=utf-8", ""},
			"index.html":             {e2etest.HTTPRequest{Method: "GET", Path: "/playground/index.html"}, http.StatusOK, "<!doctype html>", "text/html; charset=utf-8", ""},
			"script":                 {e2etest.HTTPRequest{Method: "GET", Path: "/playground/playground.js"}, http.StatusOK, "ChatService", "text/javascript; charset=utf-8", ""},
			"style sheet":            {e2etest.HTTPRequest{Method: "GET", Path: "/playground/style.css"}, http.StatusOK, "color-scheme", "text/css; charset=utf-8", ""},
			"icon":                   {e2etest.HTTPRequest{Method: "GET", Path: "/playground/icon.svg"}, http.StatusOK, "<svg", "image/svg+xml", ""},
			"HEAD":                   {e2etest.HTTPRequest{Method: "HEAD", Path: "/playground/"}, http.StatusOK, "", "text/html; charset=utf-8", ""},
			"page without the slash": {e2etest.HTTPRequest{Method: "GET", Path: "/playground"}, http.StatusPermanentRedirect, "", "", "playground/"},
			"missing file":           {e2etest.HTTPRequest{Method: "GET", Path: "/playground/nothing.js"}, http.StatusNotFound, "no such file", "", ""},
			"dot segments":           {e2etest.HTTPRequest{Method: "GET", Path: "/playground/../v1/models"}, http.StatusNotFound, "no such file", "", ""},
			"encoded dot segments":   {e2etest.HTTPRequest{Method: "GET", Path: "/playground/%2e%2e/v1/models"}, http.StatusNotFound, "no such file", "", ""},
			"POST":                   {e2etest.HTTPRequest{Method: "POST", Path: "/playground/", Body: e2etest.HelloBody}, http.StatusMethodNotAllowed, "use GET", "", ""},
			"POST without the slash": {e2etest.HTTPRequest{Method: "POST", Path: "/playground", Body: e2etest.HelloBody}, http.StatusMethodNotAllowed, "use GET", "", ""},
			"DELETE":                 {e2etest.HTTPRequest{Method: "DELETE", Path: "/playground/style.css"}, http.StatusMethodNotAllowed, "use GET", "", ""},
			"gRPC request below it":  {e2etest.HTTPRequest{Method: "POST", Path: "/playground/Create", Header: http.Header{"Content-Type": {"application/grpc"}}, HTTP2: true}, http.StatusMethodNotAllowed, "use GET", "", ""},
		} {
			response, body := row.request.Do(e2etest.Context(t), t, front)
			if response.StatusCode != row.status || !strings.Contains(body, row.says) || response.Header.Get("Location") != row.location {
				t.Errorf("%s: %s: got status %s, Location %q, body %.200s", name, what, response.Status, response.Header.Get("Location"), body)
			}
			if row.mime != "" && response.Header.Get("Content-Type") != row.mime {
				t.Errorf("%s: %s: got Content-Type %q", name, what, response.Header.Get("Content-Type"))
			}
			if allow := response.Header.Get("Allow"); row.status == http.StatusMethodNotAllowed && allow != "GET, HEAD" {
				t.Errorf("%s: %s: got Allow %q", name, what, allow)
			}
			checkContentSecurity(t, response.Header)
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("got %d requests at the upstream, want none", len(got))
	}
}

// checkContentSecurity checks that a page loads nothing from other origins, cannot
// be framed, and runs no inline scripts.
func checkContentSecurity(t *testing.T, header http.Header) {
	t.Helper()
	policy := header.Get("Content-Security-Policy")
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !strings.Contains(policy+";", directive+";") {
			t.Errorf("Content-Security-Policy lacks %s: %s", directive, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("Content-Security-Policy is too permissive: %s", policy)
	}
	for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if header.Get(name) != value {
			t.Errorf("got %s %q, want %q", name, header.Get(name), value)
		}
	}
}

func TestPlayground_HasNoInlineScriptsOrStyles(t *testing.T) {
	t.Parallel()
	front := e2etest.StartServer(t, server.Config{Upstream: server.Sandbox})
	_, page := e2etest.HTTPRequest{Method: http.MethodGet, Path: "/playground/"}.Do(e2etest.Context(t), t, front)
	for _, inline := range []string{`<script>`, `<script type="module">`, `<style`, ` style="`, ` onclick=`, `javascript:`, `http:`, `https:`} {
		if strings.Contains(page, inline) {
			t.Errorf("page contains %s", inline)
		}
	}
	files := regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(page, -1)
	if len(files) != 3 {
		t.Errorf("page refers to %d files, want 3", len(files))
	}
	for _, file := range files {
		if response, _ := (e2etest.HTTPRequest{Method: http.MethodGet, Path: "/playground/" + file[1]}).Do(e2etest.Context(t), t, front); response.StatusCode != http.StatusOK {
			t.Errorf("%s: got status %s", file[1], response.Status)
		}
	}
}

func TestPlayground_IsCachedByETag(t *testing.T) {
	t.Parallel()
	front := e2etest.StartServer(t, server.Config{Upstream: server.Sandbox})
	tags := make(map[string]string)
	for _, path := range []string{"/playground/", "/playground/playground.js", "/playground/style.css"} {
		get := e2etest.HTTPRequest{Method: http.MethodGet, Path: path}
		response, _ := get.Do(e2etest.Context(t), t, front)
		tag := response.Header.Get("ETag")
		if other := tags[tag]; tag == "" || other != "" || response.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: got ETag %s, as %q; Cache-Control: %s", path, tag, other, response.Header.Get("Cache-Control"))
		}
		tags[tag] = path
		get.Header = http.Header{"If-None-Match": {tag}}
		if response, body := get.Do(e2etest.Context(t), t, front); response.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s: got status %s and %d bytes", path, response.Status, len(body))
		}
		get.Header = http.Header{"If-None-Match": {`"another"`}}
		if response, body := get.Do(e2etest.Context(t), t, front); response.StatusCode != http.StatusOK || body == "" {
			t.Errorf("%s: got status %s and %d bytes", path, response.Status, len(body))
		}
	}
}

func TestPlayground_ForwardsSimilarPaths(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/playgrounds", "/playground.html", "/Playground/", "/%70layground/", "//playground/", "/v1/playground/", "/./playground/"} {
		upstream := servertest.StartUpstream(t, e2etest.ServeHello)
		front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL})
		conn, err := new(net.Dialer).DialContext(e2etest.Context(t), "tcp", front.Address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, front.Address)
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
		conn.Close()
		if got := e2etest.TakeOne(t, upstream); got.Target != target {
			t.Errorf("%s: got target %s at the upstream", target, got.Target)
		}
	}
}
