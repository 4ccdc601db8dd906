package transcode

import (
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/upstream"
)

// Headers of typed calls that are not forwarded. A pattern that ends in `*` is a
// prefix. Hop-by-hop fields are never forwarded: see [upstream.IsHopByHop].
var (
	// blockedRequestHeaders are not sent to the upstream. They describe the RPC rather
	// than the REST request, concern the browser's origin, or identify the client to
	// this server.
	blockedRequestHeaders = headerSet(
		"host",
		"content-*", "accept*", "te",
		"expect", "connect-*", "grpc-*", "x-grpc-web", "x-user-agent",
		"cookie", "origin", "referer", "sec-*",
		"forwarded", "via", "x-forwarded-*", "x-real-ip",
	)

	// blockedResponseHeaders are not returned to the client. They describe the REST
	// response, configure the browser for the upstream's host, or are set by the RPC
	// protocols.
	blockedResponseHeaders = headerSet(
		"content-*", "access-control-*", "set-cookie", "alt-svc",
		"server", "date", "strict-transport-security",
		"accept-encoding", "connect-*", "grpc-*",
	)

	// blockedTrailers are not repeated in trailers: caching and authentication fields
	// are not allowed there (RFC 9110, section 6.5.1).
	blockedTrailers = headerSet(
		"age", "cache-control", "expires", "pragma", "vary", "warning", "etag", "last-modified",
		"www-authenticate", "proxy-authenticate", "authentication-info", "if-*",
	)

	// trailerPriority are repeated in trailers first, since trailers are limited.
	trailerPriority = headerSet("retry-after*", "x-should-retry", "x-request-id", "x-ratelimit-*", "openai-*")
)

// maxTrailers is the maximum size of the response headers repeated in the trailers of
// an error, in bytes. Together with the error they must be smaller than 8 KiB, the
// default limit of gRPC peers.
const maxTrailers = 2 << 10

// headers is a set of header names and name prefixes.
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

// has reports whether the set contains a canonical name.
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

// requestHeader returns the headers of the REST request.
func requestHeader(metadata *connect.Header, op *operation) http.Header {
	header := make(http.Header, metadata.Len()+2)
	connection := metadata.Values("Connection")
	for name, values := range metadata.All() {
		if !blockedRequestHeaders.has(name) && !upstream.IsHopByHop(name, connection) {
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

// responseMetadata copies the headers of a REST response to the metadata of a call.
func responseMetadata(metadata *connect.Header, header http.Header) {
	connection := header["Connection"]
	for name, values := range header {
		if blockedResponseHeaders.has(name) || upstream.IsHopByHop(name, connection) {
			continue
		}
		if strings.HasSuffix(name, "-Bin") {
			values = encodeBinary(values)
		}
		metadata.SetValues(name, values)
	}
}

// repeatInTrailers copies the metadata of responseMetadata to the trailers of an
// error, since many gRPC clients only show trailers.
func repeatInTrailers(trailer *connect.Header, header http.Header) {
	metadata := new(connect.Header)
	responseMetadata(metadata, header)
	var names []string
	for name := range metadata.All() {
		if !blockedTrailers.has(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if first := trailerPriority.has(a); first != trailerPriority.has(b) {
			if first {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	remaining := maxTrailers
	for _, name := range names {
		size := 0
		for _, value := range metadata.Values(name) {
			size += len(name) + len(value)
		}
		if size <= remaining {
			remaining -= size
			trailer.SetValues(name, metadata.Values(name))
		}
	}
}

// encodeBinary returns the values of a -Bin header encoded as base64, unless they are
// already. gRPC clients fail a call with another value.
func encodeBinary(values []string) []string {
	encoded := slices.Clone(values)
	for i, value := range values {
		if _, err := connect.DecodeBinaryHeader(value); err != nil {
			encoded[i] = connect.EncodeBinaryHeader([]byte(value))
		}
	}
	return encoded
}
