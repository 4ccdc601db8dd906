package usage

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
)

// maxFormHead bounds the buffered part of a form. maxModelFormHead bounds it until the
// model has been found, because some clients send the file first, which may have 25 MB
// (https://platform.openai.com/docs/guides/speech-to-text).
const (
	maxFormHead      = 1 << 20
	maxModelFormHead = 26 << 20
)

// ErrForm is the error of a form whose rest, after the buffered part, is invalid or names
// another model.
var ErrForm = errors.New("the form is broken or names a further model")

// form holds the results of reading multipart/form-data (RFC 7578).
type form struct {
	finder    *modelFinder
	streaming bool
	hasStream bool      // the form has a field "stream"
	text      int64     // in tokens
	partText  estimator // of the value of the current part

	part    formPart
	base    string // the name of the part, folded, without brackets
	field   *modelField
	buf     []byte       // up to maxName+1 bytes of the value
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
	field := f.finder.root.field([]byte(base))
	isList := false
	for name := range strings.FieldsFuncSeq(index, func(c rune) bool { return c == '[' || c == ']' }) {
		if strings.Trim(name, "0123456789") == "" {
			isList = true
		} else if field != nil {
			field = field.field([]byte(name))
		}
	}
	isList = isList || strings.HasSuffix(part.name, "[]")
	switch {
	case field == nil:
	case field.kind == fieldStructure && len(field.fields) > 0 && (f.base == "session" || f.base == "extra_body"):
		f.finder.fieldCount++
		f.nested = &modelFinder{root: field}
		f.json = newRequestText(f.nested)
	case field.kind == fieldStructure:
	default:
		f.field = field
		f.finder.fieldCount++
		// Servers differ in how they read such a part.
		f.invalid = f.invalid || part.isFile || part.hasOtherType || part.hasEncoding || isList && field.kind == fieldMain
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

// isText reports whether the value of the part is text for the model.
func (f *form) isText() bool {
	return slices.Contains([]string{"prompt", "input", "text", "instructions"}, f.base)
}

// end is called at the end of the part.
func (f *form) end() {
	complete := f.size <= maxName
	switch {
	case f.json != nil:
		object := bytes.HasPrefix(trimBOM(f.buf), []byte("{"))
		f.invalid = f.invalid || !object || !f.json.scanner.isComplete() || f.nested.undetermined
		f.mergeModels(&f.nested.modelNames)
	case f.field != nil && (f.field.kind == fieldAdditional || f.field.kind == fieldPossible):
		f.finder.fieldCount--
		f.addList(string(f.buf), complete)
	case f.field != nil:
		f.finder.fieldCount--
		f.finder.add(f.field.kind, string(f.buf), complete)
	}
	if f.base == "stream" {
		f.hasStream = true
		f.streaming = f.streaming || isTrue(string(f.buf))
	}
	f.text += tokensOf(f.partText.cost)
}

// addList adds the models of a comma-separated list.
func (f *form) addList(value string, complete bool) {
	if strings.ContainsAny(value, "[]{}\"") { // JSON
		complete = false
	}
	for name := range strings.SplitSeq(value, ",") {
		f.finder.add(fieldAdditional, strings.TrimSpace(name), complete)
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

// isTrue reports whether at least one server parses a value as true.
func isTrue(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "", "false", "0", "f", "no", "n", "off", "null", "none":
		return false
	default:
		return true
	}
}

// readForm reads the beginning of a form. It returns a reader of the whole form.
func (r *Request) readForm(body io.Reader, contentType []string, boundary string, finder *modelFinder) (io.Reader, error) {
	found := &form{finder: finder}
	scan := newFormReader(boundary, found)
	head := make([]byte, 0, 16<<10)
	ended := false
	limit := maxFormHead
	if r.ConsumesTokens && r.ModelCount == 0 {
		limit = maxModelFormHead
	}
	needsMore := func() bool {
		switch {
		case scan.isComplete():
			return scan.isUnambiguous() // until the end of the body
		case !scan.expectsMore():
			return false
		default:
			return finder.mainCount+r.ModelCount == 0 && len(head) < limit || !found.hasStream && len(head) < maxFormHead
		}
	}
	for !ended && needsMore() {
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
	hasModel := finder.main != "" || r.ModelCount > 0
	r.Complete = !found.invalid && scan.isUnambiguous() && isUnambiguousForm(contentType, boundary) && (scan.isComplete() || hasModel && scan.expectsMore())
	if ended {
		if closer, ok := body.(io.Closer); ok {
			_ = closer.Close()
		}
		return bytes.NewReader(head), nil
	}
	spliced := &splicedBody{head: bytes.NewReader(head), rest: body}
	if scan.expectsMore() && r.Complete {
		spliced.reader, spliced.form, spliced.fieldCount = scan, found, finder.fieldCount
	}
	return spliced, nil
}

// splicedBody is a body whose beginning, head, has been read.
type splicedBody struct {
	head *bytes.Reader
	rest io.Reader

	mu         sync.Mutex
	reader     *formReader // guarded by mu; reads the rest of a form while it is forwarded; nil for other bodies
	form       *form       // guarded by mu
	fieldCount int         // form.finder.fieldCount after the head; guarded by mu
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
