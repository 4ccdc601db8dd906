package main_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/commandtest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// statusFor asks for a URL by another host name.
func statusFor(t *testing.T, url, host string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := servertest.HTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestAllowedHosts_AreThoseOfTheFlags(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("sk-held-9876543210\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := commandtest.FreeAddress(t)
	p := start(t, []string{"OPENAI_CONNECT_ALLOWED_HOST=first.example,second.example"}, "--upstream", "sandbox", "--listen", "localhost:0",
		"--upstream-key-file", key, "--allow-anonymous", "--admin", admin, "--admin-pprof")
	urls := []string{p.url + "/v1/models", p.url + "/playground/", "http://" + admin + "/metrics", "http://" + admin + "/healthz", "http://" + admin + "/readyz", "http://" + admin + "/debug/pprof/cmdline"}
	for _, host := range []string{"", "localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:9464", "10.0.0.7:9464", "first.example", "second.example.:8080", "FIRST.example:443"} {
		for _, url := range urls {
			if got := statusFor(t, url, host); got != http.StatusOK {
				t.Errorf("%s gets %d by %q", url, got, host)
			}
		}
	}
	for _, host := range []string{"evil.example", "evil.example:8080", "x.first.example", "127.0.0.1.evil.example"} {
		for _, url := range append(urls, "http://"+admin+"/nothing") {
			if got := statusFor(t, url, host); got != http.StatusForbidden {
				t.Errorf("%s gets %d by %q", url, got, host)
			}
		}
	}
}

func TestAllowedHosts_AreNotCheckedIfClientsSendTheirKey(t *testing.T) {
	t.Parallel()
	admin := commandtest.FreeAddress(t)
	p := start(t, nil, "--upstream", "sandbox", "--listen", "127.0.0.1:0", "--admin", admin)
	if got := statusFor(t, p.url+"/v1/models", "any.example"); got != http.StatusOK {
		t.Errorf("got status %d", got)
	}
	if got := statusFor(t, "http://"+admin+"/metrics", "any.example"); got != http.StatusForbidden {
		t.Errorf("metrics: got status %d", got)
	}
}

func TestAllowedHosts_RejectsInvalidNames(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"https://api.example.com", "api.example.com:443", "*.example.com", "a,,b"} {
		checkRejected(t, end(t, nil, "--admin", "127.0.0.1:0", "--allowed-host", value), []string{"--allowed-host: ", "invalid host name"})
	}
	if help := end(t, nil, "--help"); !strings.Contains(help.stdout, "--allowed-host") {
		t.Error("the help does not mention the flag")
	}
}
