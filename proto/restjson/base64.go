package restjson

import (
	"slices"

	"github.com/segmentio/asm/base64"
)

// canonical is canonical, padded, standard base64: RFC 4648, sections 3.5 and 4.
// Images and audio are megabytes of base64. This library is several times as fast
// as Go's own and behaves alike.
var canonical = base64.StdEncoding.Strict()

// appendBase64 appends data as base64.
func appendBase64(b, data []byte) []byte {
	size := canonical.EncodedLen(len(data))
	b = slices.Grow(b, size)
	b = b[:len(b)+size]
	canonical.Encode(b[len(b)-size:], data)
	return b
}

// decodeBase64 decodes canonical base64. It returns false for other text.
func decodeBase64(text []byte) ([]byte, bool) {
	data := make([]byte, canonical.DecodedLen(len(text)))
	n, err := canonical.Decode(data, text)
	// Decode skips line breaks, which encoding would lose.
	return data[:n], err == nil && canonical.EncodedLen(n) == len(text)
}
