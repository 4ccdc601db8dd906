package grpcwebtext

import (
	"bytes"
	"encoding/base64"
	"io"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// groupSize is the number of base64 characters that encode up to three bytes.
const groupSize = 4

// decoder decodes a base64 request body.
type decoder struct {
	body io.ReadCloser

	encoded [4 << 10]byte // encoded[:n] was read from body and not yet decoded
	n       int
	decoded [3 << 10]byte
	unread  []byte // the part of decoded that Read has not returned
	err     error  // Read returns it after unread
}

func newDecoder(body io.ReadCloser) *decoder { return &decoder{body: body} }

// Read implements [io.Reader].
func (d *decoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(d.unread) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.fill()
	}
	n := copy(p, d.unread)
	d.unread = d.unread[n:]
	return n, nil
}

// fill reads from the body and decodes all complete groups.
func (d *decoder) fill() {
	n, err := d.body.Read(d.encoded[d.n:])
	d.n += n
	complete := d.n - d.n%groupSize
	size, start := 0, 0
	for start < complete && d.err == nil {
		// A padded group ends a chunk. Another chunk may follow.
		end := chunkEnd(d.encoded[:complete], start)
		n, decodeErr := base64.StdEncoding.Strict().Decode(d.decoded[size:], d.encoded[start:end])
		size += n
		if decodeErr != nil || bytes.ContainsAny(d.encoded[start:end], "\r\n") { // encoding/base64 ignores line breaks
			d.err = errNotBase64
		}
		start = end
	}
	d.unread = d.decoded[:size]
	d.n = copy(d.encoded[:], d.encoded[complete:d.n])
	switch {
	case err == nil || d.err != nil:
	case err == io.EOF && d.n > 0:
		d.err = errNotBase64
	default:
		d.err = err
	}
}

// chunkEnd returns the end of the base64 chunk that begins at start: the end of its first
// padded group, or the end of encoded if no group is padded.
func chunkEnd(encoded []byte, start int) int {
	end := start + groupSize
	for end < len(encoded) && encoded[end-1] != '=' {
		end += groupSize
	}
	return end
}

var errNotBase64 = connect.NewError(connect.CodeInvalidArgument, "the body is not valid base64: application/grpc-web-text requires base64 with padding")

// Close implements [io.Closer].
func (d *decoder) Close() error { return d.body.Close() }

// Stalled implements [httpx.Staller].
func (d *decoder) Stalled() error { return httpx.Stalled(d.body) }
