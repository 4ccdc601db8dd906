package restjson

import (
	"slices"

	"github.com/segmentio/asm/base64"
)

// strictBase64 is standard, padded base64 (RFC 4648, section 4) that rejects
// non-canonical encodings (section 3.5). Requests contain megabytes of base64 for images
// and audio, and this package is several times as fast as encoding/base64.
var strictBase64 = base64.StdEncoding.Strict()

// appendBase64 appends data to b, encoded as base64.
func appendBase64(b, data []byte) []byte {
	size := strictBase64.EncodedLen(len(data))
	b = slices.Grow(b, size)
	b = b[:len(b)+size]
	strictBase64.Encode(b[len(b)-size:], data)
	return b
}

// decodeBase64 decodes base64. It returns false if text is not canonical base64.
func decodeBase64(text []byte) ([]byte, bool) {
	data := make([]byte, strictBase64.DecodedLen(len(text)))
	n, err := strictBase64.Decode(data, text)
	// Decode accepts line breaks, which would be lost when the data is encoded again.
	return data[:n], err == nil && strictBase64.EncodedLen(n) == len(text)
}
