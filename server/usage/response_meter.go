package usage

import (
	"bytes"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/sse"
)

// Answer is what is known of an answer.
type Response struct {
	// Usage is zero for an answer other than 2xx, and for one to a request that
	// spends nothing.
	Usage Usage
	// Model is the one that answered, by its own word; empty if it didn't say.
	Model string
	// Events counts those of a stream that had data other than "[DONE]", and the
	// text messages of a WebSocket.
	Events int
}

// meter reads the body of an answer. It is not safe for concurrent use.
type responseMeter struct {
	request          requestEstimate
	status           int
	onEvent          func(time.Time)
	arrival          time.Time // when the piece came that is being read
	bytesRead        int64     // bytes of the body that came
	bytesToLastEvent int64     // the same, when the last event of its stream was there; 0 if it wasn't

	kind        kind
	fallback    kind   // what a body is taken for that begins like none that is read
	head        []byte // how the body began, while that doesn't tell what it is
	scanner     scanner
	events      sse.PushReader
	multiple    bool // JSON texts are many
	done        doneMarker
	decoder     *pushReader // undoes what the body is compressed by, nil if it isn't or that is over
	undecodable bool        // what is compressed can't be read from here on
	session     *webSocket  // of a WebSocket, nil for another body

	opaqueBytes    int64     // that can't be read
	plainText      estimator // of a body that is, or may be, a text
	unreportedCost int64     // what was written since told grew, as a cost
	model          string
	eventCount     int
}

// kind is what a body is.
type kind uint8

const (
	kindBinary  kind = iota // audio, images, files: nothing to read
	kindUnknown             // one that its beginning will tell
	kindPlain               // a text, whose length counts
	kindJSON                // JSON texts, one or many
	kindEvents              // an event stream of JSON texts
	kindSession             // a WebSocket with JSON texts
)

// kindOf tells by the header of an answer what its body is taken for unless its
// beginning tells better: many servers send JSON and event streams under other types.
// What is audio, an image or a video is nothing else.
func kindOf(resp *http.Response) kind {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return kindSession
	}
	mediaType := mediaTypeOf(resp)
	major, _, _ := strings.Cut(mediaType, "/")
	switch {
	case mediaType == "text/event-stream", mediaType == "":
		return kindEvents
	case isJSON(mediaType):
		return kindJSON
	case major == "text", mediaType == "application/x-subrip":
		return kindPlain
	case major == "application" && mediaType != "application/zip":
		return kindUnknown
	default:
		return kindBinary
	}
}

// isJSON reports whether a media type is JSON's.
func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json") || isMultipleJSON(mediaType)
}

// isLines reports whether a media type is that of many JSON texts.
func isMultipleJSON(mediaType string) bool {
	switch mediaType {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-seq":
		return true
	default:
		return false
	}
}

func mediaTypeOf(resp *http.Response) string {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType
}

func newResponseMeter(resp *http.Response, request Request, onEvent func(time.Time)) *responseMeter {
	m := &responseMeter{request: request.estimate(), status: resp.StatusCode, onEvent: onEvent, kind: kindOf(resp)}
	m.scanner.roleOf = answerRole
	switch m.kind {
	case kindSession:
		m.session = &webSocket{
			messages:    messageReader{begin: m.beginMessage, data: m.messageData, end: m.endMessage},
			compression: compressionOf(resp.Header["Sec-Websocket-Extensions"]),
		}
		return m
	case kindBinary:
		return m
	case kindUnknown:
	default:
		m.fallback = m.kind
	}
	m.multiple = m.kind == kindJSON && isMultipleJSON(mediaTypeOf(resp))
	m.kind = kindUnknown
	m.events.Data, m.events.End = m.eventData, m.endEvent
	if list := contentCodings(resp.Header["Content-Encoding"]); len(list) > 0 && m.reads() {
		if canDecode(list) {
			m.decoder = newPushDecoder(list, m.content)
		} else {
			m.undecodable = true
		}
	}
	return m
}

