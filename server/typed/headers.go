package typed

import (
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// Which headers pass a typed call. A name that ends in `*` stands for all that
// begin so. Hop-by-hop fields never pass; see [upstream.IsHopByHop].
var (
	// The request metadata that doesn't go up: what describes the RPC and not
	// the REST request, what a browser adds for the sake of its own origin, and
	// who the caller is to this server.
	requestStops = headerSet(
		"host",
		"content-*", "accept*", "te",
		"expect", "connect-*", "grpc-*", "x-grpc-web", "x-user-agent",
		"cookie", "origin", "referer", "sec-*",
		"forwarded", "via", "x-forwarded-*", "x-real-ip",
	)

	// The response headers that don't come down: what describes the REST
	// response, what a host says of itself to a browser, and what the protocols
	// say here themselves.
	responseStops = headerSet(
		"content-*", "access-control-*", "set-cookie", "alt-svc",
		"server", "date", "strict-transport-security",
		"accept-encoding", "connect-*", "grpc-*",
	)
)

// headers is a set of header names and of beginnings of names.
type headers struct {
	names    map[string]bool
	prefixes []string
}

func headerSet(patterns ...string) headers {
	set := headers{names: make(map[string]bool)}
	for _, pattern := range patterns {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			set.prefixes = append(set.prefixes, http.CanonicalHeaderKey(prefix))
		} else {
			set.names[http.CanonicalHeaderKey(pattern)] = true
		}
	}
	return set
}

// has reports whether the set has a name, which must be canonical.
func (s headers) has(name string) bool {
	if s.names[name] {
		return true
	}
	for _, prefix := range s.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// requestHeader is the header of the REST request.
func requestHeader(metadata *connect.Header, op *restjson.Operation) http.Header {
	header := make(http.Header, metadata.Len()+2)
	connection := metadata.Values("Connection")
	for name, values := range metadata.All() {
		if !requestStops.has(name) && !upstream.IsHopByHop(name, connection) {
			header[name] = values
		}
	}
	header["Accept"] = []string{mediaJSON}
	if op.Stream != nil {
		header["Accept"] = []string{mediaEventStream}
	}
	if op.HasBody {
		header["Content-Type"] = []string{mediaJSON}
	}
	return header
}

// responseMetadata passes the header of a REST response on.
func responseMetadata(metadata *connect.Header, header http.Header) {
	connection := header["Connection"]
	for name, values := range header {
		if responseStops.has(name) || upstream.IsHopByHop(name, connection) {
			continue
		}
		if strings.HasSuffix(name, "-Bin") {
			values = binary(values)
		}
		metadata.SetValues(name, values)
	}
}

// binary encodes the values of a header whose name gRPC takes as a promise of
// base64, unless they are: its clients fail a call where the promise is broken.
func binary(values []string) []string {
	encoded := slices.Clone(values)
	for i, value := range values {
		if _, err := connect.DecodeBinaryHeader(value); err != nil {
			encoded[i] = connect.EncodeBinaryHeader([]byte(value))
		}
	}
	return encoded
}
