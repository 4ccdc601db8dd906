package cors_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/cors"
)

func TestNewPolicy_NormalizesOriginsLikeBrowsers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, origin, sent string }{
		{"unchanged", "https://app.example.com", "https://app.example.com"},
		{"upper case", "HTTPS://App.Example.COM", "https://app.example.com"},
		{"a port", "http://localhost:3000", "http://localhost:3000"},
		{"the default port of https", "https://app.example.com:443", "https://app.example.com"},
		{"the default port of http", "http://app.example.com:80", "http://app.example.com"},
		{"the default port of another scheme", "http://app.example.com:443", "http://app.example.com:443"},
		{"an IPv6 address with a port", "http://[::1]:8080", "http://[::1]:8080"},
		{"an IPv6 address", "http://[::1]", "http://[::1]"},
		{"a browser extension", "chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"},
		{"a desktop application", "tauri://localhost", "tauri://localhost"},
		{"a leading space", " https://app.example.com", "https://app.example.com"},
		{"punycode", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			header := serve(t, []string{"https://first.example", row.origin}, ok, http.Header{"Origin": {row.sent}})
			if got := header.Get("Access-Control-Allow-Origin"); got != row.sent {
				t.Errorf("%q allows %q, want %q", row.origin, got, row.sent)
			}
		})
	}
}

func TestNewPolicy_RejectsInvalidOrigins(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		origins []string
		says    string
	}{
		{"no origins", nil, "no origins given"},
		{"an empty string", []string{""}, `""`},
		{"only a host", []string{"app.example.com"}, `invalid origin "app.example.com": no scheme and host`},
		{"a host with a port", []string{"localhost:3000"}, `invalid origin "localhost:3000": no scheme and host`},
		{"only a scheme", []string{"https://"}, "no scheme and host"},
		{"only a port", []string{"https://:443"}, "no scheme and host"},
		{"an opaque origin", []string{"null"}, "hidden"},
		{"a trailing slash", []string{"https://app.example.com/"}, "more than a scheme"},
		{"a query", []string{"https://app.example.com?a"}, "more than a scheme"},
		{"an empty query", []string{"https://app.example.com?"}, "more than a scheme"},
		{"a fragment", []string{"https://app.example.com#"}, "more than a scheme"},
		{"a pattern", []string{"https://*.example.com"}, "patterns"},
		{"a non-ASCII name", []string{"https://bücher.example"}, "xn--"},
		{"an escaped name", []string{"https://b%C3%BCcher.example"}, "xn--"},
		{"an empty port", []string{"https://app.example.com:"}, "port"},
		{"a port that is too large", []string{"https://app.example.com:65536"}, "port"},
		{"a port with a leading zero", []string{"https://app.example.com:0443"}, "port"},
		{"any with another origin", []string{"*", "https://app.example.com"}, `"*" cannot be combined`},
		{"none with another origin", []string{"https://app.example.com", "none"}, `"none" cannot be combined`},
		{"any with none", []string{"*", "none"}, "cannot be combined"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := cors.NewPolicy(row.origins); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got error %v, want one with %q", err, row.says)
			}
		})
	}
}

// A list of origins, or a part of one, is another origin.
func TestWrap_DoesNotAllowOtherOrigins(t *testing.T) {
	t.Parallel()
	for _, origin := range [][]string{
		{"https://other.example"},
		{"http://app.example.com"},
		{"https://app.example.com:8443"},
		{"https://app.example.com.evil.example"},
		{"https://evil.example/https://app.example.com"},
		{"https://app.example.com, https://evil.example"},
		{"https://app.example.com", "https://evil.example"},
		{"HTTPS://app.example.com"},
		{"null"},
		{""},
	} {
		t.Run(strings.Join(origin, " and "), func(t *testing.T) {
			t.Parallel()
			header := serve(t, []string{"https://app.example.com"}, ok, http.Header{"Origin": origin})
			if want := (http.Header{"Vary": {"Origin"}}); !maps.EqualFunc(header, want, equal) {
				t.Errorf("the header is %q, want %q", header, want)
			}
		})
	}
}

