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

// Request is what is known of a request before it is sent up.
type Request struct {
	// Model is the one that does the work, and ModelSeen how often the request names
	// one in its place: which one counts if there are several, only the upstream
	// knows. In JSON, members whose names differ by case count too, and those of
	// "session".
	Model      string
	ModelCount int
	// Others are the other models that the request names, each once: in another place
	// that a server may read in place of Model's, as the query, or to work beside it,
	// as that of a tool.
	OtherModels []string
	// Stream says that the answer was asked for as a stream, or is a WebSocket.
	Streaming bool
	// Text is an estimate of what the model is to read, in tokens.
	TextTokens int64
	// Characters is how many the text has that is to be spoken, in a request for
	// speech; 0 in any other.
	Characters int64
	// Audio says that the answer is the text of a recording, and may tell how long
	// that is.
	Transcription bool
	// Known says that the whole request could be read, as far as it names a model,
	// so that what is said of models here is all that there is.
	Complete bool
	// Opaque says that a body is there and is not known, or that the request asks for
	// another method than its own.
	Opaque bool
	// Spends says that the answer may tell of tokens that it took itself, where
	// reads, and changes of what is stored, repeat what another one took.
	ConsumesTokens bool

	isSpeech  bool              // the answer is speech
	textMeter *requestTextMeter // nil unless Follow was called
}

// TooLargeError says that a body is larger than what may be kept of it.
type TooLargeError struct {
	Limit int64 // in bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the request is larger than this server's limit of %d bytes", e.Limit)
}

const (
	// sniffed is how much is read at most, in bytes, of a body that doesn't say
	// that it is JSON, to see whether it is.
	sniffLen = 512

	// maxHint bounds, in bytes, the memory that a body gets because it says how
	// long it will be.
	maxBufferHint = 64 << 10
)

// ReadRequest reads what there is to know of a request with the method, the
// request-target and the header given, and returns a reader of its body as it was,
// to be sent in its place, or nil if body is nil.
//
// The body may be JSON, also without saying so, and also compressed. It is kept,
// and returned as a *bytes.Reader; if it is one already, it is that one. More than
// limit bytes, to be kept or decoded, are a [*TooLargeError], several codings a
// [*CodingError], and one whose proportions are those of a bomb an [*inflation.Error].
//
// Of multipart/form-data the first MiB is read, or less if it names all that is
// looked for, and only that is kept; 26 MiB of one for a model that isn't named before
// its file. A form is known if every server reads it alike, as formReader has it. If the
// rest names a further model, or is not such a form, the reader that was returned fails
// there with [ErrForm]. Any other body is passed through.
//
// What is returned must be closed if it is an [io.Closer]. Other errors are body's.
// After an error the body is closed, if it can be.
func ReadRequest(method, target string, header http.Header, body io.Reader, limit int64) (Request, io.Reader, error) {
	return ReadRequestContext(context.Background(), method, target, header, body, limit)
}

// ReadRequestContext is [ReadRequest], but that it ends with the error of ctx when that
// is done while a body is decoded.
func ReadRequestContext(ctx context.Context, method, target string, header http.Header, body io.Reader, limit int64) (Request, io.Reader, error) {
	r := fromTarget(method, target, header)
	if body == nil {
		return r, nil, nil
	}
	found := &modelFinder{root: modelFieldsOf(target)}
	known := r.Complete
	r.Complete = true
	replay, err := r.readBody(ctx, header, body, limit, found)
	if err != nil {
		if closer, ok := body.(io.Closer); ok {
			_ = closer.Close()
		}
		return Request{}, nil, err
	}
	if kept, ok := replay.(*bytes.Reader); ok && kept.Len() == 0 {
		r.Complete = known
		r.addModels(&found.modelNames)
		return r, replay, nil
	}
	r.Opaque = r.Opaque || !r.Complete || !isUnambiguous(header["Content-Type"]) || found.undetermined || found.mainCount > 0 && found.main == ""
	r.Complete = known && !r.Opaque
	r.addModels(&found.modelNames)
	return r, replay, nil
}

// add adds what a body names to what was known before.
func (r *Request) addModels(found *modelNames) {
	for _, name := range []struct {
		model string
		seen  int
	}{{found.main, found.mainCount}, {found.alternative, min(len(found.alternative), 1)}} {
		switch {
		case name.seen == 0:
		case r.ModelCount == 0:
			r.Model, r.ModelCount = name.model, name.seen
		default:
			r.ModelCount = max(r.ModelCount, name.seen)
			r.addModel(name.model)
		}
	}
	for _, model := range found.others {
		r.addModel(model)
	}
}

// name adds a model to Others.
func (r *Request) addModel(model string) {
	if model != "" && model != r.Model && !slices.Contains(r.OtherModels, model) {
		r.OtherModels = append(r.OtherModels, model)
	}
}

