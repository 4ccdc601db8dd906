package usage

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
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

// ErrForm says that a form is broken, or names a second model, behind where it was
// read before it was sent.
var ErrForm = errors.New(`the form is broken or has a second field "model"`)

// form is what is known of multipart/form-data (RFC 7578) so far.
type form struct {
	model    string
	models   int
	stream   bool
	streamed bool  // the field is there
	text     int64 // in tokens
	whole    bool  // its end is there
}

// read reads a form to its end.
func (f *form) read(r io.Reader, boundary string) {
	parts := multipart.NewReader(r, boundary)
	for {
		part, err := parts.NextRawPart() // whose bytes are as they are
		if err != nil {
			f.whole = err == io.EOF // one that is wrapped came too soon
			return
		}
		if !f.readPart(part) {
			return
		}
	}
}

// readPart reads a part, and reports whether it was whole.
func (f *form) readPart(part *multipart.Part) bool {
	switch name := strings.ToLower(part.FormName()); name {
	case "": // It may have one for others, who read it otherwise.
		return false
	case "model", "stream":
		value, err := io.ReadAll(io.LimitReader(part, maxWord+1))
		if err == nil {
			_, err = io.Copy(io.Discard, part)
		}
		if err != nil {
			return false
		}
		if name == "stream" {
			f.streamed = true
			f.stream = f.stream || isTrue(string(value))
			return true
		}
		f.models++
		if f.model = ""; len(value) <= maxWord {
			f.model = string(value)
		}
	case "session": // JSON, of a call to the Realtime API
		session := &requestText{scanner: scanner{roleOf: requestRole}}
		if _, err := io.Copy(session, part); err != nil || !session.scanner.whole() {
			return false
		}
		if named := session.scanner.models; named > 0 {
			f.models += named
			f.model = string(session.scanner.model)
		}
	case "prompt", "input", "text", "instructions":
		text := estimator{}
		_, err := io.Copy(&text, part)
		f.text += tokensOf(text.cost)
		return err == nil
	}
	return true
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
func (r *Request) readForm(body io.Reader, boundary string) (io.Reader, error) {
	found := &form{}
	scan := newPump(func(p io.Reader) { found.read(p, boundary) })
	head := make([]byte, 0, 16<<10)
	more, ended := true, false
	bound := maxHead
	if r.Spends {
		bound = maxModelHead
	}
	for more && !ended && (found.models == 0 && len(head) < bound || !found.streamed && len(head) < maxHead) {
		if len(head) == cap(head) {
			head = append(make([]byte, 0, 2*cap(head)), head...)
		}
		n, err := body.Read(head[len(head):cap(head)])
		more = scan.write(head[len(head) : len(head)+n])
		head = head[:len(head)+n]
		if ended = errors.Is(err, io.EOF); err != nil && !ended {
			scan.close()
			return nil, err
		}
	}
	if ended || !more {
		scan.close()
		more = false
	}
	r.Model, r.ModelSeen, r.Text = found.model, found.models, found.text
	r.Stream = r.Stream || found.stream
	opens := bytes.HasPrefix(bytes.TrimPrefix(head, []byte("\r\n")), []byte("--"+boundary))
	r.Known = r.Known && opens && boundary != "" &&
		(found.whole && found.models == 0 || (found.whole || more) && found.model != "")
	if ended {
		if closer, ok := body.(io.Closer); ok {
			_ = closer.Close()
		}
		return bytes.NewReader(head), nil
	}
	whole := &spliced{head: bytes.NewReader(head), rest: body}
	if more {
		whole.scan, whole.found = scan, found
	}
	return whole, nil
}

// spliced is a body of which the head was read before.
type spliced struct {
	head *bytes.Reader
	rest io.Reader

	mu    sync.Mutex
	scan  *pump // guarded by mu: reads along in what is left of a form; nil if nothing does
	found *form // guarded by mu
}

// Read implements [io.Reader].
func (s *spliced) Read(p []byte) (int, error) {
	if s.head.Len() > 0 {
		return s.head.Read(p)
	}
	n, err := s.rest.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.scan != nil && n > 0 && !s.scan.write(p[:n]) {
		s.end()
	}
	if s.found != nil && (s.found.models > 1 || s.scan == nil && !s.found.whole) {
		return 0, ErrForm
	}
	return n, err
}

// Close implements [io.Closer].
func (s *spliced) Close() error {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	if closer, ok := s.rest.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// end lets go of the pump. The lock must be held.
func (s *spliced) end() {
	if s.scan != nil {
		s.scan.close()
		s.scan = nil
	}
}
