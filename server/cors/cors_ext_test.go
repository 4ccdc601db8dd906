package cors_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/cors"
)

func TestOriginsAreComparedAsBrowsersWriteThem(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, origin, sent string }{
		{"as it is", "https://app.example.com", "https://app.example.com"},
		{"in lower case", "HTTPS://App.Example.COM", "https://app.example.com"},
		{"with its port", "http://localhost:3000", "http://localhost:3000"},
		{"without the port that https has anyway", "https://app.example.com:443", "https://app.example.com"},
		{"without the port that http has anyway", "http://app.example.com:80", "http://app.example.com"},
		{"with a port that another scheme has anyway", "http://app.example.com:443", "http://app.example.com:443"},
		{"by an IPv6 address", "http://[::1]:8080", "http://[::1]:8080"},
		{"by an IPv6 address alone", "http://[::1]", "http://[::1]"},
		{"of an extension", "chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"},
		{"of an application", "tauri://localhost", "tauri://localhost"},
		{"with a space after a comma", " https://app.example.com", "https://app.example.com"},
		{"in punycode", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			header := answer(t, []string{"https://first.example", row.origin}, ok, http.Header{"Origin": {row.sent}})
			if got := header.Get("Access-Control-Allow-Origin"); got != row.sent {
				t.Errorf("%q allows %q, not %q", row.origin, got, row.sent)
			}
		})
	}
}

func TestWhatIsNoOriginIsRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		origins []string
		says    string
	}{
		{"nothing at all", nil, "write none"},
		{"an empty text", []string{""}, `""`},
		{"a host alone", []string{"app.example.com"}, `"app.example.com" is no origin`},
		{"a host with a port", []string{"localhost:3000"}, `"localhost:3000" is no origin`},
		{"a scheme alone", []string{"https://"}, "is no origin"},
		{"a port alone", []string{"https://:443"}, "is no origin"},
		{"an opaque origin", []string{"null"}, "hidden"},
		{"a slash at the end", []string{"https://app.example.com/"}, "more than a scheme"},
		{"a query", []string{"https://app.example.com?a"}, "more than a scheme"},
		{"an empty query", []string{"https://app.example.com?"}, "more than a scheme"},
		{"a fragment", []string{"https://app.example.com#"}, "more than a scheme"},
		{"a pattern", []string{"https://*.example.com"}, "is a pattern"},
		{"a name that is not ASCII", []string{"https://bücher.example"}, "xn--"},
		{"a name that is escaped", []string{"https://b%C3%BCcher.example"}, "xn--"},
		{"an empty port", []string{"https://app.example.com:"}, "port"},
		{"a port that is too large", []string{"https://app.example.com:65536"}, "port"},
		{"a port with a zero before it", []string{"https://app.example.com:0443"}, "port"},
		{"any beside another", []string{"*", "https://app.example.com"}, `"*" stands alone`},
		{"none beside another", []string{"https://app.example.com", "none"}, `"none" stands alone`},
		{"any beside none", []string{"*", "none"}, "stands alone"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := cors.NewPolicy(row.origins); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got the error %v, which doesn't say %q", err, row.says)
			}
		})
	}
}

// An origin in a list of values, or a part of one, is another origin.
func TestOtherOriginsAreNotAllowed(t *testing.T) {
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
			header := answer(t, []string{"https://app.example.com"}, ok, http.Header{"Origin": origin})
			if want := (http.Header{"Vary": {"Origin"}}); !maps.EqualFunc(header, want, equal) {
				t.Errorf("the header is %q, not %q", header, want)
			}
		})
	}
}

func TestTheHeaderOfAnAnswer(t *testing.T) {
	t.Parallel()
	someone := http.Header{"Origin": {"https://someone.example"}}
	mine := []string{"https://someone.example"}
	for _, row := range []struct {
		name    string
		origins []string
		request http.Header
		header  http.Header // of the handler's answer
		want    http.Header // beside it
	}{
		{"no origin, any allowed", []string{"*"}, nil, nil, nil},
		{"no origin, some allowed", mine, nil, nil, nil},
		{"none allowed", []string{"none"}, someone, nil, nil},
		{"any allowed", []string{"*"}, someone, nil, http.Header{"Access-Control-Allow-Origin": {"*"}}},
		{
			"any allowed, and the origin hidden",
			[]string{"*"},
			http.Header{"Origin": {"null"}},
			nil,
			http.Header{"Access-Control-Allow-Origin": {"*"}},
		},
		{
			"this one allowed", mine, someone, nil,
			http.Header{"Access-Control-Allow-Origin": {"https://someone.example"}, "Vary": {"Origin"}},
		},
		{
			"a Vary of its own", mine, someone,
			http.Header{"Vary": {"Accept"}},
			http.Header{
				"Access-Control-Allow-Origin": {"https://someone.example"}, "Vary": {"Accept", "Origin"},
				"Access-Control-Expose-Headers": {"Vary"},
			},
		},
		{
			"a Vary that says so already", mine, someone,
			http.Header{"Vary": {"Accept, origin"}},
			http.Header{"Access-Control-Allow-Origin": {"https://someone.example"}, "Access-Control-Expose-Headers": {"Vary"}},
		},
		{
			"headers that need leave to be read",
			[]string{"*"},
			someone,
			http.Header{"X-Request-Id": {"1"}, "Retry-After": {"2"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"Retry-After, X-Request-Id"}},
		},
		{
			"headers that need none, and that no leave helps to read",
			[]string{"*"},
			someone,
			http.Header{"Content-Type": {"a/b"}, "content-length": {"2"}, "Set-Cookie": {"a=b"}, "Date": nil, "Access-Control-Max-Age": {"1"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}},
		},
		{
			"what the handler exposes",
			[]string{"*"},
			someone,
			http.Header{"Access-Control-Expose-Headers": {"X-Later"}, "X-Now": {"1"}},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"X-Later", "X-Now"}},
		},
		{"an answer that allows any", mine, someone, http.Header{"Access-Control-Allow-Origin": {"*"}, "X-Request-Id": {"1"}}, nil},
		{
			"an answer that allows another",
			[]string{"*"},
			someone,
			http.Header{"Access-Control-Allow-Origin": {"https://other.example"}, "X-Request-Id": {"1"}},
			nil,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := answer(t, row.origins, func(w http.ResponseWriter, _ *http.Request) { maps.Copy(w.Header(), row.header) }, row.request)
			want := make(http.Header)
			maps.Copy(want, row.header)
			maps.Copy(want, row.want)
			if !maps.EqualFunc(got, want, equal) {
				t.Errorf("the header is %q, not %q", got, want)
			}
		})
	}
}

// The values of an answer may be another message's too: of the upstream, which
// may be logged, or read again.
func TestValuesThatAreSharedAreNotWrittenTo(t *testing.T) {
	t.Parallel()
	values := append(make([]string, 0, 2), "Accept")
	answer(t, []string{"https://someone.example"}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Vary"] = values
	}, http.Header{"Origin": {"https://someone.example"}})
	if got := values[:2]; got[1] != "" {
		t.Errorf("the values are %q", got)
	}
}

func ok(http.ResponseWriter, *http.Request) {}

func equal(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }

// answer returns the header that a handler's answer has under a policy.
func answer(t *testing.T, origins []string, handler http.HandlerFunc, header http.Header) http.Header {
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
