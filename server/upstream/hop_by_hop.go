package upstream

import (
	"net/http"
	"net/textproto"

	"golang.org/x/net/http/httpguts"
)

// IsHopByHop reports whether the field called name is meant for the next peer
// alone and must not be forwarded, in a message whose Connection field has the
// values given.
//
// These are, by RFC 9110 §7.6.1, Connection, what it names, and the fields that
// are known to be hop-by-hop even where a sender forgot to name them; by §11.7
// the pair that authenticates to a proxy; and Transfer-Encoding and Trailer,
// which belong to the framing that each hop makes anew. Content-Length is not
// among them.
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

// CopyEndToEnd sets in dst the fields of src that may be forwarded, all but
// the hop-by-hop ones. The values are shared, not copied.
func CopyEndToEnd(dst, src http.Header) {
	connection := src["Connection"]
	for name, values := range src {
		if !IsHopByHop(name, connection) {
			dst[name] = values
		}
	}
}
