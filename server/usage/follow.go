package usage

import (
	"mime"
	"net/http"
	"sync"
)

// sending is a body that is read along in while it is sent.
type sending struct {
	mu   sync.Mutex
	text requestText // guarded by mu
}

// Follow has the text of a request counted by the function that it returns, which is to
// be told the pieces of its body while that is sent. It is nil if there is nothing to
// count: only JSON that isn't compressed is read. Of any other body, and of one that
// nobody tells of, r.Text and r.Characters stay what they are.
func (r *Request) Follow(header http.Header) func(piece []byte) {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if !r.Spends || !isJSON(mediaType) || len(codings(header["Content-Encoding"])) > 0 {
		return nil
	}
	sent := &sending{text: requestText{scanner: scanner{roleOf: requestRole, spoken: r.speech}}}
	r.sent = sent
	return sent.write
}

func (s *sending) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.text.Write(p)
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
