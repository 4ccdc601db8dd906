package usage

import (
	"io"
	"mime"
	"net/http"
	"sync"

	"github.com/openai-connect/openai-connect/server/internal/inflation"
)

// maxMetered bounds the decoded data of a compressed request whose text is counted. Few
// requests are larger.
const maxMetered = 1 << 20

// requestTextMeter counts the text of a request while its body is sent.
type requestTextMeter struct {
	mu      sync.Mutex
	text    requestText // guarded by mu
	decoder *pushReader // nil if the body is not encoded, or decoding has ended
	closed  bool        // Nothing more is read.
}

// MeterBody returns functions to count the text of a request while its body is sent:
// write receives each piece, and end is called at the end. Both are nil unless the body
// is JSON, plain or compressed with gzip or deflate, which take little memory. Of
// compressed JSON the first MiB is counted. If nothing is counted, r.TextTokens and
// r.Characters are used.
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

// decodesInLittleMemory reports whether a decoder of the coding needs little memory.
func decodesInLittleMemory(coding string) bool {
	return coding == "gzip" || coding == "x-gzip" || coding == "deflate"
}

// decode counts a compressed body. It runs within write and end.
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

// close ends the counting. The caller holds s.mu.
func (s *requestTextMeter) close() {
	if s.decoder != nil {
		s.decoder.close()
		s.decoder = nil
	}
	s.closed = true
}

// isJSON reports whether JSON has been sent, as far as is known.
func (s *requestTextMeter) isJSON() bool { return s.text.pastBOM && !s.text.scanner.invalid }

// requestEstimate is the part of a request that a meter of its response needs. It is
// small, as there may be many.
type requestEstimate struct {
	consumesTokens, isTranscription bool
	tokens                          int64 // Request.TextTokens
	characterCount                  int64 // Request.Characters
	textMeter                       *requestTextMeter
}

func (r *Request) estimate() requestEstimate {
	return requestEstimate{r.ConsumesTokens, r.Transcription, r.TextTokens, r.Characters, r.textMeter}
}

// text returns the estimate of the input tokens.
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

// characters returns the length of the text that is converted to speech.
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
