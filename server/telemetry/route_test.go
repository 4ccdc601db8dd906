package telemetry

import (
	"strings"
	"testing"
)

func TestTelemetry_Routes(t *testing.T) {
	for _, test := range []struct{ name, path, want string }{
		{"a path of the API", "/v1/chat/completions", "/v1/chat/completions"},
		{"an id", "/v1/chat/completions/chatcmpl-1", "/v1/chat/completions/{id}"},
		{"what follows an id", "/v1/files/file-1/content", "/v1/files/{id}/content"},
		{"two ids", "/v1/threads/a/runs/b/steps/c", "/v1/threads/{id}/runs/{id}/steps/{id}"},
		{"a word where an id could be", "/v1/threads/runs", "/v1/threads/runs"},
		{"an id that is spelt as a word elsewhere", "/v1/responses/compact/input_items", "/v1/responses/{id}/input_items"},
		{"an escaped slash is a part of an id", "/v1/models/a%2Fb", "/v1/models/{id}"},
		{"an unknown RPC", "/a.v1.Service/Undo", otherRoute},
		{"an empty id", "/v1/models/", otherRoute},
		{"a path with too much", "/v1/models/a/b", otherRoute},
		{"a path with too little", "/v1/chat", otherRoute},
		{"another spelling", "/V1/models", otherRoute},
		{"a doubled slash", "//v1/models", otherRoute},
		{"an id that is called like a template", "/v1/models/{id}", "/v1/models/{id}"},
		{"the root", "/", otherRoute},
		{"no path", "*", otherRoute},
		{"nothing", "", otherRoute},
		{"the playground", "/playground/", "/playground/"},
		{"a file of the playground", "/playground/main.js", "/playground/{id}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := routeOf(test.path, ""); got != test.want {
				t.Errorf("%q is %q, not %q", test.path, got, test.want)
			}
		})
	}
}

func TestTelemetry_RouteOfAnRPCIsItsProcedure(t *testing.T) {
	if got := routeOf("/a.v1.Service/Do", "/a.v1.Service/Do"); got != "/a.v1.Service/Do" {
		t.Errorf("got %q", got)
	}
}

// FuzzRoutes: a route is one of the table's, of as many parts as the path.
func FuzzRoutes(f *testing.F) {
	for _, path := range []string{"/v1/models/a", "/v1/threads/a/runs/b/steps/c", "//", "", "/v1/{id}", "/v1/organization/a/b/c/d", "*"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		route := routeOf(path, "")
		if route == otherRoute {
			return
		}
		parts, templates := strings.Split(path, "/"), strings.Split(route, "/")
		if len(parts) != len(templates) {
			t.Fatalf("%q is %q", path, route)
		}
		for i, part := range parts {
			if templates[i] != part && (templates[i] != parameter || part == "") {
				t.Fatalf("%q is %q", path, route)
			}
		}
	})
}
