package usage

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

// maxHead bounds, in bytes, what is kept of a form, and maxModelHead what is kept of
// one whose model hasn't come yet: some clients send the file first, of at most 25 MB
// (https://platform.openai.com/docs/guides/speech-to-text).
const (
	maxFormHead      = 1 << 20
	maxModelFormHead = 26 << 20
)

// ErrForm says that a form is broken, or names a further model, behind where it was
// read before it was sent.
var ErrForm = errors.New("the form is broken or names a further model")

// form is what is known of multipart/form-data (RFC 7578) so far.
type form struct {
	finder    *modelFinder
	streaming bool
	hasStream bool      // the field is there
	text      int64     // in tokens
	partText  estimator // of the part's value, where that is text

	part    formPart
	base    string // the name of the part, folded and without brackets
	field   *modelField
	buf     []byte       // the beginning of a value that is short
	size    int64        // of the value, in bytes
	json    *requestText // reads a value that is JSON
	nested  *modelFinder // what that finds
	invalid bool         // the form can't be judged
}

// begin is told the head of a part.
func (f *form) begin(part formPart) {
	base, index, _ := strings.Cut(part.name, "[")
	f.part, f.base, f.field = part, fold([]byte(base)), nil
	f.buf, f.size, f.json, f.partText = f.buf[:0], 0, nil, estimator{}
	if f.base == "_charset_" { // RFC 7578 §4.6: of the values that follow
		f.invalid = true
	}
	place := f.finder.root.field([]byte(base))
	listed := false
	for name := range strings.FieldsFuncSeq(index, func(c rune) bool { return c == '[' || c == ']' }) {
		if strings.Trim(name, "0123456789") == "" {
			listed = true
		} else if place != nil {
			place = place.field([]byte(name))
		}
	}
	listed = listed || strings.HasSuffix(part.name, "[]")
	switch {
	case place == nil:
	case place.kind == fieldStructure && len(place.fields) > 0 && (f.base == "session" || f.base == "extra_body"):
		f.finder.fieldCount++
		f.nested = &modelFinder{root: place}
		f.json = newRequestText(f.nested)
	case place.kind == fieldStructure:
	default:
		f.field = place
		f.finder.fieldCount++
		// A list of fields, or a file, is read differently from server to server.
		f.invalid = f.invalid || part.isFile || part.hasOtherType || part.hasEncoding || listed && place.kind == fieldMain
	}
}

// data is told a piece of the part's value.
func (f *form) data(p []byte) {
	f.size += int64(len(p))
	if f.json != nil {
		_, _ = f.json.Write(p) // It never fails.
	}
	f.buf = append(f.buf, p[:min(len(p), maxName+1-len(f.buf))]...)
	if f.isText() {
		f.partText.write(p)
	}
}

// isText reports whether the part has text for the model to read.
func (f *form) isText() bool {
	return slices.Contains([]string{"prompt", "input", "text", "instructions"}, f.base)
}

// end is told that the part is over.
func (f *form) end() {
	known := f.size <= maxName
	switch {
	case f.json != nil:
		object := bytes.HasPrefix(trimBOM(f.buf), []byte("{"))
		f.invalid = f.invalid || !object || !f.json.scanner.isComplete() || f.nested.undetermined
		f.mergeModels(&f.nested.modelNames)
	case f.field != nil && (f.field.kind == fieldAdditional || f.field.kind == fieldPossible):
		f.finder.fieldCount--
		f.addList(string(f.buf), known)
	case f.field != nil:
		f.finder.fieldCount--
		f.finder.add(f.field.kind, string(f.buf), known)
	}
	if f.base == "stream" {
		f.hasStream = true
		f.streaming = f.streaming || isTrue(string(f.buf))
	}
	f.text += tokensOf(f.partText.cost)
}

// list adds models that a value lists, between commas.
func (f *form) addList(value string, known bool) {
	if strings.ContainsAny(value, "[]{}\"") { // JSON
		known = false
	}
	for name := range strings.SplitSeq(value, ",") {
		f.finder.add(fieldAdditional, strings.TrimSpace(name), known)
	}
}

// merge adds what a value that is JSON names.
func (f *form) mergeModels(nested *modelNames) {
	if nested.mainCount > 0 {
		f.finder.main, f.finder.mainCount = nested.main, f.finder.mainCount+nested.mainCount
	}
	for _, model := range append([]string{nested.alternative}, nested.others...) {
		f.finder.addOther(model)
	}
}

// isTrue takes for true all but what servers are known to take for false.
func isTrue(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "false", "0", "f", "no", "n", "off", "null", "none":
		return false
	default:
		return true
	}
}

// readForm reads the head of a form, and returns a reader of the whole.
func (r *Request) readForm(body io.Reader, contentType []string, boundary string, finder *modelFinder) (io.Reader, error) {
	found := &form{finder: finder}
	scan := newFormReader(boundary, found)
	head := make([]byte, 0, 16<<10)
	ended := false
	bound := maxFormHead
	if r.ConsumesTokens && r.ModelCount == 0 {
		bound = maxModelFormHead
	}
	looksOn := func() bool {
		switch {
		case scan.isComplete():
			return scan.isUnambiguous() // until nothing follows
		case !scan.expectsMore():
			return false
		default:
			return finder.mainCount+r.ModelCount == 0 && len(head) < bound || !found.hasStream && len(head) < maxFormHead
		}
	}
	for !ended && looksOn() {
		if len(head) == cap(head) {
			head = append(make([]byte, 0, 2*cap(head)), head...)
		}
		n, err := body.Read(head[len(head):cap(head)])
		scan.write(head[len(head) : len(head)+n])
		head = head[:len(head)+n]
		if ended = errors.Is(err, io.EOF); err != nil && !ended {
			return nil, err
		}
	}
	if ended {
		scan.finish()
	}
	r.TextTokens = found.text
	r.Streaming = r.Streaming || found.streaming
	named := finder.main != "" || r.ModelCount > 0
	r.Complete = !found.invalid && scan.isUnambiguous() && isUnambiguousForm(contentType, boundary) && (scan.isComplete() || named && scan.expectsMore())
	if ended {
		if closer, ok := body.(io.Closer); ok {
			_ = closer.Close()
		}
		return bytes.NewReader(head), nil
	}
	whole := &splicedBody{head: bytes.NewReader(head), rest: body}
	if scan.expectsMore() && r.Complete {
		whole.reader, whole.form, whole.fieldCount = scan, found, finder.fieldCount
	}
	return whole, nil
}

// spliced is a body of which the head was read before.
type splicedBody struct {
	head *bytes.Reader
	rest io.Reader

	mu         sync.Mutex
	reader     *formReader // guarded by mu: reads along in what is left of a form; nil if nothing does
	form       *form       // guarded by mu
	fieldCount int         // guarded by mu: of the places of models that were judged
}

// Read implements [io.Reader].
func (s *splicedBody) Read(p []byte) (int, error) {
	if s.head.Len() > 0 {
		return s.head.Read(p)
	}
	n, err := s.rest.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reader == nil {
		return n, err
	}
	s.reader.write(p[:n])
	if errors.Is(err, io.EOF) {
		s.reader.finish()
	}
	if s.form.invalid || !s.reader.isUnambiguous() || s.form.finder.fieldCount > s.fieldCount {
		return 0, ErrForm
	}
	return n, err
}

// Close implements [io.Closer].
func (s *splicedBody) Close() error {
	if closer, ok := s.rest.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
