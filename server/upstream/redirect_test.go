package upstream

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Any Location either has a host and target that are valid in a request, or is rejected.
func FuzzLocation(f *testing.F) {
	for _, location := range []string{
		"/v1/files", "../a/./b?c#d", "//evil.example/b", `\\evil.example`, "https://me:pw@evil.example", "http://h:0/", "http:b",
		"https://[::1]:443/", "https://[fe80::1%25%0d%0aA:b]/", "/a b/%2F/é{}?d e", "?", "#", "/%zz", "//::#", "//a:b:1/", "//h:/", "https://h\r\nA: b/", "http://h/?\x00",
	} {
		f.Add("/v1/a/b?q=1", location)
		f.Add("*", location)
	}
	f.Fuzz(func(t *testing.T, target, location string) {
		at, err := originForm(target)
		if err != nil {
			return
		}
		from := redirectTarget{&url.URL{Scheme: "https", Host: "up.example"}, at}
		to, ok := from.next(&http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {location}}})
		if !ok {
			return
		}
		if to.origin.Scheme != "https" && to.origin.Scheme != "http" || to.origin.User != nil || to.origin.Hostname() == "" ||
			strings.ContainsFunc(to.origin.Host, isInvalidHostRune) || strings.ContainsAny(to.origin.Host, "/?#@\\") {
			t.Errorf("%q: got invalid host %q", location, to.origin.Host)
		}
		if again, err := originForm(to.target); err != nil || again != to.target || !strings.HasPrefix(to.target, "/") {
			t.Errorf("%q: got invalid target %q", location, to.target)
		}
		if strings.Contains(to.target, "#") {
			t.Errorf("%q: got target %q with a fragment", location, to.target)
		}
	})
}
