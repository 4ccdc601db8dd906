package usage

import (
	"io"
	"mime"
	"net/http"
	"sync"

	"github.com/openai-connect/openai-connect/server/internal/inflation"
)

// maxMetered bounds the decoded bytes of a compressed request that are counted. Few
// requests are larger.
const maxMetered = 1 << 20

// requestTextMeter counts the tokens of a request while its body is sent.
type requestTextMeter struct {
	mu      sync.Mutex
	text    requestText // guarded by mu
	decoder *pushReader // nil if the body is not encoded, or decoding has ended
	closed  bool        // Nothing more is read.
}

// MeterBody returns functions that count the tokens of a request while its body is sent:
// write receives each piece, and end is called at the end. Both are nil unless the body
// is JSON, uncompressed or compressed with gzip or deflate, which take little memory. Of
// compressed JSON, only the first MiB is counted. If nothing is counted, r.TextTokens and
// r.Characters are used.
func (r *Request) MeterBody(header http.Header) (write func(piece []byte), end func()) {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	codings := contentCodings(header["Content-Encoding"])
	if !r.ConsumesTokens || !isJSON(mediaType) || len(codings) > 1 || len(codings) == 1 && !decodesInLittleMemory(codings[0]) {
		return nil, nil
	}
	m := &requestTextMeter{text: requestText{scanner: scanner{roleOf: requestRole, isSpeech: r.isSpeech}}}
	if len(codings) == 1 {
		m.decoder = newPushReader(func(p io.Reader) { m.decode(codings, p) })
	}
	r.textMeter = m
	return m.write, m.end
}

// decodesInLittleMemory reports whether a decoder of the coding needs little memory.
func decodesInLittleMemory(coding string) bool {
	return coding == "gzip" || coding == "x-gzip" || coding == "deflate"
}

// decode counts the tokens of a compressed body. It runs within write and end.
func (m *requestTextMeter) decode(codings []string, p io.Reader) {
	decoded, err := newDecoder(codings, p, inflation.Bounds{})
	if err != nil {
		return
	}
	defer decoded.Close()
	remaining := maxMetered
	readAll(decoded, func(piece []byte) bool {
		_, _ = m.text.Write(piece[:min(len(piece), remaining)])
		remaining -= min(len(piece), remaining)
		return remaining > 0
	})
}

func (m *requestTextMeter) write(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
	case m.decoder == nil:
		_, _ = m.text.Write(p)
	case !m.decoder.write(p):
		m.close()
	}
}

func (m *requestTextMeter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.close()
}

// close ends the counting. The caller holds s.mu.
func (m *requestTextMeter) close() {
	if m.decoder != nil {
		m.decoder.close()
		m.decoder = nil
	}
	m.closed = true
}

// isJSON reports whether the body so far is valid JSON.
func (m *requestTextMeter) isJSON() bool { return m.text.pastBOM && !m.text.scanner.invalid }

// requestEstimate holds the fields of a request that a meter of its response needs. It is
// small, because a server meters many responses concurrently.
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

// characters returns the length of the text to be converted to speech.
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
