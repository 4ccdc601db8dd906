package server

import (
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/server/playground"
	"github.com/openai-connect/openai-connect/server/transcode"
)

const (
	// maxOpenMessageBytes bounds a request message of a service that everyone may
	// ask: of a name.
	maxOpenMessageBytes = 4 << 10

	// compressMinBytes is the size from which messages are compressed: a chunk
	// of a stream costs more to compress than to send.
	compressMinBytes = 1024
)

// router tells RPCs and the playground from all else. It looks at the path as it
// was sent: an [http.ServeMux] would clean paths, and answer with redirects.
type router struct {
	rpcs     map[string]http.Handler // by path
	services map[string]bool         // their paths, with a slash at the end
	page     http.Handler            // the playground
	rest     http.Handler
	errors   *connecthttp.ErrorWriter
	bounds   transcode.Bounds
}

func newRouter(rest http.Handler, bounds transcode.Bounds) *router {
	return &router{
		rpcs:     make(map[string]http.Handler),
		services: make(map[string]bool),
		page:     playground.Handler(),
		rest:     rest,
		errors:   connecthttp.NewErrorWriter(connecthttp.WithRequireConnectProtocolHeader()),
		bounds:   bounds,
	}
}

// mount adds the RPCs of a server.
func (m *router) mount(rpc *connect.Server) {
	connecthttp.Mount(m, rpc,
		connecthttp.WithCodecs(transcode.Codecs()...),
		connecthttp.WithCompressors(transcode.Compressors()...),
		connecthttp.WithCompressMinBytes(compressMinBytes),
		connecthttp.WithReadMaxBytes(m.bounds.MaxMessageBytes),
		connecthttp.WithConditionalOptions(func(spec connect.Spec) []connecthttp.Option {
			if isOpen(serviceOf(spec.Procedure)) {
				return []connecthttp.Option{connecthttp.WithReadMaxBytes(maxOpenMessageBytes)}
			}
			return nil
		}),
	)
}

// Handle implements [connecthttp.ServeMux]. The pattern is an RPC's path, or a
// service's with a slash at its end. What comes for the latter is not served by
// its handler, which answers some requests with nothing but a status.
func (m *router) Handle(pattern string, handler http.Handler) {
	if strings.HasSuffix(pattern, "/") {
		m.services[pattern] = true
		return
	}
	bounds := m.bounds
	if isOpen(serviceOf(pattern)) {
		bounds.MaxMessageBytes = maxOpenMessageBytes
	}
	m.rpcs[pattern] = bounds.Wrap(handler)
}

func (m *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if rpc, ok := m.rpcs[path]; ok {
		rpc.ServeHTTP(w, r)
		return
	}
	switch {
	case isPlayground(path):
		m.page.ServeHTTP(w, r)
	case m.services[serviceOf(path)]:
		m.unimplemented(w, r, "this server has no RPC at "+path)
	case m.isRPC(r):
		// Nothing that speaks RPC lives behind a REST host.
		m.unimplemented(w, r, "this server has no service at "+path)
	default:
		m.rest.ServeHTTP(w, r)
	}
}

// isPlayground reports whether a path is the playground's, whatever the method.
func isPlayground(path string) bool {
	return strings.HasPrefix(path, playground.Path) || path == strings.TrimSuffix(playground.Path, "/")
}

// serviceOf is what a path would have for a service if it were an RPC's: all up
// to its last slash.
func serviceOf(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

// takes reports whether r isn't for the rest.
func (m *router) takes(r *http.Request) bool {
	path := r.URL.EscapedPath()
	return m.rpcs[path] != nil || m.services[serviceOf(path)] || m.isRPC(r)
}

// isOpen reports whether r is for the playground, whose calls bring the token, or
// for a service that everyone may ask: load balancers know no token, and what the
// server serves is no secret. None of them goes to the upstream.
func (m *router) isOpen(r *http.Request) bool {
	path := r.URL.EscapedPath()
	if isPlayground(path) {
		return true
	}
	service := serviceOf(path)
	return isOpen(service) && m.services[service]
}

// isOpen reports whether a service is one that everyone may ask.
func isOpen(service string) bool {
	switch service {
	case "/grpc.health.v1.Health/",
		"/grpc.reflection.v1.ServerReflection/",
		"/grpc.reflection.v1alpha.ServerReflection/":
		return true
	}
	return false
}

// isRPC reports whether a request says that it is an RPC, by gRPC's content
// types or Connect's version header. That it has JSON says nothing.
func (m *router) isRPC(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	if strings.HasPrefix(contentType, "application/grpc") {
		return true
	}
	// Connect makes an error for each no, so it is only asked where it may say yes.
	mayBe := len(r.Header["Connect-Protocol-Version"]) > 0 || strings.HasPrefix(contentType, "application/connect+") ||
		r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "connect")
	return mayBe && m.errors.IsSupported(r)
}

// unimplemented answers in the protocol of the request.
func (m *router) unimplemented(w http.ResponseWriter, r *http.Request, message string) {
	_ = m.errors.Write(statusOf{w, http.StatusNotImplemented, http.StatusNotFound}, r, connect.NewError(connect.CodeUnimplemented, message))
}
