package usage

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

// maxFormHead bounds the buffered part of a form, and maxModelFormHead that of a form
// whose model has not been found: some clients send the file first, which may have 25 MB
// (https://platform.openai.com/docs/guides/speech-to-text).
const (
	maxFormHead      = 1 << 20
	maxModelFormHead = 26 << 20
)

// ErrForm is the error of a form that is invalid or names another model, after the part
// that was read in advance.
var ErrForm = errors.New("the form is broken or names a further model")

// form is what has been read of multipart/form-data (RFC 7578).
type form struct {
	finder    *modelFinder
	streaming bool
	hasStream bool      // there is a field "stream"
	text      int64     // in tokens
	partText  estimator // of the value of the current part

	part    formPart
	base    string // the name of the part, folded, without brackets
	field   *modelField
	buf     []byte       // the beginning of the value
	size    int64        // of the value, in bytes
	json    *requestText // reads a value that is JSON
	nested  *modelFinder // the models of that JSON
	invalid bool         // the models of the form cannot be determined
}

// begin is called for the header of a part.
func (f *form) begin(part formPart) {
	base, index, _ := strings.Cut(part.name, "[")
	f.part, f.base, f.field = part, fold([]byte(base)), nil
	f.buf, f.size, f.json, f.partText = f.buf[:0], 0, nil, estimator{}
	if f.base == "_charset_" { // the charset of the values (RFC 7578, section 4.6)
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
		// Servers read a list of fields, or a file, differently.
		f.invalid = f.invalid || part.isFile || part.hasOtherType || part.hasEncoding || listed && place.kind == fieldMain
	}
}

// data is called for a piece of the part's value.
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

// isText reports whether the part has text for the model.
func (f *form) isText() bool {
	return slices.Contains([]string{"prompt", "input", "text", "instructions"}, f.base)
}

// end is called at the end of the part.
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

// addList adds the models of a comma-separated list.
func (f *form) addList(value string, known bool) {
	if strings.ContainsAny(value, "[]{}\"") { // JSON
		known = false
	}
	for name := range strings.SplitSeq(value, ",") {
		f.finder.add(fieldAdditional, strings.TrimSpace(name), known)
	}
}

// mergeModels adds the models of a JSON value.
func (f *form) mergeModels(nested *modelNames) {
	if nested.mainCount > 0 {
		f.finder.main, f.finder.mainCount = nested.main, f.finder.mainCount+nested.mainCount
	}
	for _, model := range append([]string{nested.alternative}, nested.others...) {
		f.finder.addOther(model)
	}
}

// isTrue reports whether a value is true to at least one server.
func isTrue(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "false", "0", "f", "no", "n", "off", "null", "none":
		return false
	default:
		return true
	}
}

// readForm reads the head of a form. It returns a reader of the whole form.
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
			return scan.isUnambiguous() // until the end of the body
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

// splicedBody is a body whose head has been read.
type splicedBody struct {
	head *bytes.Reader
	rest io.Reader

	mu         sync.Mutex
	reader     *formReader // guarded by mu: reads along in the rest of a form; nil for other bodies
	form       *form       // guarded by mu
	fieldCount int         // of the head; guarded by mu
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
