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
	maxHead      = 1 << 20
	maxModelHead = 26 << 20
)

// ErrForm says that a form is broken, or names a further model, behind where it was
// read before it was sent.
var ErrForm = errors.New("the form is broken or names a further model")

// form is what is known of multipart/form-data (RFC 7578) so far.
type form struct {
	found    *modelFinder
	stream   bool
	streamed bool      // the field is there
	text     int64     // in tokens
	prose    estimator // of the part's value, where that is text

	part    formPart
	base    string // the name of the part, folded and without brackets
	place   *modelPlace
	word    []byte       // the beginning of a value that is short
	size    int64        // of the value, in bytes
	session *requestText // reads a value that is JSON
	nested  *modelFinder // what that finds
	broken  bool         // the form can't be judged
}

// begin is told the head of a part.
func (f *form) begin(part formPart) {
	base, index, _ := strings.Cut(part.name, "[")
	f.part, f.base, f.place = part, fold([]byte(base)), nil
	f.word, f.size, f.session, f.prose = f.word[:0], 0, nil, estimator{}
	if f.base == "_charset_" { // RFC 7578 §4.6: of the values that follow
		f.broken = true
	}
	place := f.found.root.member([]byte(base))
	listed := false
	for name := range strings.FieldsFuncSeq(index, func(c rune) bool { return c == '[' || c == ']' }) {
		if strings.Trim(name, "0123456789") == "" {
			listed = true
		} else if place != nil {
			place = place.member([]byte(name))
		}
	}
	listed = listed || strings.HasSuffix(part.name, "[]")
	switch {
	case place == nil:
	case place.kind == placeStructure && len(place.members) > 0 && (f.base == "session" || f.base == "extra_body"):
		f.found.count++
		f.nested = &modelFinder{root: place}
		f.session = newRequestText(f.nested)
	case place.kind == placeStructure:
	default:
		f.place = place
		f.found.count++
		// A list of fields, or a file, is read differently from server to server.
		f.broken = f.broken || part.file || part.typed || part.encoded || listed && place.kind == placeMain
	}
}

// data is told a piece of the part's value.
func (f *form) data(p []byte) {
	f.size += int64(len(p))
	if f.session != nil {
		_, _ = f.session.Write(p) // It never fails.
	}
	f.word = append(f.word, p[:min(len(p), maxWord+1-len(f.word))]...)
	if f.isText() {
		f.prose.write(p)
	}
}

// isText reports whether the part has text for the model to read.
func (f *form) isText() bool {
	return slices.Contains([]string{"prompt", "input", "text", "instructions"}, f.base)
}

// end is told that the part is over.
func (f *form) end() {
	known := f.size <= maxWord
	switch {
	case f.session != nil:
		object := bytes.HasPrefix(beginning(f.word), []byte("{"))
		f.broken = f.broken || !object || !f.session.scanner.whole() || f.nested.unjudged
		f.merge(&f.nested.modelNames)
	case f.place != nil && (f.place.kind == placeFurther || f.place.kind == placePerhaps):
		f.found.count--
		f.list(string(f.word), known)
	case f.place != nil:
		f.found.count--
		f.found.add(f.place.kind, string(f.word), known)
	}
	if f.base == "stream" {
		f.streamed = true
		f.stream = f.stream || isTrue(string(f.word))
	}
	f.text += tokensOf(f.prose.cost)
}

// list adds models that a value lists, between commas.
func (f *form) list(value string, known bool) {
	if strings.ContainsAny(value, "[]{}\"") { // JSON
		known = false
	}
	for name := range strings.SplitSeq(value, ",") {
		f.found.add(placeFurther, strings.TrimSpace(name), known)
	}
}

// merge adds what a value that is JSON names.
func (f *form) merge(nested *modelNames) {
	if nested.mains > 0 {
		f.found.main, f.found.mains = nested.main, f.found.mains+nested.mains
	}
	for _, model := range append([]string{nested.instead}, nested.others...) {
		f.found.addOther(model)
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
	found := &form{found: finder}
	scan := newFormReader(boundary, found)
	head := make([]byte, 0, 16<<10)
	ended := false
	bound := maxHead
	if r.Spends && r.ModelSeen == 0 {
		bound = maxModelHead
	}
	looksOn := func() bool {
		switch {
		case scan.whole():
			return scan.alike() // until nothing follows
		case !scan.more():
			return false
		default:
			return finder.mains+r.ModelSeen == 0 && len(head) < bound || !found.streamed && len(head) < maxHead
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
	r.Text = found.text
	r.Stream = r.Stream || found.stream
	named := finder.main != "" || r.ModelSeen > 0
	r.Known = !found.broken && scan.alike() && isPlainForm(contentType, boundary) && (scan.whole() || named && scan.more())
	if ended {
		if closer, ok := body.(io.Closer); ok {
			_ = closer.Close()
		}
		return bytes.NewReader(head), nil
	}
	whole := &spliced{head: bytes.NewReader(head), rest: body}
	if scan.more() && r.Known {
		whole.scan, whole.found, whole.count = scan, found, finder.count
	}
	return whole, nil
}

// spliced is a body of which the head was read before.
type spliced struct {
	head *bytes.Reader
	rest io.Reader

	mu    sync.Mutex
	scan  *formReader // guarded by mu: reads along in what is left of a form; nil if nothing does
	found *form       // guarded by mu
	count int         // guarded by mu: of the places of models that were judged
}

// Read implements [io.Reader].
func (s *spliced) Read(p []byte) (int, error) {
	if s.head.Len() > 0 {
		return s.head.Read(p)
	}
	n, err := s.rest.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scan == nil {
		return n, err
	}
	s.scan.write(p[:n])
	if errors.Is(err, io.EOF) {
		s.scan.finish()
	}
	if s.found.broken || !s.scan.alike() || s.found.found.count > s.count {
		return 0, ErrForm
	}
	return n, err
}

// Close implements [io.Closer].
func (s *spliced) Close() error {
	if closer, ok := s.rest.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
