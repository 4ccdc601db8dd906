package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/redistest"
)

// statusServer returns the base URL of an upstream that answers all requests with a
// status. It fails the test if a request for models lacks the key.
func statusServer(t *testing.T, status int, key string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); r.URL.Path != "/v1/models" || got != key {
			t.Errorf("the upstream got %s with the authorization %q", r.URL, got)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v1"
}

// checkTable checks that a line of a report has a name and a value.
func checkTable(t *testing.T, report, name, value string) {
	t.Helper()
	pattern := `(?m)^ *` + regexp.QuoteMeta(name) + ` {2,}.*` + regexp.QuoteMeta(value)
	if !regexp.MustCompile(pattern).MatchString(report) {
		t.Errorf("the report has no line %q with %q:\n%s", name, value, report)
	}
}

func TestCheck_ReportsWhatWouldBeServed(t *testing.T) {
	t.Parallel()
	chain, key := certificate(t)
	clientsFile := filepath.Join(t.TempDir(), "clients.yaml")
	printed(t, clientsOf(t, clientsFile, "add", "alice"))
	redis := redistest.Start(t)
	busy := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(busy.Close)
	busyAddress := strings.TrimPrefix(busy.URL, "http://")
	for _, row := range []struct {
		name      string
		settings  []string
		arguments []string
		want      [][2]string
	}{
		{"the sandbox", nil, []string{"--upstream", "sandbox"}, [][2]string{
			{"upstream", "sandbox, without a key"},
			{"clients", "everyone, with their own API key"},
			{"admin", "none"},
			{"web pages", "all"},
			{"limits", "12000 concurrent requests"},
		}},
		{
			"an upstream key that everyone may use",
			[]string{"OPENAI_CONNECT_UPSTREAM_KEY=" + heldKey},
			[]string{"--allow-anonymous", "--upstream", statusServer(t, http.StatusOK, "Bearer "+heldKey)},
			[][2]string{
				{"upstream", "with the upstream key"},
				{"connect", "127.0.0.1:"},
				{"GET /models", "200 OK"},
				{"clients", "everyone, with the upstream key"},
				{"web pages", "none of other origins"},
			},
		},
		{"upstreams with keys that everyone may use", nil, []string{"--allow-anonymous", "--upstreams", secretFile(t, "upstreams: [{name: a, url: sandbox, key: {file: "+secretFile(t, heldKey)+"}}]")}, [][2]string{
			{"web pages", "none of other origins"},
		}},
		{"a client key", nil, []string{"--upstream-key-file", secretFile(t, heldKey), "--client-key-file", secretFile(t, clientToken), "--upstream", "sandbox"}, [][2]string{
			{"clients", "all that send the client key"},
		}},
		{"clients and Redis", nil, []string{"--upstream-key-file", secretFile(t, heldKey), "--clients", clientsFile, "--upstream", "sandbox", "--redis", redis.URL}, [][2]string{
			{"clients", "1 in " + clientsFile}, {"rate limits", "counted in Redis"},
		}},
		{"clients without Redis", nil, []string{"--upstream-key-file", secretFile(t, heldKey), "--clients", clientsFile, "--upstream", "sandbox"}, [][2]string{
			{"rate limits", "counted by this server"},
		}},
		{"addresses and a certificate", nil, []string{"--listen", busyAddress, "--admin", "127.0.0.1:0", "--tls-cert", chain, "--tls-key", key, "--upstream", "sandbox", "--cors-origin", "https://app.example"}, [][2]string{
			{"listen", busyAddress + ", HTTPS (in use now)"}, {"admin", "127.0.0.1:0, metrics"}, {"certificate", chain + ", valid until "}, {"web pages", "of https://app.example"},
		}},
		{"clients with their own keys", nil, []string{"--upstream", statusServer(t, http.StatusUnauthorized, "")}, [][2]string{
			{"upstream", "with the keys that clients send"}, {"GET /models", "401 Unauthorized"},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := end(t, row.settings, append([]string{"check", "--listen", "127.0.0.1:0"}, row.arguments...)...)
			if got.status != 0 || got.stderr != "" {
				t.Errorf("exit status %d, stdout %q", got.status, got.stderr)
			}
			for _, want := range row.want {
				checkTable(t, got.stdout, want[0], want[1])
			}
			checkNoSecrets(t, got)
		})
	}
}

func checkNoSecrets(t *testing.T, got outcome) {
	t.Helper()
	for _, secret := range []string{heldKey, clientToken, "oc-"} {
		if strings.Contains(got.stdout+got.stderr, secret) {
			t.Errorf("the report has the secret %q:\n%s%s", secret, got.stdout, got.stderr)
		}
	}
}

