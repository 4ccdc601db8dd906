package upstream_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/openai-connect/openai-connect/server/upstream"
)

func TestIsHopByHop_RecognizesHeaders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, field string
		connection  []string
		want        bool
	}{
		{"Connection itself", "Connection", nil, true},
		{"a known one in any case", "tRaNsFeR-eNcOdInG", nil, true},
		{"the framing of a trailer", "trailer", nil, true},
		{"credentials for a proxy", "Proxy-Authorization", nil, true},
		{"credentials for the upstream", "Authorization", nil, false},
		{"a length", "Content-Length", nil, false},
		{"an expectation", "Expect", nil, false},
		{"a header that Connection names", "X-Hop", []string{"close, x-hop"}, true},
		{"a header that a second Connection names", "X-Hop", []string{"close", "x-HOP"}, true},
		{"a header whose name is a prefix of one that Connection names", "X-Hop", []string{"x-hops"}, false},
		{"a header that Connection does not name", "X-End", []string{"x-hop"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := upstream.IsHopByHop(test.field, test.connection); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestCopyEndToEnd_LeavesOutHopByHopHeaders(t *testing.T) {
	t.Parallel()
	src := http.Header{
		"Connection":          {"keep-alive, x-hop", "X-Other"},
		"Keep-Alive":          {"timeout=5"},
		"Proxy-Authenticate":  {"Basic"},
		"Proxy-Authorization": {"Basic eDp5"},
		"Proxy-Connection":    {"keep-alive"},
		"Te":                  {"trailers"},
		"Trailer":             {"X-Sum"},
		"Transfer-Encoding":   {"chunked"},
		"Upgrade":             {"h2c"},
		"X-Hop":               {"1"},
		"X-Other":             {"2"},
		"Authorization":       {"Bearer k"},
		"X-Twice":             {"a", "b"},
		"X-Empty":             {""},
	}
	dst := http.Header{"X-Before": {"stays"}}
	upstream.CopyEndToEnd(dst, src)
	got := slices.Sorted(maps.Keys(dst))
	want := []string{"Authorization", "X-Before", "X-Empty", "X-Twice"}
	if !slices.Equal(got, want) {
		t.Errorf("got fields %q, want %q", got, want)
	}
	if values := dst["X-Twice"]; !slices.Equal(values, []string{"a", "b"}) {
		t.Errorf("got repeated values %q, want [a b]", values)
	}
}
