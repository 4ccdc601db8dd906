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
			if !refuse(w, r, "RPC", connecthttp.NewErrorWriter()) {
				handler.ServeHTTP(w, r)
			}
			return
		}
	}
	// An RPC to another service has no place behind a REST host. Connect's can
	// be told from REST by a header alone.
	if !refuse(w, r, "service", connecthttp.NewErrorWriter(connecthttp.WithRequireConnectProtocolHeader())) {
		m.rest.ServeHTTP(w, r)
	}
}

// refuse answers a call of an RPC or a service that isn't there, and reports
// whether the request is a call.
func refuse(w http.ResponseWriter, r *http.Request, what string, writer *connecthttp.ErrorWriter) bool {
	isGRPC := strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
	if !isGRPC && (r.Method != http.MethodPost || !writer.IsSupported(r)) {
		return false
	}
	_ = writer.Write(notFound{w}, r, connect.Errorf(connect.CodeUnimplemented, "this server has no %s at %s", what, r.URL.EscapedPath()))
	return true
}

// notFound answers a Connect call of an RPC that isn't there with 404, not with
// 501 as a Connect error of this code has it otherwise.
type notFound struct{ http.ResponseWriter }

func (n notFound) WriteHeader(status int) {
	if status == http.StatusNotImplemented {
		status = http.StatusNotFound
	}
	n.ResponseWriter.WriteHeader(status)
}
