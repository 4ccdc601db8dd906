package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openai-connect/openai-connect/server/internal/inflation"
)

// Request describes a request.
type Request struct {
	// Model is the model that processes the request, and ModelCount is the number of
	// fields that name it. If there are several, the upstream decides which one it uses.
	// In JSON, field names are compared without regard to case, and the fields of
	// "session" are included.
	Model      string
	ModelCount int
	// OtherModels are the other models that the request names, without duplicates: models
	// in a place that a server may prefer, such as the query, and additional models, such
	// as the model of a tool.
	OtherModels []string
	// Streaming reports whether the client wants a stream, or a WebSocket.
	Streaming bool
	// TextTokens is an estimate of the input tokens.
	TextTokens int64
	// Characters is the length of the text in a request for speech, 0 otherwise.
	Characters int64
	// Transcription reports whether the response is the transcript of a recording, and
	// may report its duration.
	Transcription bool
	// Complete reports whether Model and OtherModels are complete: every part of the
	// request that may name a model was read.
	Complete bool
	// Opaque reports whether there is a body that could not be read, or the request
	// overrides its method.
	Opaque bool
	// ConsumesTokens reports whether the response reports the usage of this request. The
	// responses to reads and changes of stored objects repeat the usage of other requests.
	ConsumesTokens bool

	isSpeech  bool              // the response is speech
	textMeter *requestTextMeter // nil unless MeterBody was called
}

// TooLargeError is the error of a body that is too large to be buffered.
type TooLargeError struct {
	Limit int64 // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the request is larger than this server's limit of %d bytes", e.Limit)
}

const (
	// sniffLen bounds the number of bytes that are read to detect JSON in a body of
	// another content type.
	sniffLen = 512

	// maxBufferHint bounds the initial buffer for a body whose length is declared.
	maxBufferHint = 64 << 10
)

// ReadRequest reads a request with a method, request target and header. It returns a
// reader of the unchanged body, or nil if body is nil.
//
// A JSON body, of any content type and compressed or not, is buffered and returned as a
// *bytes.Reader. If body is a *bytes.Reader, it is returned. The error is a
// [*TooLargeError] if the buffered or decoded size exceeds limit bytes, a [*CodingError]
// if there are several codings, and an [*inflation.Error] for a decompression bomb.
//
// Only the beginning of multipart/form-data is buffered: up to the model, at most 1 MiB,
// or 26 MiB if the model is after a file. A form is complete if every server reads it in
// the same way (see formReader). If the rest names another model or is not such a form,
// the returned reader fails with [ErrForm]. Any other body is passed through.
//
// The returned reader must be closed if it is an [io.Closer]. Canceling ctx ends
// decoding. Errors of body are returned unchanged. After an error, body has been closed.
func ReadRequest(ctx context.Context, method, target string, header http.Header, body io.Reader, limit int64) (Request, io.Reader, error) {
	r := fromTarget(method, target, header)
	if body == nil {
		return r, nil, nil
	}
	finder := &modelFinder{root: modelFieldsOf(target)}
	targetComplete := r.Complete
	r.Complete = true
	replay, err := r.readBody(ctx, header, body, limit, finder)
	if err != nil {
		if closer, ok := body.(io.Closer); ok {
			_ = closer.Close()
		}
		return Request{}, nil, err
	}
	if buffered, ok := replay.(*bytes.Reader); ok && buffered.Len() == 0 {
		r.Complete = targetComplete
		r.addModels(&finder.modelNames)
		return r, replay, nil
	}
	r.Opaque = r.Opaque || !r.Complete || !isUnambiguous(header["Content-Type"]) || finder.undetermined || finder.mainCount > 0 && finder.main == ""
	r.Complete = targetComplete && !r.Opaque
	r.addModels(&finder.modelNames)
	return r, replay, nil
}

// addModels adds the models of the body.
func (r *Request) addModels(finder *modelNames) {
	for _, name := range []struct {
		model string
		count int
	}{{finder.main, finder.mainCount}, {finder.alternative, min(len(finder.alternative), 1)}} {
		switch {
		case name.count == 0:
		case r.ModelCount == 0:
			r.Model, r.ModelCount = name.model, name.count
		default:
			r.ModelCount = max(r.ModelCount, name.count)
			r.addModel(name.model)
		}
	}
	for _, model := range finder.others {
		r.addModel(model)
	}
}

// addModel adds a model to OtherModels.
func (r *Request) addModel(model string) {
	if model != "" && model != r.Model && !slices.Contains(r.OtherModels, model) {
		r.OtherModels = append(r.OtherModels, model)
	}
}

// isUnambiguous reports whether all servers interpret a Content-Type in the same way, i.e.
// there is at most one, it is valid, it has no continued or encoded parameters (RFC
// 2231), and ASCII is unchanged in its charset, unlike in UTF-7 and UTF-16.
func isUnambiguous(contentType []string) bool {
	if len(contentType) == 0 {
		return true
	}
	_, parameters, err := mime.ParseMediaType(contentType[0])
	if len(contentType) > 1 || err != nil || strings.Contains(contentType[0], "*") {
		return false
	}
	switch strings.ToLower(parameters["charset"]) {
	case "", "utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252":
		return true
	default:
		return false
	}
}

