package server

import (
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/server/typed"
)

// router tells RPCs from all else. It looks at the path as it was sent: an
// [http.ServeMux] would clean paths, and answer with redirects.
type router struct {
	rpc  map[string]http.Handler
	rest http.Handler
}

// Handle implements [connecthttp.ServeMux]. The pattern is an RPC's path, or a
// service's with a slash at its end.
func (m *router) Handle(pattern string, handler http.Handler) {
	m.rpc[pattern] = typed.Wrap(handler)
}

func (m *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if handler, ok := m.rpc[path]; ok {
		handler.ServeHTTP(w, r)
		return
	}
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		if handler, ok := m.rpc[path[:i+1]]; ok {
			handler.ServeHTTP(w, r)
			return
		}
	}
	// Nothing that speaks gRPC lives behind a REST host.
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		_ = connecthttp.NewErrorWriter().Write(w, r, connect.Errorf(connect.CodeUnimplemented, "this server has no service at %s", path))
		return
	}
	m.rest.ServeHTTP(w, r)
}
