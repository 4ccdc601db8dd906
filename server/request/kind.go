package request

import (
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
)

// Protocol is the protocol of a request.
type Protocol string

// The protocols. A request that isn't an RPC is raw.
const (
	Raw     Protocol = "raw"
	Connect Protocol = "connect"
	GRPC    Protocol = "grpc"
	GRPCWeb Protocol = "grpc-web"
)

// Kind is the kind of a request, which decides who answers it.
type Kind uint8

// The kinds. An RPC that this server doesn't have is an RPC too.
const (
	KindRaw        Kind = iota // forwarded to the upstream
	KindRPC                    // an RPC
	KindHealth                 // an RPC of the health service
	KindReflection             // an RPC of a reflection service
	KindPlayground             // a file of the playground
)

// IsRPC reports whether requests of the kind are answered in the protocol of an RPC.
func (k Kind) IsRPC() bool { return k == KindRPC || k == KindHealth || k == KindReflection }

// IsPublic reports whether requests of the kind need no credential. They are never sent to
// the upstream. Load balancers have no API key, the API is public, and requests made by
// the playground's page contain a credential.
func (k Kind) IsPublic() bool { return k >= KindHealth }

// ProcedureKind returns the kind of a registered RPC, or of a path of its service.
func ProcedureKind(path string) Kind {
	switch service(path) {
	case "/grpc.health.v1.Health/":
		return KindHealth
	case "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/":
		return KindReflection
	}
	return KindRPC
}

// service returns a path up to its last slash.
func service(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

// Classifier decides the kind of each request. It looks at the path as it was sent.
type Classifier struct {
	procedures map[string]bool
	services   map[string]bool // with a slash at both ends
	playground string
	rpc        *connecthttp.ErrorWriter
}

// NewClassifier returns a classifier for the RPCs that are registered with a server by
// then. The path of the playground ends in a slash. An empty one means none.
func NewClassifier(rpcs *connect.Server, playground string) *Classifier {
	c := &Classifier{
		procedures: make(map[string]bool), services: make(map[string]bool), playground: playground,
		rpc: connecthttp.NewErrorWriter(connecthttp.WithRequireConnectProtocolHeader()),
	}
	for spec := range rpcs.Specs() {
		c.procedures[spec.Procedure] = true
		c.services[service(spec.Procedure)] = true
	}
	return c
}

// Wrap returns a handler that creates a record for each request, and ends it.
func (c *Classifier) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record := &Record{Start: time.Now()}
		c.classify(record, r)
		if r.Body != nil && r.Body != http.NoBody && r.Trailer == nil {
			// net/http adds undeclared trailer fields to this map. Without one it
			// creates it in r alone, and not in copies of r.
			r.Trailer = make(http.Header)
		}
		defer record.End()
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), record)))
	})
}

func (c *Classifier) classify(record *Record, r *http.Request) {
	path := r.URL.EscapedPath()
	switch {
	case c.procedures[path]:
		record.Procedure, record.Kind = path, ProcedureKind(path)
	case c.isPlayground(path):
		record.Kind = KindPlayground
	case c.services[service(path)]:
		record.Kind = ProcedureKind(path)
	case c.isRPC(r):
		record.Kind = KindRPC
	}
	record.Protocol = Raw
	if record.Kind.IsRPC() {
		record.Protocol = protocolOf(r)
	}
}

// isPlayground reports whether a path is the playground's, with or without its slash.
func (c *Classifier) isPlayground(path string) bool {
	return c.playground != "" && (strings.HasPrefix(path, c.playground) || path+"/" == c.playground)
}

// isRPC reports whether a request declares itself an RPC, with a content type of gRPC or
// with Connect's version. JSON alone says nothing.
func (c *Classifier) isRPC(r *http.Request) bool {
	contentType := r.Header.Get("Content-Type")
	if strings.HasPrefix(contentType, "application/grpc") {
		return true
	}
	// IsSupported allocates an error for each request that isn't an RPC.
	candidate := len(r.Header["Connect-Protocol-Version"]) > 0 || strings.HasPrefix(contentType, "application/connect+") ||
		r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, "connect")
	return candidate && c.rpc.IsSupported(r)
}

// protocolOf returns the protocol of an RPC.
func protocolOf(r *http.Request) Protocol {
	contentType := r.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(contentType, "application/grpc-web"):
		return GRPCWeb
	case strings.HasPrefix(contentType, "application/grpc"):
		return GRPC
	default:
		return Connect
	}
}