// isPlainly reports whether everyone takes a Content-Type for the same: it is there
// once at most, can be read, has no parameter in pieces or encoded (RFC 2231), and
// no charset in which ASCII is something else, as UTF-7 and UTF-16 have it.
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

func (r *Request) readBody(ctx context.Context, header http.Header, body io.Reader, limit int64, found *modelFinder) (replay io.Reader, err error) {
	mediaType, parameters, _ := mime.ParseMediaType(header.Get("Content-Type"))
	encoded := contentCodings(header["Content-Encoding"])
	if mediaType == "application/x-www-form-urlencoded" && len(encoded) == 0 {
		defer func() { r.addModelsOfForm(replay) }()
	}
	if kept, ok := body.(*bytes.Reader); ok && mediaType != "multipart/form-data" {
		return kept, r.readJSON(ctx, kept, encoded, limit, found)
	}
	switch {
	case mediaType == "multipart/form-data" && len(encoded) == 0:
		return r.readForm(body, header["Content-Type"], parameters["boundary"], found)
	case mediaType == "application/json", strings.HasSuffix(mediaType, "+json"):
		if err := checkRequestCodings(encoded); err != nil {
			return nil, err
		}
	case len(encoded) > 0:
		r.Complete = false
		return body, nil
	default:
		head, err := sniff(body)
		if err != nil {
			return nil, err
		}
		body = &splicedBody{head: bytes.NewReader(head), rest: body}
		if begins := trimBOM(head); len(begins) > 0 && begins[0] != '{' {
			r.Complete = false
			return body, nil
		}
	}
	kept, err := readAllBody(body, header, limit)
	if err != nil {
		return nil, err
	}
	return kept, r.readJSON(ctx, kept, encoded, limit, found)
}

// nameInForm adds the models that a JSON body names to a server that goes by its type,
// which is that of a form. Some clients send JSON without saying so.
func (r *Request) addModelsOfForm(body io.Reader) {
	kept, ok := body.(*bytes.Reader)
	if !ok || kept == nil {
		return
	}
	again := *kept
	text, err := io.ReadAll(&again)
	if err != nil {
		r.Complete = false
		return
	}
	r.addModelsOfQuery(string(text))
}

// sniff reads as much of a body as it takes to see how it begins.
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

// beginning is what stands behind a byte order mark, or a part of one, and white
// space.
func trimBOM(head []byte) []byte {
	mark := 0
	for mark < len(head) && mark < len(byteOrderMark) && head[mark] == byteOrderMark[mark] {
		mark++
	}
	return bytes.TrimLeft(head[mark:], " \t\r\n")
}

// keep reads a whole body of at most limit bytes, and closes it.
func readAllBody(body io.Reader, header http.Header, limit int64) (*bytes.Reader, error) {
	var buffer bytes.Buffer
	if length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil && length > 0 {
		buffer.Grow(int(min(length, maxBufferHint)) + bytes.MinRead) // or it would grow to see the end
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

// readJSON reads a body that is kept, and rewinds it.
func (r *Request) readJSON(ctx context.Context, kept *bytes.Reader, encoded []string, limit int64, found *modelFinder) error {
	length := int64(kept.Len())
	if length == 0 {
		return nil
	}
	text := newRequestText(found)
	text.scanner.isSpeech = r.isSpeech
	err := text.readFrom(ctx, kept, encoded, limit)
	if _, rewound := kept.Seek(-(length - int64(kept.Len())), io.SeekCurrent); rewound != nil {
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

// isRefusal reports whether an error of decoding a body is for the client of this
// server. Others are for the upstream to say.
func isRejection(ctx context.Context, err error) bool {
	_, large := errors.AsType[*TooLargeError](err)
	_, inflated := errors.AsType[*inflation.Error](err)
	return large || inflated || err != nil && ctx.Err() != nil
}

// requestText reads JSON, as a writer.
type requestText struct {
	scanner scanner
	pastBOM bool
}

// newRequestText returns what reads a text, and tells finder of its structure.
func newRequestText(finder *modelFinder) *requestText {
	return &requestText{scanner: scanner{roleOf: requestRole, finder: finder}}
}

// readFrom reads a body without its codings.
func (t *requestText) readFrom(ctx context.Context, body *bytes.Reader, encoded []string, limit int64) error {
	if len(encoded) == 0 {
		_, err := body.WriteTo(t) // which copies nothing
		return err
	}
	decoded, err := newDecoder(encoded, body, inflation.Bounds{Context: ctx, MaxRatio: inflation.MaxRatio, MaxTime: maxDecodeTime})
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

// Write implements [io.Writer]. A byte order mark that comes first is passed over,
// as many servers do.
func (t *requestText) Write(p []byte) (int, error) {
	n := len(p)
	if !t.pastBOM {
		t.pastBOM = true
		p = bytes.TrimPrefix(p, []byte(byteOrderMark))
	}
	t.scanner.write(p)
	return n, nil
}