// reads reports whether there is something to read in the body.
func (m *responseMeter) reads() bool {
	return m.kind != kindBinary && m.status/100 == 2 || m.kind == kindSession
}

// write reads the next piece of the body.
func (m *responseMeter) write(p []byte) {
	m.arrival = time.Time{}
	m.bytesRead += int64(len(p))
	switch {
	case !m.reads():
	case m.kind == kindSession:
		m.session.messages.write(p)
	case m.undecodable:
		m.opaqueBytes += int64(len(p))
	case m.decoder == nil:
		m.content(p)
	case !m.decoder.write(p):
		m.close()
	}
}

// close ends what is being decoded, which may have something more to tell.
func (m *responseMeter) close() {
	if m.decoder != nil {
		m.arrival = time.Time{}
		m.decoder.close()
		m.decoder, m.undecodable = nil, true
	}
}

// content reads what the body says, without its codings.
func (m *responseMeter) content(p []byte) {
	if m.kind == kindUnknown {
		if p = m.detectKind(p); m.kind == kindUnknown {
			return
		}
	}
	switch m.kind {
	case kindJSON:
		m.json(p)
	case kindEvents:
		m.events.Push(p)
	default:
	}
	if m.fallback == kindPlain {
		m.plainText.write(p)
	}
}

// tell sees what the body is by how it begins, and returns what came of it so far. It
// may have to wait for more. White space before it is passed over: some servers send
// that while nothing else is there.
func (m *responseMeter) detectKind(p []byte) []byte {
	if len(m.head) == 0 {
		p = bytes.TrimLeft(p, whitespace)
	}
	m.head = append(m.head, p...)
	begins, marked := bytes.CutPrefix(m.head, []byte(byteOrderMark))
	if marked {
		begins = bytes.TrimLeft(begins, whitespace)
	}
	switch {
	case len(begins) == 0:
		m.head = m.head[:min(len(m.head), len(byteOrderMark))]
		return nil
	case !marked && strings.HasPrefix(byteOrderMark, string(begins[:min(len(begins), len(byteOrderMark))])):
		return nil
	case begins[0] == '{', begins[0] == '[':
		m.kind, m.head = kindJSON, begins
	default:
		field, _, whole := strings.Cut(string(begins[:min(len(begins), len(longestFieldName))]), ":")
		switch {
		case whole && isFieldName(field):
			m.kind = kindEvents
		case !whole && len(begins) < len(longestFieldName) && isFieldNamePrefix(field):
			return nil
		default:
			m.kind = m.fallback
		}
	}
	begun := m.head
	m.head = nil
	return begun
}

// blanks may stand before what a body says.
const whitespace = " \t\r\n"

const (
	longestFieldName = "event:"
	byteOrderMark    = "\ufeff"
)

// fields are the names of an event stream. A comment has none.
var fieldNames = [...]string{"data", "event", "id", "retry", ""}

func isFieldName(name string) bool { return slices.Contains(fieldNames[:], name) }

// mayBeField reports whether a name begins like that.
func isFieldNamePrefix(begins string) bool {
	return slices.ContainsFunc(fieldNames[:], func(name string) bool { return strings.HasPrefix(name, begins) })
}

// json reads JSON texts one after another. A single text is not an event. Only objects
// and arrays are read as texts: the end of a number or a literal shows only with the next
// byte, so the result would depend on how the body is split.
func (m *responseMeter) json(p []byte) {
	for len(p) > 0 {
		switch {
		case m.scanner.invalid:
			if p = afterLineEnd(p); !m.multiple || p == nil {
				return
			}
			m.endText()
			continue
		case m.scanner.isAtBoundary():
			if p = bytes.TrimLeft(p, separators); len(p) == 0 {
				return
			}
			if m.scanner.isComplete() {
				m.multiple = true
				m.recordEvent()
				m.endText()
			}
			if p[0] != '{' && p[0] != '[' {
				m.scanner.invalid = true
				continue
			}
		}
		p = p[m.scanner.next(p):]
		if m.scanner.isLast && m.scanner.isComplete() {
			m.recordLastEvent()
		}
		if m.multiple && m.scanner.isComplete() {
			m.recordEvent()
			m.endText()
		}
	}
}

