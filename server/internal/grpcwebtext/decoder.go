package grpcwebtext

import (
	"bytes"
	"encoding/base64"
	"io"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

// group is how many characters of base64 stand for up to three bytes.
const group = 4

// decoder is a body in base64 as the bytes that it stands for.
type decoder struct {
	body io.ReadCloser

	text    [4 << 10]byte // what was read of the body
	have    int           // bytes of it
	ready   []byte        // what was decoded, in plain
	plain   [3 << 10]byte
	failure error // what reading ends with, behind what is ready
}

func newDecoder(body io.ReadCloser) *decoder { return &decoder{body: body} }

// Read implements [io.Reader].
func (d *decoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(d.ready) == 0 {
		if d.failure != nil {
			return 0, d.failure
		}
		d.fill()
	}
	n := copy(p, d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

// fill reads what comes next, and decodes all groups that are whole.
func (d *decoder) fill() {
	n, err := d.body.Read(d.text[d.have:])
	d.have += n
	whole := d.have - d.have%group
	decoded, at := 0, 0
	for at < whole && d.failure == nil {
		// A group that is padded ends a piece: another one may follow.
		end := pieceEnd(d.text[:whole], at)
		size, failure := base64.StdEncoding.Strict().Decode(d.plain[decoded:], d.text[at:end])
		decoded += size
		if failure != nil || bytes.ContainsAny(d.text[at:end], "\r\n") { // which encoding/base64 takes for nothing
			d.failure = errNotBase64
		}
		at = end
	}
	d.ready = d.plain[:decoded]
	d.have = copy(d.text[:], d.text[whole:d.have])
	switch {
	case err == nil || d.failure != nil:
	case err == io.EOF && d.have > 0:
		d.failure = errNotBase64
	default:
		d.failure = err
	}
}

// pieceEnd returns where the piece that begins at a group ends: behind the first group
// that has padding, or at the end of the text.
func pieceEnd(text []byte, at int) int {
	for at += group; at < len(text) && text[at-1] != '='; {
		at += group
	}
	return at
}

var errNotBase64 = connect.NewError(connect.CodeInvalidArgument, "the body is not in base64: application/grpc-web-text is base64 of whole groups, with padding")

// Close implements [io.Closer].
func (d *decoder) Close() error { return d.body.Close() }

// Stalled returns what the body beneath says that was cut off as its client sent none
// of it, nil if it wasn't.
func (d *decoder) Stalled() error { return httpx.Stalled(d.body) }
