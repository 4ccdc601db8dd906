package restjson

import (
	"slices"

	"github.com/segmentio/asm/base64"
)

// canonical is standard base64, padded, in its one form: RFC 4648, sections 3.5
// and 4. An image or a speech is megabytes of it, which this library reads and
// writes several times as fast as Go's own, whose behaviour it has.
var canonical = base64.StdEncoding.Strict()

// appendBase64 appends data as base64.
func appendBase64(b, data []byte) []byte {
	size := canonical.EncodedLen(len(data))
	b = slices.Grow(b, size)
	b = b[:len(b)+size]
	canonical.Encode(b[len(b)-size:], data)
	return b
}

// decodeBase64 decodes what is canonical base64, and refuses all else.
func decodeBase64(text []byte) ([]byte, bool) {
	data := make([]byte, canonical.DecodedLen(len(text)))
	n, err := canonical.Decode(data, text)
	// Line ends are skipped in between. They would not come back.
	return data[:n], err == nil && canonical.EncodedLen(n) == len(text)
}