// behindLine returns what is behind the end of a line, nil if it doesn't end.
func afterLineEnd(p []byte) []byte {
	_, behind, found := bytes.Cut(p, []byte("\n"))
	if !found {
		return nil
	}
	return behind
}

// separators may stand between JSON texts: white space, and RS (RFC 7464).
const separators = whitespace + "\x1e"

func (m *responseMeter) eventData(p []byte) {
	m.done.write(p)
	m.scanner.write(p)
}

func (m *responseMeter) endEvent() {
	if m.done.size > 0 && !m.done.is() {
		m.recordEvent()
	}
	if m.done.is() || m.scanner.isLast && m.scanner.isComplete() {
		m.recordLastEvent()
	}
	m.done = doneMarker{}
	m.endText()
}

// finish notes that the last event of the stream is there.
func (m *responseMeter) recordLastEvent() {
	if m.bytesToLastEvent == 0 {
		m.bytesToLastEvent = m.bytesRead
	}
}

func (m *responseMeter) recordEvent() {
	m.eventCount++
	if m.onEvent == nil {
		return
	}
	if m.arrival.IsZero() {
		m.arrival = time.Now()
	}
	m.onEvent(m.arrival)
}

// endText ends one of several JSON texts.
func (m *responseMeter) endText() {
	m.unreportedCost = m.outputCost()
	m.model = m.modelName()
	m.scanner.reset()
}

// written is what was written since an answer told more, as a cost, with the text that
// isn't over: what a text tells is of all of it, and of what was before.
func (m *responseMeter) outputCost() int64 {
	switch {
	case m.scanner.reportedMore:
		return 0
	case m.scanner.isEcho:
		return m.unreportedCost
	default:
		return m.unreportedCost + m.scanner.cost()
	}
}

func (m *responseMeter) modelName() string {
	if m.model != "" || len(m.scanner.model) == 0 {
		return m.model
	}
	return strings.ToValidUTF8(string(m.scanner.model), "\ufffd")
}

// answer returns what is known so far.
func (m *responseMeter) response() Response {
	a := Response{Model: m.modelName(), Events: m.eventCount}
	switch {
	case !m.request.consumesTokens:
	case m.kind == kindSession:
		a.Usage = m.sessionUsage()
	case m.status/100 != 2:
	default:
		told := m.scanner.reported
		if !m.request.isTranscription {
			told.Seconds = 0
		}
		told.Characters = max(told.Characters, m.request.characters())
		a.Usage = estimate(told, m.request.text(), m.estimatedOutput())
	}
	return a
}

// length is the estimate for what was written since an answer told more, in tokens.
func (m *responseMeter) estimatedOutput() int64 {
	written := m.outputCost()
	if m.fallback == kindPlain && written == 0 && m.scanner.reported.Total == 0 {
		written = m.plainText.cost // that of a text that looks like JSON, or an event stream
		if m.kind == kindUnknown {
			head := m.plainText
			head.write(m.head)
			written = head.cost
		}
	}
	return tokensOf(written) + (m.opaqueBytes+bytesPerToken-1)/bytesPerToken
}

// bytesPerToken is how much makes a token of what can't be read.
const bytesPerToken = 4

// doneMarker recognizes the data that ends a stream of OpenAI's.
type doneMarker struct {
	size    int
	differs bool
}

const doneData = "[DONE]"

func (d *doneMarker) write(p []byte) {
	end := d.size + len(p)
	d.differs = d.differs || end > len(doneData) || doneData[d.size:end] != string(p)
	d.size = end
}

func (d *doneMarker) is() bool { return d.size == len(doneData) && !d.differs }
