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
const maxMetered = 1 << 20

// sending is a body that is read along in while it is sent.
type requestTextMeter struct {
	mu      sync.Mutex
	text    requestText // guarded by mu
	decoder *pushReader // guarded by mu: undoes what the body is compressed by, nil if it isn't or that is over
	closed  bool        // guarded by mu: nothing more is read
}

// Follow has the text of a request counted by tell, which is to be told the pieces of
// its body while that is sent, until end is called. Both are nil if there is nothing to
// count: only JSON is read, plain or, up to 1 MiB, compressed by gzip or deflate, which
// take little memory. Of any other body, and of one that nobody tells of, r.Text and
// r.Characters stay what they are.
func (r *Request) MeterBody(header http.Header) (tell func(piece []byte), end func()) {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	list := contentCodings(header["Content-Encoding"])
	if !r.ConsumesTokens || !isJSON(mediaType) || len(list) > 1 || len(list) == 1 && !decodesInLittleMemory(list[0]) {
		return nil, nil
	}
	s := &requestTextMeter{text: requestText{scanner: scanner{roleOf: requestRole, isSpeech: r.isSpeech}}}
	if len(list) == 1 {
		s.decoder = newPushReader(func(p io.Reader) { s.decode(list, p) })
	}
	r.textMeter = s
	return s.write, s.end
}

// isSmall reports whether it takes little memory to undo a coding.
func decodesInLittleMemory(coding string) bool {
	return coding == "gzip" || coding == "x-gzip" || coding == "deflate"
}

// decode reads what is compressed. It runs within write, and end.
func (s *requestTextMeter) decode(list []string, p io.Reader) {
	decoded, err := newDecoder(list, p, inflation.Bounds{})
	if err != nil {
		return
	}
	defer decoded.Close()
	left := maxMetered
	readAll(decoded, func(piece []byte) bool {
		_, _ = s.text.Write(piece[:min(len(piece), left)])
		left -= min(len(piece), left)
		return left > 0
	})
}

func (s *requestTextMeter) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case s.decoder == nil:
		_, _ = s.text.Write(p)
	case !s.decoder.write(p):
		s.close()
	}
}

func (s *requestTextMeter) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close()
}

// close ends the reading. The lock must be held.
func (s *requestTextMeter) close() {
	if s.decoder != nil {
		s.decoder.close()
		s.decoder = nil
	}
	s.closed = true
}

// known reports whether something was sent, which is JSON so far.
func (s *requestTextMeter) isJSON() bool { return s.text.pastBOM && !s.text.scanner.invalid }

// reading is what the meter of an answer knows of its request. There may be many
// meters, so it is small.
type requestEstimate struct {
	consumesTokens, isTranscription bool
	tokens                          int64 // Text of a Request
	characterCount                  int64 // Characters of a Request
	textMeter                       *requestTextMeter
}

func (r *Request) estimate() requestEstimate {
	return requestEstimate{r.ConsumesTokens, r.Transcription, r.TextTokens, r.Characters, r.textMeter}
}

// text is the estimate of what the model is to read, in tokens.
func (r *requestEstimate) text() int64 {
	if r.textMeter == nil {
		return r.tokens
	}
	r.textMeter.mu.Lock()
	defer r.textMeter.mu.Unlock()
	if !r.textMeter.isJSON() {
		return r.tokens
	}
	return tokensOf(r.textMeter.text.scanner.cost())
}

// characters is how many the text has that is to be spoken.
func (r *requestEstimate) characters() int64 {
	if r.textMeter == nil {
		return r.characterCount
	}
	r.textMeter.mu.Lock()
	defer r.textMeter.mu.Unlock()
	if !r.textMeter.isJSON() {
		return r.characterCount
	}
	return r.textMeter.text.scanner.characters
}
