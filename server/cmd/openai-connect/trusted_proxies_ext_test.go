package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

func TestTrustedProxies_ForwardTheClientAddress(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		trusted, field, value string
		want                  string
	}{
		{"127.0.0.0/8,10.0.0.0/8", "X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"},
		{"127.0.0.1", "Forwarded", `for=1.1.1.1, for="[2001:db8::7]:80"`, "2001:db8::7"},
		{"10.0.0.0/8", "X-Forwarded-For", "203.0.113.9", "127.0.0.1"},
		{"", "X-Forwarded-For", "203.0.113.9", "127.0.0.1"},
	} {
		var got http.Header
		upstream := servertest.StartUpstream(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
		arguments := []string{"--upstream", upstream.URL, "--listen", "127.0.0.1:0", "--access-log"}
		if row.trusted != "" {
			arguments = append(arguments, "--trusted-proxies", row.trusted)
		}
		p := start(t, nil, arguments...)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/v1/models", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(row.field, row.value)
		response, err := servertest.HTTPClient(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if log := strings.Join(p.logged(t), ""); !strings.Contains(log, " peer="+row.want+" ") {
			t.Errorf("%+v: got log\n%s", row, log)
		}
		if got.Get(row.field) != row.value {
			t.Errorf("%+v: the upstream got %q", row, got)
		}
	}
}
