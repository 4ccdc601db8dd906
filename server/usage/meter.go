package usage

import (
	"mime"
	"net/http"
	"strings"
	"time"
)

// Answer is what is known of an answer.
type Answer struct {
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
type meter struct {
	request Request
	status  int
	onEvent func(time.Time)
	now     time.Time // when the piece came that is being read

	kind    kind
	scanner scanner
	lines   lines
	frames  frames
	done    doneMarker
	coded   *decoder // undoes what the body is compressed by, nil if it isn't or that is over
	opaque  bool     // what is compressed can't be read from here on
	session session  // of a WebSocket

	bytes  int64 // of text that can't be read, or isn't JSON
	text   int64 // bytes of the text in all events
	spoken int64 // how many had text
	model  string
	events int
}

// kind is what a body is.
type kind uint8

const (
	kindBinary  kind = iota // audio, images, files: nothing to read
	kindUnsaid              // JSON or an event stream, as the first byte tells
	kindPlain               // a text, whose length counts
	kindJSON                // one JSON text
	kindEvents              // an event stream of JSON texts
	kindSession             // a WebSocket with JSON texts
)

// kindOf tells by the header of an answer what its body is.
func kindOf(resp *http.Response) kind {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return kindSession
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case mediaType == "text/event-stream":
		return kindEvents
	case mediaType == "":
		return kindUnsaid
	case mediaType == "application/json", strings.HasSuffix(mediaType, "+json"):
		return kindJSON
	case strings.HasPrefix(mediaType, "text/"), mediaType == "application/x-subrip":
		return kindPlain
	default:
		return kindBinary
	}
}

func newMeter(resp *http.Response, request Request, onEvent func(time.Time)) *meter {
	m := &meter{request: request, status: resp.StatusCode, onEvent: onEvent, kind: kindOf(resp)}
	m.scanner.roleOf = answerRole
	switch m.kind {
	case kindSession:
		m.frames = frames{begin: m.beginMessage, data: m.messageData, end: m.endMessage}
		m.session.compression = compressionOf(resp.Header["Sec-Websocket-Extensions"])
		return m
	case kindEvents, kindUnsaid:
		m.lines.data, m.lines.end = m.eventData, m.endEvent
		m.scanner.memory = &memory{}
	default:
	}
	if list := codings(resp.Header["Content-Encoding"]); len(list) > 0 && m.reads() {
		if knowsAll(list) {
			m.coded = newDecoder(list, m.content)
		} else {
			m.opaque = true
		}
	}
	return m
}

// reads reports whether there is something to read in the body.
func (m *meter) reads() bool {
	return m.kind != kindBinary && m.status/100 == 2 || m.kind == kindSession
}

// write reads the next piece of the body.
func (m *meter) write(p []byte) {
	m.now = time.Time{}
	switch {
	case !m.reads():
	case m.kind == kindSession:
		m.frames.write(p)
	case m.opaque:
		m.bytes += int64(len(p))
	case m.coded == nil:
		m.content(p)
	case !m.coded.write(p):
		m.close()
	}
}

// close ends what is being decoded, which may have something more to tell.
func (m *meter) close() {
	if m.coded != nil {
		m.now = time.Time{}
		m.coded.close()
		m.coded, m.opaque = nil, true
	}
}

// content reads what the body says, without its codings.
func (m *meter) content(p []byte) {
	if m.kind == kindUnsaid && len(p) > 0 {
		m.kind = kindEvents
		if strings.IndexByte("{[<", p[0]) >= 0 {
			m.kind = kindJSON
		}
	}
	switch m.kind {
	case kindJSON:
		m.scanner.write(p)
	case kindEvents:
		m.lines.write(p)
	case kindPlain:
		m.bytes += int64(len(p))
	default:
	}
}

func (m *meter) eventData(p []byte) {
	m.done.write(p)
	m.scanner.write(p)
}

func (m *meter) endEvent() {
	if m.done.size > 0 && !m.done.is() {
		m.event()
	}
	m.done = doneMarker{}
	m.endText()
}

func (m *meter) event() {
	m.events++
	if m.onEvent == nil {
		return
	}
	if m.now.IsZero() {
		m.now = time.Now()
	}
	m.onEvent(m.now)
}

// endText ends one of several JSON texts.
func (m *meter) endText() {
	m.text, m.spoken = m.texts()
	m.model = m.modelSoFar()
	m.scanner.reset()
}

// texts returns the text so far, with that of a text that isn't over.
func (m *meter) texts() (length, spoken int64) {
	now := m.scanner.textSoFar()
	if now == 0 || m.scanner.echoes {
		return m.text, m.spoken
	}
	return m.text + now, m.spoken + 1
}

func (m *meter) modelSoFar() string {
	if m.model != "" || len(m.scanner.model) == 0 {
		return m.model
	}
	return strings.ToValidUTF8(string(m.scanner.model), "\ufffd")
}

// answer returns what is known so far.
func (m *meter) answer() Answer {
	a := Answer{Model: m.modelSoFar(), Events: m.events}
	switch {
	case !m.request.Spends:
	case m.kind == kindSession:
		a.Usage = m.sessionUsage()
	case m.status/100 != 2:
	default:
		// Of what a stream tells the last word counts, as some tell their usage
		// again and again as it grows.
		told, ok := parse(m.scanner.usage)
		if !ok {
			told = estimate(m.request.Text, m.length())
		}
		a.Usage = told
	}
	return a
}

// length is that of the text so far, in bytes: no event with text has less than a
// token.
func (m *meter) length() int64 {
	length, spoken := m.texts()
	return max(length, bytesPerToken*spoken) + m.bytes
}

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
