package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

func TestThePlaygroundIsThePagesAlone(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, echo)
	for name, config := range map[string]server.Config{
		"clients bring their keys": {Upstream: upstream.URL},
		"clients show a token":     guarded(t, upstream.URL),
		"everyone may use the key": anonymous(t, upstream.URL),
	} {
		front := startFront(t, config)
		for what, row := range map[string]struct {
			request  exchange
			status   int
			says     string
			mime     string
			location string
		}{
			"the page":                     {exchange{method: "GET", path: "/playground/"}, http.StatusOK, "<!doctype html>", "text/html; charset=utf-8", ""},
			"the page over HTTP/2":         {exchange{method: "GET", path: "/playground/", http2: true}, http.StatusOK, "<!doctype html>", "text/html; charset=utf-8", ""},
			"the page with a query":        {exchange{method: "GET", path: "/playground/?a=b"}, http.StatusOK, "<!doctype html>", "text/html; charset=utf-8", ""},
			"the page, by its name":        {exchange{method: "GET", path: "/playground/index.html"}, http.StatusOK, "<!doctype html>", "text/html; charset=utf-8", ""},
			"its script":                   {exchange{method: "GET", path: "/playground/playground.js"}, http.StatusOK, "ChatService", "text/javascript; charset=utf-8", ""},
			"its style":                    {exchange{method: "GET", path: "/playground/style.css"}, http.StatusOK, "color-scheme", "text/css; charset=utf-8", ""},
			"its icon":                     {exchange{method: "GET", path: "/playground/icon.svg"}, http.StatusOK, "<svg", "image/svg+xml", ""},
			"its head":                     {exchange{method: "HEAD", path: "/playground/"}, http.StatusOK, "", "text/html; charset=utf-8", ""},
			"without the slash":            {exchange{method: "GET", path: "/playground"}, http.StatusPermanentRedirect, "", "", "playground/"},
			"a file that isn't there":      {exchange{method: "GET", path: "/playground/nothing.js"}, http.StatusNotFound, "no such file", "", ""},
			"a path out of it":             {exchange{method: "GET", path: "/playground/../v1/models"}, http.StatusNotFound, "no such file", "", ""},
			"a path out of it, encoded":    {exchange{method: "GET", path: "/playground/%2e%2e/v1/models"}, http.StatusNotFound, "no such file", "", ""},
			"a POST":                       {exchange{method: "POST", path: "/playground/", body: helloBody}, http.StatusMethodNotAllowed, "GET it", "", ""},
			"a POST without the slash":     {exchange{method: "POST", path: "/playground", body: helloBody}, http.StatusMethodNotAllowed, "GET it", "", ""},
			"a DELETE":                     {exchange{method: "DELETE", path: "/playground/style.css"}, http.StatusMethodNotAllowed, "GET it", "", ""},
			"an RPC of a service below it": {exchange{method: "POST", path: "/playground/Create", header: http.Header{"Content-Type": {"application/grpc"}}, http2: true}, http.StatusMethodNotAllowed, "GET it", "", ""},
		} {
			response, body := row.request.run(within(t), t, front)
			if response.StatusCode != row.status || !strings.Contains(body, row.says) || response.Header.Get("Location") != row.location {
				t.Errorf("%s: %s: %s to %q: %.200s", name, what, response.Status, response.Header.Get("Location"), body)
			}
			if row.mime != "" && response.Header.Get("Content-Type") != row.mime {
				t.Errorf("%s: %s: the content type is %q", name, what, response.Header.Get("Content-Type"))
			}
			if allow := response.Header.Get("Allow"); row.status == http.StatusMethodNotAllowed && allow != "GET, HEAD" {
				t.Errorf("%s: %s: allowed is %q", name, what, allow)
			}
			checkPageIsSealed(t, response.Header)
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("the upstream received %d requests", len(got))
	}
}

// checkPageIsSealed checks that a page can load nothing of others, be framed by
// none, and run no script that isn't a file of its own.
func checkPageIsSealed(t *testing.T, header http.Header) {
	t.Helper()
	policy := header.Get("Content-Security-Policy")
	for _, directive := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !strings.Contains(policy+";", directive+";") {
			t.Errorf("the policy has no %s: %s", directive, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy has holes: %s", policy)
	}
	for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if header.Get(name) != value {
			t.Errorf("%s is %q", name, header.Get(name))
		}
	}
}

func TestThePlaygroundIsHTMLWithoutScriptsOrStylesInside(t *testing.T) {
	t.Parallel()
	front := startFront(t, server.Config{Upstream: server.Sandbox})
	_, page := exchange{method: http.MethodGet, path: "/playground/"}.run(within(t), t, front)
	for _, inline := range []string{`<script>`, `<script type="module">`, `<style`, ` style="`, ` onclick=`, `javascript:`, `http:`, `https:`} {
		if strings.Contains(page, inline) {
			t.Errorf("the page has %s", inline)
		}
	}
	files := regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(page, -1)
	if len(files) != 3 {
		t.Errorf("the page names %d files, not 3", len(files))
	}
	for _, file := range files {
		if response, _ := (exchange{method: http.MethodGet, path: "/playground/" + file[1]}).run(within(t), t, front); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", file[1], response.Status)
		}
	}
}

func TestABrowserKeepsThePlaygroundUntilItChanges(t *testing.T) {
	t.Parallel()
	front := startFront(t, server.Config{Upstream: server.Sandbox})
	tags := make(map[string]string)
	for _, path := range []string{"/playground/", "/playground/playground.js", "/playground/style.css"} {
		get := exchange{method: http.MethodGet, path: path}
		response, _ := get.run(within(t), t, front)
		tag := response.Header.Get("ETag")
		if other := tags[tag]; tag == "" || other != "" || response.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: the tag is %s, as that of %q; Cache-Control: %s", path, tag, other, response.Header.Get("Cache-Control"))
		}
		tags[tag] = path
		get.header = http.Header{"If-None-Match": {tag}}
		if response, body := get.run(within(t), t, front); response.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s: %s, %d bytes", path, response.Status, len(body))
		}
		get.header = http.Header{"If-None-Match": {`"another"`}}
		if response, body := get.run(within(t), t, front); response.StatusCode != http.StatusOK || body == "" {
			t.Errorf("%s: %s, %d bytes", path, response.Status, len(body))
		}
	}
}

func TestPathsThatOnlyLookLikeThePlaygroundsGoUp(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/playgrounds", "/playground.html", "/Playground/", "/%70layground/", "//playground/", "/v1/playground/", "/./playground/"} {
		upstream := servertest.StartUpstream(t, echo)
		front := startFront(t, server.Config{Upstream: upstream.URL})
		conn, err := new(net.Dialer).DialContext(within(t), "tcp", front.Address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, front.Address)
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
		conn.Close()
		if got := take(t, upstream); got.Target != target {
			t.Errorf("%s went up as %s", target, got.Target)
		}
	}
}
