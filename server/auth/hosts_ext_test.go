package auth_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/auth"
)

func TestHosts_ServesItsNamesAndAddresses(t *testing.T) {
	t.Parallel()
	hosts, err := auth.NewHosts([]string{"api.example.com", "OpenAI-Connect", "my_service", "bücher.example", "dot.example.", "192.0.2.1", "[::1]"})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{
		"", "localhost", "localhost:8080", "LOCALHOST", "localhost.", "localhost.:8080", "app.localhost", "LocalHost:1",
		"127.0.0.1", "127.0.0.1:8080", "127.0.0.1.:80", "127.8.8.8", "10.0.0.7:9464", "203.0.113.9", "0.0.0.0:1", "127.0.0.1:",
		"[::1]", "[::1]:8080", "[::1]:", "[::]:80", "[2001:DB8::1]:443", "[::ffff:127.0.0.1]", "[fe80::1%25eth0]:80", "[fe80::1%eth0]", "::1",
		"api.example.com", "API.Example.COM:443", "api.example.com.", "api.example.com.:8443",
		"openai-connect:9464", "my_service:8080", "xn--bcher-kva.example", "dot.example", "dot.example.",
	} {
		if !hosts.Serves(requestFor(host)) {
			t.Errorf("%q is refused", host)
		}
	}
	for _, host := range []string{
		"evil.example", "evil.example:8080", "example.com", "x.api.example.com", "api.example.com.evil.example", "xapi.example.com",
		"127.0.0.1.evil.example", "127.0.0.1.nip.io", "localhost.evil.example", "localhosts", "notlocalhost", "localhost..", ".",
		"evil.example@localhost", "localhost@evil.example", "localhost:80@evil.example", "localhost, evil.example", "localhost evil.example",
		"localhost#evil.example", "localhost/evil.example", "[localhost]", "[evil.example]", "[::1].evil.example", "[::1]evil", "[::1", "[]", "[127.0.0.1]",
		"localhost:80:evil", "evil.example@a.localhost", "evil.example,a.localhost", "localhost:evil", "127.1", "0", "0x7f.1", "2130706433", "127.0.0.1:8080x", ":evil", "\u212aocalhost", "localho\u017ft",
	} {
		if hosts.Serves(requestFor(host)) {
			t.Errorf("%q is served", host)
		}
	}
	if none := new(auth.Hosts); !none.Serves(requestFor("localhost")) || none.Serves(requestFor("api.example.com")) {
		t.Error("the zero value has not the names of the machine alone")
	}
}

// requestFor is a request for a host.
func requestFor(host string) *http.Request {
	return &http.Request{Host: host, URL: new(url.URL), Header: make(http.Header)}
}

func TestHosts_LooksAtEachPlaceOfARequest(t *testing.T) {
	t.Parallel()
	hosts := new(auth.Hosts)
	for name, change := range map[string]func(r *http.Request){
		"the authority":              func(r *http.Request) { r.Host = "evil.example" },
		"the target":                 func(r *http.Request) { r.URL.Host = "evil.example" },
		"the field":                  func(r *http.Request) { r.Header["Host"] = []string{"evil.example"} },
		"the second of two fields":   func(r *http.Request) { r.Header["Host"] = []string{"localhost", "evil.example"} },
		"the authority, not a field": func(r *http.Request) { r.Host, r.Header["Host"] = "evil.example", []string{"localhost"} },
	} {
		r := requestFor("localhost")
		if !hosts.Serves(r) {
			t.Errorf("%s: refused before", name)
		}
		if change(r); hosts.Serves(r) {
			t.Errorf("%s: served", name)
		}
	}
}

func TestNewHosts_RefusesWhatIsNoName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", ".", "*", "*.example.com", "https://api.example.com", "api.example.com:8080", "a/b", "a b", "a..b", "user@host", strings.Repeat("a", 64) + ".example"} {
		if _, err := auth.NewHosts([]string{"good.example", name}); err == nil || !strings.Contains(err.Error(), "invalid host name") {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

// A host that is served is an address, a name of the machine, or a name that was
// given, whatever stands around it.
func FuzzHosts_ServesNothingElse(f *testing.F) {
	for _, seed := range []string{"localhost", "localhost:8080", "[::1]:80", "127.0.0.1.", "a.localhost", "api.example.com", "evil.example", "[fe80::1%25a]:1", "a:b:c", "::1"} {
		f.Add(seed)
	}
	hosts, err := auth.NewHosts([]string{"api.example.com"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !hosts.Serves(requestFor(host)) || host == "" {
			return
		}
		name := strings.ToLower(host)
		if _, err := netip.ParseAddr(name); err == nil {
			return
		}
		if i := strings.LastIndexByte(name, ':'); i >= 0 && strings.Trim(name[i+1:], "0123456789") == "" {
			name = name[:i]
		}
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), ".")
		if _, err := netip.ParseAddr(name); err != nil && name != "localhost" && !strings.HasSuffix(name, ".localhost") && name != "api.example.com" {
			t.Errorf("%q is served", host)
		}
	})
}
