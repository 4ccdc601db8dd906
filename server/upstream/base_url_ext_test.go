package upstream_test

import (
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
)

func TestParseBaseURL_NormalizesValidURLs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, raw, want string
	}{
		{"the OpenAI API as the SDKs write it", "https://api.openai.com/v1", "https://api.openai.com/v1"},
		{"a path of one's own", "https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1"},
		{"no path means /v1", "http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"},
		{"a single slash is not a path", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"},
		{"many slashes are no path", "http://127.0.0.1:8080///", "http://127.0.0.1:8080/v1"},
		{"trailing slashes do not count", "https://host.example/api/v3//", "https://host.example/api/v3"},
		{"escapes of the path are kept", "https://host.example/a%2Fb/v1", "https://host.example/a%2Fb/v1"},
		{"scheme and host have no case", "HTTPS://API.OpenAI.com/v1", "https://api.openai.com/v1"},
		{"an IPv6 address", "http://[::1]:8080/v1", "http://[::1]:8080/v1"},
		{"a port that is not written", "http://host.example:/v1", "http://host.example/v1"},
		{"space around it", " https://host.example/v1\n", "https://host.example/v1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := upstream.ParseBaseURL(test.raw)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestParseBaseURL_RejectsInvalidURLsWithoutRepeatingThem(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	for _, test := range []struct {
		name, raw string
		says      string
	}{
		{"nothing", "", "empty"},
		{"a bare host", "api.openai.com", "https:// or http://"},
		{"a bare host and port", "localhost:8080", "https:// or http://"},
		{"another scheme", "ftp://host.example/v1", `unsupported scheme "ftp"`},
		{"a WebSocket scheme", "wss://host.example/v1", `unsupported scheme "wss"`},
		{"no host", "https:///v1", "no host"},
		{"a port without a host", "http://:8080/v1", "no host"},
		{"a port of zero", "http://host.example:0/v1", "port is out of range"},
		{"a port beyond 65535", "http://host.example:65536/v1", "port is out of range"},
		{"a port that is not a number", "http://host.example:http/v1", "invalid URL: want"},
		{"a user", "https://user@host.example/v1", "remove everything up to the @"},
		{"a password", "https://user:" + secret + "@host.example/v1", "remove everything up to the @"},
		{"a password that breaks the URL", "https://user:" + secret + "/x@host.example/v1", "invalid URL: want"},
		{"a password of digits that breaks the URL", "https://user:99999/x@host.example/v1", "port is out of range"},
		{"a query", "https://host.example/v1?key=" + secret, "query"},
		{"an empty query", "https://host.example/v1?", "query"},
		{"a fragment", "https://host.example/v1#" + secret, "fragment"},
		{"an empty fragment", "https://host.example/v1#", "fragment"},
		{"a malformed escape", "https://host.example/%zz", "invalid URL: want"},
		{"a host that is not ASCII", "https://höst.example/v1", "xn--"},
		{"a space in the host", "https://ho st.example/v1", "invalid URL: want"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := upstream.ParseBaseURL(test.raw)
			if err == nil {
				t.Fatalf("got %s, want an error", got)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not contain %q", err, test.says)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "99999") {
				t.Errorf("error %q contains a secret", err)
			}
		})
	}
}

// An accepted URL is a fixed point and contains nothing that must be rejected.
func FuzzParseBaseURL(f *testing.F) {
	for _, seed := range []string{
		"https://api.openai.com/v1", "http://127.0.0.1:8080", "http://[::1]:80//", "https://user:pw@host/v1",
		"https://host/%2f?x#y", "https://host:1/a;b/c//", "HTTP://H/", "localhost:80", "://", "https://h/%",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		base, err := upstream.ParseBaseURL(raw)
		if err != nil {
			return
		}
		if base.User != nil || base.RawQuery != "" || base.Fragment != "" || base.Host == "" || base.Path == "" {
			t.Fatalf("%q: got %#v, want a URL without userinfo, query and fragment", raw, base)
		}
		again, err := upstream.ParseBaseURL(base.String())
		if err != nil {
			t.Fatalf("%q: got %s, which is rejected: %v", raw, base, err)
		}
		if again.String() != base.String() {
			t.Fatalf("%q: got %s, which becomes %s", raw, base, again)
		}
	})
}
