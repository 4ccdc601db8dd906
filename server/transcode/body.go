package transcode

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// decode undoes the gzip of a response's body, which no request asks for and
// some servers send all the same. Other codings stay; see [coding].
func decode(response *http.Response) *http.Response {
	switch strings.ToLower(coding(response)) {
	case "gzip", "x-gzip": // RFC 9110, section 8.4.1.3
	default:
		return response
	}
	decoded := *response
	decoded.Header = response.Header.Clone()
	decoded.Header.Del("Content-Encoding")
	decoded.Header.Del("Content-Length")
	decoded.ContentLength = -1
	decoded.Uncompressed = true
	decoded.Body = &gzipBody{body: response.Body, source: bufio.NewReader(response.Body)}
	return &decoded
}

// gzipBody decodes a body member by member (RFC 1952, section 2.2). What a member
// holds is handed out before the next one is waited for. It ends well between
// members only.
type gzipBody struct {
	body   io.Closer
	source *bufio.Reader
	member *gzip.Reader
	err    error
	inside bool // a member
}

func (b *gzipBody) Read(p []byte) (int, error) {
	for b.err == nil {
		if !b.inside && !b.begin() {
			break
		}
		n, err := b.member.Read(p)
		switch {
		case err == io.EOF: //nolint:errorlint // as package gzip has it
			b.inside = false
		case err != nil:
			b.err = gzipError(err)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// begin begins the next member, and reports whether there is one.
func (b *gzipBody) begin() bool {
	if _, err := b.source.Peek(1); err != nil && b.member != nil {
		b.err = err
		return false
	}
	if b.member == nil {
		b.member = new(gzip.Reader)
	}
	if err := b.member.Reset(b.source); err != nil {
		b.err = gzipError(err)
		return false
	}
	b.member.Multistream(false)
	b.inside = true
	return true
}

func (b *gzipBody) Close() error { return b.body.Close() }

var (
	errGzip    = errors.New("the upstream sent what is not valid gzip")
	errGzipCut = errors.New("the upstream's answer broke off: its gzip is cut short")
)

// gzipError is the error for a member that can't be decoded. What the body itself
// failed with is returned unchanged.
func gzipError(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	_, internal := errors.AsType[flate.InternalError](err) // as the library has some corrupt input
	switch {
	case corrupt, internal, errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return errGzip
	case err == io.EOF, err == io.ErrUnexpectedEOF: //nolint:errorlint // the body's own errors aren't these
		return errGzipCut
	}
	return err
}

// isFramed reports whether a response says where its body ends, so that an end
// is known to be the proper one: by a length, chunks, a frame of HTTP/2, or the
// checksum of gzip. The end of a connection may be a failure (RFC 9112, section
// 8).
func isFramed(response *http.Response) bool {
	return response.ProtoMajor >= 2 || response.ContentLength >= 0 || len(response.TransferEncoding) > 0 || response.Uncompressed
}

// form is what a body is by its beginning.
type form int

const (
	formOther form = iota
	formJSON       // an object or an array
	formEvents
)

const byteOrderMark = "\uFEFF"

// formOf tells what a body is that begins so. It isn't certain yet where more
// bytes could change it.
func formOf(beginning []byte) (_ form, certain bool) {
	if len(beginning) < len(byteOrderMark) && strings.HasPrefix(byteOrderMark, string(beginning)) {
		return formOther, false
	}
	beginning = bytes.TrimLeft(bytes.TrimPrefix(beginning, []byte(byteOrderMark)), " \t\r\n")
	if len(beginning) == 0 {
		return formOther, false
	}
	if beginning[0] == '{' || beginning[0] == '[' {
		return formJSON, true
	}
	for _, field := range []string{":", "data:", "event:", "id:", "retry:"} {
		if strings.HasPrefix(string(beginning), field) {
			return formEvents, true
		}
		if len(beginning) < len(field) && strings.HasPrefix(field, string(beginning)) {
			return formOther, false
		}
	}
	return formOther, true
}

// peekForm waits for the beginning of a body, and tells what it is. The body can
// still be read from its beginning.
func peekForm(response *http.Response) form {
	body := &peekedBody{bufio.NewReaderSize(response.Body, maxBeginning), response.Body}
	response.Body = body
	for n := 1; ; n = max(n+1, body.Buffered()) {
		beginning, err := body.Peek(min(n, maxBeginning))
		found, certain := formOf(beginning)
		if certain || err != nil || n >= maxBeginning {
			return found
		}
	}
}

// peekedBody is a body whose beginning was looked at.
type peekedBody struct {
	*bufio.Reader
	io.Closer
}

// maxBeginning bounds the beginning of a body by which it is judged, in bytes.
const maxBeginning = 512

// eventSource is a body that says that it is an event stream. Reading fails with
// errJSONBody, before any event, if it is JSON instead.
type eventSource struct {
	io.Reader

	beginning []byte
	judged    bool
}

var errJSONBody = errors.New("the body is JSON, not an event stream")

func (s *eventSource) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.judged || n == 0 {
		return n, err
	}
	s.beginning = append(s.beginning, p[:n]...)
	found, certain := formOf(s.beginning)
	if found == formJSON {
		return 0, errJSONBody
	}
	if certain || len(s.beginning) >= maxBeginning {
		s.judged, s.beginning = true, nil
	}
	return n, err
}