func (r *Request) readBody(ctx context.Context, header http.Header, body io.Reader, limit int64, finder *modelFinder) (replay io.Reader, err error) {
	mediaType, parameters, _ := mime.ParseMediaType(header.Get("Content-Type"))
	codings := contentCodings(header["Content-Encoding"])
	if mediaType == "application/x-www-form-urlencoded" && len(codings) == 0 {
		defer func() { r.addModelsOfForm(replay) }()
	}
	if buffered, ok := body.(*bytes.Reader); ok && mediaType != "multipart/form-data" {
		return buffered, r.readJSON(ctx, buffered, codings, limit, finder)
	}
	switch {
	case mediaType == "multipart/form-data" && len(codings) == 0:
		return r.readForm(body, header["Content-Type"], parameters["boundary"], finder)
	case mediaType == "application/json", strings.HasSuffix(mediaType, "+json"):
		if err := checkRequestCodings(codings); err != nil {
			return nil, err
		}
	case len(codings) > 0:
		r.Complete = false
		return body, nil
	default:
		head, err := sniff(body)
		if err != nil {
			return nil, err
		}
		body = &splicedBody{head: bytes.NewReader(head), rest: body}
		if start := trimBOM(head); len(start) > 0 && start[0] != '{' {
			r.Complete = false
			return body, nil
		}
	}
	buffered, err := readAllBody(body, header, limit)
	if err != nil {
		return nil, err
	}
	return buffered, r.readJSON(ctx, buffered, codings, limit, finder)
}

// addModelsOfForm adds the models that a server finds if it parses the body as a form.
// Some clients send JSON with the content type of a form.
func (r *Request) addModelsOfForm(body io.Reader) {
	buffered, ok := body.(*bytes.Reader)
	if !ok || buffered == nil {
		return
	}
	reread := *buffered
	text, err := io.ReadAll(&reread)
	if err != nil {
		r.Complete = false
		return
	}
	r.addModelsOfQuery(string(text))
}

// sniff reads a body up to its first character.
func sniff(body io.Reader) ([]byte, error) {
	head := make([]byte, 0, sniffLen)
	for len(head) < sniffLen && len(trimBOM(head)) == 0 {
		n, err := body.Read(head[len(head):sniffLen])
		head = head[:len(head)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return head, nil
}

// trimBOM removes a byte order mark, or a part of one, and white space.
func trimBOM(head []byte) []byte {
	mark := 0
	for mark < len(head) && mark < len(byteOrderMark) && head[mark] == byteOrderMark[mark] {
		mark++
	}
	return bytes.TrimLeft(head[mark:], " \t\r\n")
}

// readAllBody reads a body of at most limit bytes, and closes it.
func readAllBody(body io.Reader, header http.Header, limit int64) (*bytes.Reader, error) {
	var buffer bytes.Buffer
	if length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil && length > 0 {
		buffer.Grow(int(min(length, maxBufferHint)) + bytes.MinRead) // ReadFrom needs free space to find the end
	}
	if _, err := buffer.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
		return nil, err
	}
	if int64(buffer.Len()) > limit {
		return nil, &TooLargeError{Limit: limit}
	}
	if closer, ok := body.(io.Closer); ok {
		_ = closer.Close()
	}
	return bytes.NewReader(buffer.Bytes()), nil
}

// readJSON reads a buffered body and rewinds it.
func (r *Request) readJSON(ctx context.Context, buffered *bytes.Reader, codings []string, limit int64, finder *modelFinder) error {
	length := int64(buffered.Len())
	if length == 0 {
		return nil
	}
	text := newRequestText(finder)
	text.scanner.isSpeech = r.isSpeech
	err := text.readFrom(ctx, buffered, codings, limit)
	if _, rewound := buffered.Seek(-(length - int64(buffered.Len())), io.SeekCurrent); rewound != nil {
		return rewound
	}
	if isRejection(ctx, err) {
		return err
	}
	r.Streaming = r.Streaming || text.scanner.streaming
	r.TextTokens, r.Characters = tokensOf(text.scanner.cost()), text.scanner.characters
	r.Complete = err == nil && text.scanner.isComplete()
	return nil
}

// isRejection reports whether a decoding error is returned to the client. The
// upstream handles other errors.
func isRejection(ctx context.Context, err error) bool {
	_, large := errors.AsType[*TooLargeError](err)
	_, inflated := errors.AsType[*inflation.Error](err)
	return large || inflated || err != nil && ctx.Err() != nil
}

// requestText reads the JSON of a request.
type requestText struct {
	scanner scanner
	pastBOM bool
}

// newRequestText returns a requestText that passes the structure of the JSON to finder.
func newRequestText(finder *modelFinder) *requestText {
	return &requestText{scanner: scanner{roleOf: requestRole, finder: finder}}
}

// readFrom decodes and reads a body.
func (t *requestText) readFrom(ctx context.Context, body *bytes.Reader, codings []string, limit int64) error {
	if len(codings) == 0 {
		_, err := body.WriteTo(t) // WriteTo copies nothing.
		return err
	}
	decoded, err := newDecoder(codings, body, inflation.Bounds{Context: ctx, MaxRatio: inflation.MaxRatio, MaxTime: maxDecodeTime})
	if err != nil {
		return err
	}
	defer decoded.Close()
	n, err := io.Copy(t, io.LimitReader(decoded, limit+1))
	if n > limit {
		return &TooLargeError{Limit: limit}
	}
	return err
}

// Write implements [io.Writer]. It skips a leading byte order mark, as many servers do.
func (t *requestText) Write(p []byte) (int, error) {
	n := len(p)
	if !t.pastBOM {
		t.pastBOM = true
		p = bytes.TrimPrefix(p, []byte(byteOrderMark))
	}
	t.scanner.write(p)
	return n, nil
}
