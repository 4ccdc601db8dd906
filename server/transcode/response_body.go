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

// decode returns a response with its gzip encoding decoded. Requests do not accept
// gzip, but some upstreams send it anyway. Other encodings stay: see
// [contentEncoding].
func decode(response *http.Response) *http.Response {
	switch strings.ToLower(contentEncoding(response)) {
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

// gzipBody decodes a body member by member (RFC 1952, section 2.2). It returns the
// data of a member before it waits for the next one. An end inside a member is an
// error.
type gzipBody struct {
	body   io.Closer
	source *bufio.Reader
	member *gzip.Reader
	err    error
	open   bool // reading a member
}

func (b *gzipBody) Read(p []byte) (int, error) {
	for b.err == nil {
		if !b.open && !b.nextMember() {
			break
		}
		n, err := b.member.Read(p)
		switch {
		case err == io.EOF: //nolint:errorlint // gzip returns it unwrapped
			b.open = false
		case err != nil:
			b.err = gzipError(err)
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// nextMember starts the next member and reports whether there is one.
func (b *gzipBody) nextMember() bool {
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
	b.open = true
	return true
}

func (b *gzipBody) Close() error { return b.body.Close() }

var (
	errGzip          = errors.New("the upstream sent invalid gzip")
	errGzipTruncated = errors.New("the upstream's response broke off: its gzip is truncated")
)

// gzipError returns the error for an invalid member. Errors of the body itself are
// returned unchanged.
func gzipError(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	_, internal := errors.AsType[flate.InternalError](err) // the library returns it for some corrupt input
	switch {
	case corrupt, internal, errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return errGzip
	case err == io.EOF, err == io.ErrUnexpectedEOF: //nolint:errorlint // errors of the body differ
		return errGzipTruncated
	}
	return err
}

// isFramed reports whether the end of a body is explicit: a Content-Length, chunked
// coding, HTTP/2 or a gzip checksum. A body that ends with the connection may be
// truncated (RFC 9112, section 8).
func isFramed(response *http.Response) bool {
	return response.ProtoMajor >= 2 || response.ContentLength >= 0 || len(response.TransferEncoding) > 0 || response.Uncompressed
}

// form is the kind of a body according to its first bytes.
type form int

const (
	formOther form = iota
	formJSON       // an object or an array
	formEvents
)

const byteOrderMark = "\uFEFF"

// formOf returns the form of a body with the given beginning, and whether more bytes
// cannot change it.
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

// peekForm waits for the beginning of a body and returns its form, without consuming
// it.
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

// peekedBody is a body that can be peeked.
type peekedBody struct {
	*bufio.Reader
	io.Closer
}

// maxBeginning is the maximum number of bytes that decide the form of a body.
const maxBeginning = 512

// eventSource is a body declared as an event stream. Read returns errJSONBody at the
// beginning if it is JSON.
type eventSource struct {
	io.Reader

	beginning []byte
	checked   bool
}

var errJSONBody = errors.New("the body is JSON, not an event stream")

func (s *eventSource) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.checked || n == 0 {
		return n, err
	}
	s.beginning = append(s.beginning, p[:n]...)
	found, certain := formOf(s.beginning)
	if found == formJSON {
		return 0, errJSONBody
	}
	if certain || len(s.beginning) >= maxBeginning {
		s.checked, s.beginning = true, nil
	}
	return n, err
}