func TestCheck_FailsWhereTheServerCouldNotServe(t *testing.T) {
	t.Parallel()
	url, roots := far(t)
	nobody := "http://" + commandtest.FreeAddress(t) + "/v1"
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	expired, expiredKey := expiredCertificate(t)
	clientsFile := file("clients.yaml", "clients:\n  - {name: alice, hash: "+clients.HashKey("x").String()+"}\n")
	several := file("upstreams.yaml", "upstreams:\n"+
		"  - {name: good, url: "+statusServer(t, http.StatusOK, "Bearer sk-one")+", key: {env: ONE}}\n"+
		"  - {name: down, url: "+nobody+", key: none}\n"+
		"  - {name: embedded, url: sandbox, key: none}\n")
	for _, row := range []struct {
		name      string
		settings  []string
		arguments []string
		failed    string
		want      [][2]string
	}{
		{"an unknown name", nil, []string{"--upstream", "http://upstream.invalid/v1"}, "upstream DNS", [][2]string{{"DNS", "FAILED: "}}},
		{"a closed port", nil, []string{"--upstream", nobody}, "upstream connect", [][2]string{{"connect", "FAILED: "}}},
		{"an unknown authority", nil, []string{"--upstream", url}, "upstream TLS", [][2]string{{"connect", "127.0.0.1:"}, {"TLS", "FAILED: "}}},
		{
			"a rejected key",
			[]string{"OPENAI_CONNECT_UPSTREAM_KEY=" + heldKey},
			[]string{"--allow-anonymous", "--upstream", statusServer(t, http.StatusUnauthorized, "Bearer "+heldKey)},
			"upstream GET /models",
			[][2]string{{"GET /models", "FAILED: 401 Unauthorized"}},
		},
		{"a broken upstream", nil, []string{"--upstream", statusServer(t, http.StatusBadGateway, "")}, "upstream GET /models", [][2]string{{"GET /models", "FAILED: 502 Bad Gateway"}}},
		{
			"a proxy that is down", nil,
			[]string{"--upstream", "http://upstream.example/v1", "--proxy", "http://me:secret@" + strings.TrimPrefix(nobody, "http://")[:len("127.0.0.1:00000")]},
			"upstream connect",
			[][2]string{{"upstream", "through the proxy 127.0.0.1:"}},
		},
		{"one of several upstreams", []string{"ONE=sk-one", "OPENAI_CONNECT_ALLOW_ANONYMOUS=true"}, []string{"--upstreams", several}, "upstream down connect", [][2]string{
			{"upstream good", "with a key of its own"}, {"GET /models", "200 OK"}, {"upstream embedded", "sandbox, without a key"},
		}},
		{
			"Redis that is down", nil,
			[]string{"--upstream", "sandbox", "--upstream-key-file", secretFile(t, heldKey), "--clients", clientsFile, "--redis", "redis://" + commandtest.FreeAddress(t)},
			"rate limits",
			[][2]string{{"rate limits", "FAILED: Redis is unavailable"}},
		},
		{"an expired certificate", nil, []string{"--upstream", "sandbox", "--tls-cert", expired, "--tls-key", expiredKey}, "certificate", [][2]string{{"certificate", "FAILED: expired on "}}},
		{"an invalid address", nil, []string{"--upstream", "sandbox", "--listen", "127.0.0.1:99999"}, "listen", [][2]string{{"listen", "FAILED: "}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := end(t, row.settings, append([]string{"check", "--listen", "127.0.0.1:0"}, row.arguments...)...)
			if got.status != 1 || !strings.HasSuffix(got.stderr, "openai-connect: check failed: "+row.failed+"\n") {
				t.Errorf("exit status %d, stdout %q", got.status, got.stderr)
			}
			for _, want := range row.want {
				checkTable(t, got.stdout, want[0], want[1])
			}
			if strings.Contains(got.stdout+got.stderr, "secret") {
				t.Errorf("the report has a password:\n%s%s", got.stdout, got.stderr)
			}
			checkNoSecrets(t, got)
		})
	}
	got := end(t, nil, "check", "--listen", "127.0.0.1:0", "--upstream", url, "--upstream-ca", roots)
	checkTable(t, got.stdout, "TLS", "ok")
	if got.status != 0 {
		t.Errorf("with --upstream-ca got %+v", got)
	}
}

func TestCheck_ConnectsThroughTheProxy(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "http://upstream.example/v1/models" {
			t.Errorf("the proxy got %s", r.URL)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(proxy.Close)
	got := end(t, nil, "check", "--listen", "127.0.0.1:0", "--upstream", "http://upstream.example/v1", "--proxy", proxy.URL)
	checkTable(t, got.stdout, "GET /models", "200 OK")
	if got.status != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestCheck_RejectsTheFlagsThatServeRejects(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"exclusive flags", []string{"--upstreams", "x", "--upstream", "y"}, []string{"--upstreams and --upstream: "}},
		{"a missing file", []string{"--clients", "/nowhere", "--upstream", "sandbox"}, []string{"--clients: ", "/nowhere"}},
		{"an invalid upstream", []string{"--upstream", "ftp://a"}, []string{"--upstream: ", `"ftp"`}},
		{"a missing certificate", []string{"--tls-cert", "/nowhere", "--tls-key", "/nowhere"}, []string{"--tls-cert: ", "/nowhere"}},
		{"missing roots", []string{"--domain", "a.example.com", "--acme-ca", "/nowhere"}, []string{"--acme-ca: ", "/nowhere"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkRejected(t, end(t, nil, append([]string{"check"}, row.arguments...)...), row.says)
		})
	}
}
