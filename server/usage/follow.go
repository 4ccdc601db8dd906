package usage

import (
	"io"
	"mime"
	"net/http"
	"sync"

	"github.com/openai-connect/openai-connect/server/internal/inflation"
)

// maxFollowed bounds, in bytes, what is decoded of a compressed request to count its
// text. It is far more than most have, and little work.
const maxFollowed = 1 << 20

// sending is a body that is read along in while it is sent.
type sending struct {
	mu     sync.Mutex
	text   requestText // guarded by mu
	coded  *pump       // guarded by mu: undoes what the body is compressed by, nil if it isn't or that is over
	closed bool        // guarded by mu: nothing more is read
}

// Follow has the text of a request counted by tell, which is to be told the pieces of
// its body while that is sent, until end is called. Both are nil if there is nothing to
// count: only JSON is read, plain or, up to 1 MiB, compressed by gzip or deflate, which
// take little memory. Of any other body, and of one that nobody tells of, r.Text and
// r.Characters stay what they are.
func (r *Request) Follow(header http.Header) (tell func(piece []byte), end func()) {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	list := codings(header["Content-Encoding"])
	if !r.Spends || !isJSON(mediaType) || len(list) > 1 || len(list) == 1 && !isSmall(list[0]) {
		return nil, nil
	}
	s := &sending{text: requestText{scanner: scanner{roleOf: requestRole, spoken: r.speech}}}
	if len(list) == 1 {
		s.coded = newPump(func(p io.Reader) { s.decode(list, p) })
	}
	r.sent = s
	return s.write, s.end
}

// isSmall reports whether it takes little memory to undo a coding.
func isSmall(coding string) bool {
	return coding == "gzip" || coding == "x-gzip" || coding == "deflate"
}

// decode reads what is compressed. It runs within write, and end.
func (s *sending) decode(list []string, p io.Reader) {
	decoded, err := undo(list, p, inflation.Bounds{})
	if err != nil {
		return
	}
	defer decoded.Close()
	left := maxFollowed
	drain(decoded, func(piece []byte) bool {
		_, _ = s.text.Write(piece[:min(len(piece), left)])
		left -= min(len(piece), left)
		return left > 0
	})
}

func (s *sending) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case s.coded == nil:
		_, _ = s.text.Write(p)
	case !s.coded.write(p):
		s.close()
	}
}

func (s *sending) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
}

// close ends the reading. The lock must be held.
func (s *sending) close() {
	if s.coded != nil {
		s.coded.close()
		s.coded = nil
	}
	s.closed = true
}

// known reports whether something was sent, which is JSON so far.
func (s *sending) known() bool { return s.text.began && !s.text.scanner.broken }

// reading is what the meter of an answer knows of its request. There may be many
// meters, so it is small.
type reading struct {
	spends, audio bool
	tokens        int64 // Text of a Request
	spoken        int64 // Characters of a Request
	sent          *sending
}

func (r *Request) reading() reading {
	return reading{r.Spends, r.Audio, r.Text, r.Characters, r.sent}
}

// text is the estimate of what the model is to read, in tokens.
func (r *reading) text() int64 {
	if r.sent == nil {
		return r.tokens
	}
	r.sent.mu.Lock()
	defer r.sent.mu.Unlock()
	if !r.sent.known() {
		return r.tokens
	}
	return tokensOf(r.sent.text.scanner.cost())
}

// characters is how many the text has that is to be spoken.
func (r *reading) characters() int64 {
	if r.sent == nil {
		return r.spoken
	}
	r.sent.mu.Lock()
	defer r.sent.mu.Unlock()
	if !r.sent.known() {
		return r.spoken
	}
	return r.sent.text.scanner.characters
}
