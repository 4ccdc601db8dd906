package upstream

import (
	"net/http"
	"net/textproto"

	"golang.org/x/net/http/httpguts"
)

// IsHopByHop reports whether a header is only meant for the next peer and must not be
// forwarded. connection holds the values of the message's Connection header.
//
// Hop-by-hop headers are Connection, the headers that it names, the headers that are known
// to be hop-by-hop (RFC 9110 §7.6.1), those of proxy authentication (§11.7), and
// Transfer-Encoding and Trailer, which belong to the framing of each hop. Content-Length is
// end-to-end.
func IsHopByHop(name string, connection []string) bool {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Connection",
		"Keep-Alive",
		"Proxy-Authenticate",
		"Proxy-Authorization",
		"Proxy-Connection",
		"Te",
		"Trailer",
		"Transfer-Encoding",
		"Upgrade":
		return true
	}
	return len(connection) > 0 && httpguts.HeaderValuesContainsToken(connection, name)
}

// CopyEndToEnd sets the headers of src in dst, except hop-by-hop headers. The values are
// shared, not copied.
func CopyEndToEnd(dst, src http.Header) {
	connection := src["Connection"]
	for name, values := range src {
		if !IsHopByHop(name, connection) {
			dst[name] = values
		}
	}
}
