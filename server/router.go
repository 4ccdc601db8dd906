package server

import (
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/playground"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/transcode"
)

const (
	// maxPublicMessageBytes limits request messages of the public services, which only
	// carry a service name.
	maxPublicMessageBytes = 4 << 10

	// compressMinBytes is the size from which messages are compressed: a chunk
	// of a stream costs more to compress than to send.
	compressMinBytes = 1024
)

// router serves each request by the kind in its record. An [http.ServeMux] would clean
// paths, and answer with redirects.
type router struct {
	rpcs       map[string]http.Handler // by procedure
	playground http.Handler
	fallback   http.Handler
	errors     *connecthttp.ErrorWriter
	bounds     transcode.Bounds
}

func newRouter(fallback http.Handler, bounds transcode.Bounds) *router {
	return &router{
		rpcs:       make(map[string]http.Handler),
		playground: playground.Handler(),
		fallback:   fallback,
		errors:     connecthttp.NewErrorWriter(connecthttp.WithRequireConnectProtocolHeader()),
		bounds:     bounds,
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
			if request.ProcedureKind(spec.Procedure).IsPublic() {
				return []connecthttp.Option{connecthttp.WithReadMaxBytes(maxPublicMessageBytes)}
			}
			return nil
		}),
	)
}

// Handle implements [connecthttp.ServeMux]. The pattern is a procedure or the path of a
// service. Handlers of services are ignored: they answer some requests without a body.
func (m *router) Handle(pattern string, handler http.Handler) {
	if strings.HasSuffix(pattern, "/") {
		return
	}
	bounds := m.bounds
	if request.ProcedureKind(pattern).IsPublic() {
		bounds.MaxMessageBytes = maxPublicMessageBytes
	}
	m.rpcs[pattern] = bounds.Wrap(handler)
}

func (m *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	record := request.FromContext(r.Context())
	switch rpc := m.rpcs[record.Procedure]; {
	case rpc != nil:
		rpc.ServeHTTP(w, r)
	case record.Kind == request.KindPlayground:
		m.playground.ServeHTTP(w, r)
	case record.Kind.IsRPC():
		// An upstream with a REST API has no RPCs.
		record.Code = connect.CodeUnimplemented.String() // a stream only has it at its end
		_ = m.errors.Write(errorWriter{w, &apierror.Error{Status: http.StatusNotFound}}, r,
			connect.NewError(connect.CodeUnimplemented, "this server has no RPC at "+r.URL.EscapedPath()))
	default:
		m.fallback.ServeHTTP(w, r)
	}
}
