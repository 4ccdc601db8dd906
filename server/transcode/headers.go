package transcode

import (
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"

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

	// The response headers that aren't repeated in trailers: what is about
	// caching and authentication can't stand there (RFC 9110, section 6.5.1).
	trailerStops = headerSet(
		"age", "cache-control", "expires", "pragma", "vary", "warning", "etag", "last-modified",
		"www-authenticate", "proxy-authenticate", "authentication-info", "if-*",
	)

	// The response headers that are repeated first, as trailers are bounded.
	trailerFirst = headerSet("retry-after*", "x-should-retry", "x-request-id", "x-ratelimit-*", "openai-*")
)

// maxTrailers bounds, in bytes, the response headers that are repeated in the
// trailers of an error. With the error itself they must stay below the 8 KiB
// that gRPC peers accept by default.
const maxTrailers = 2 << 10

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
func requestHeader(metadata *connect.Header, op *operation) http.Header {
	header := make(http.Header, metadata.Len()+2)
	connection := metadata.Values("Connection")
	for name, values := range metadata.All() {
		if !requestStops.has(name) && !upstream.IsHopByHop(name, connection) {
			header[name] = values
		}
	}
	header["Accept-Encoding"] = []string{"identity"}
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

// repeatInTrailers repeats the metadata that responseMetadata passes on in the
// trailers of an error: many gRPC clients show only those.
func repeatInTrailers(trailer *connect.Header, header http.Header) {
	passed := new(connect.Header)
	responseMetadata(passed, header)
	var names []string
	for name := range passed.All() {
		if !trailerStops.has(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if first := trailerFirst.has(a); first != trailerFirst.has(b) {
			if first {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	left := maxTrailers
	for _, name := range names {
		size := 0
		for _, value := range passed.Values(name) {
			size += len(name) + len(value)
		}
		if size <= left {
			left -= size
			trailer.SetValues(name, passed.Values(name))
		}
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