func TestWrap_SetsResponseHeaders(t *testing.T) {
	t.Parallel()
	someone := http.Header{"Origin": {"https://someone.example"}}
	mine := []string{"https://someone.example"}
	for _, row := range []struct {
		name    string
		origins []string
		request http.Header
		header  http.Header // set by the handler
		want    http.Header // in addition
	}{
		{"no origin, any allowed", []string{"*"}, nil, nil, nil},
		{"no origin, some allowed", mine, nil, nil, nil},
		{"none allowed", []string{"none"}, someone, nil, nil},
		{"any allowed", []string{"*"}, someone, nil, http.Header{"Access-Control-Allow-Origin": {"*"}}},
		{
			"any allowed, hidden origin",
			[]string{"*"},
			http.Header{"Origin": {"null"}},
			nil,
			http.Header{"Access-Control-Allow-Origin": {"*"}},
		},
		{
			"this origin allowed", mine, someone, nil,
			http.Header{"Access-Control-Allow-Origin": {"https://someone.example"}, "Vary": {"Origin"}},
		},
		{
			"another Vary", mine, someone,
			http.Header{"Vary": {"Accept"}},
			http.Header{
				"Access-Control-Allow-Origin": {"https://someone.example"}, "Vary": {"Accept", "Origin"},
				"Access-Control-Expose-Headers": {"Vary"},
			},
		},
		{
			"a Vary with Origin", mine, someone,
			http.Header{"Vary": {"Accept, origin"}},
			http.Header{"Access-Control-Allow-Origin": {"https://someone.example"}, "Access-Control-Expose-Headers": {"Vary"}},
		},
		{
			"headers that must be exposed",
			[]string{"*"},
			someone,
			http.Header{"X-Request-Id": {"1"}, "Retry-After": {"2"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"Retry-After, X-Request-Id"}},
		},
		{
			"safelisted and hidden headers",
			[]string{"*"},
			someone,
			http.Header{"Content-Type": {"a/b"}, "content-length": {"2"}, "Set-Cookie": {"a=b"}, "Date": nil, "Access-Control-Max-Age": {"1"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}},
		},
		{
			"headers exposed by the handler",
			[]string{"*"},
			someone,
			http.Header{"Access-Control-Expose-Headers": {"X-Later"}, "X-Now": {"1"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"X-Later", "X-Now"}},
		},
		{"a response that allows any", mine, someone, http.Header{"Access-Control-Allow-Origin": {"*"}, "X-Request-Id": {"1"}}, nil},
		{
			"a response that allows another origin",
			[]string{"*"},
			someone,
			http.Header{"Access-Control-Allow-Origin": {"https://other.example"}, "X-Request-Id": {"1"}},
			nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := serve(t, row.origins, func(w http.ResponseWriter, _ *http.Request) { maps.Copy(w.Header(), row.header) }, row.request)
			want := make(http.Header)
			maps.Copy(want, row.header)
			maps.Copy(want, row.want)
			if !maps.EqualFunc(got, want, equal) {
				t.Errorf("the header is %q, want %q", got, want)
			}
		})
	}
}

// The values of a header may be shared with the upstream's response, which may be logged
// or read again.
func TestWrap_DoesNotModifySharedValues(t *testing.T) {
	t.Parallel()
	values := append(make([]string, 0, 2), "Accept")
	serve(t, []string{"https://someone.example"}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Vary"] = values
	}, http.Header{"Origin": {"https://someone.example"}})
	if got := values[:2]; got[1] != "" {
		t.Errorf("the shared values are %q", got)
	}
}

func ok(http.ResponseWriter, *http.Request) {}

func equal(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }

// serve returns the response header of a handler under a policy.
func serve(t *testing.T, origins []string, handler http.HandlerFunc, header http.Header) http.Header {
	t.Helper()
	policy, err := cors.NewPolicy(origins)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	maps.Copy(request.Header, header)
	recorder := httptest.NewRecorder()
	policy.Wrap(handler).ServeHTTP(recorder, request)
	return recorder.Header()
}

func BenchmarkWrap(b *testing.B) {
	policy, err := cors.NewPolicy([]string{cors.Any})
	if err != nil {
		b.Fatal(err)
	}
	for name, header := range map[string]http.Header{
		"without an origin": {"Accept": {"*/*"}},
		"with an origin":    {"Accept": {"*/*"}, "Origin": {"https://app.example.com"}},
	} {
		b.Run(name, func(b *testing.B) {
			request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
			request.Header = header
			response := make(http.Header)
			value := []string{"1"}
			handler := policy.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
			b.ReportAllocs()
			for b.Loop() {
				clear(response)
				response["X-Request-Id"], response["Retry-After"] = value, value
				handler.ServeHTTP(blank{response}, request)
			}
		})
	}
}

type blank struct{ header http.Header }

func (b blank) Header() http.Header            { return b.header }
func (b blank) Write(body []byte) (int, error) { return len(body), nil }
func (b blank) WriteHeader(int)                {}
