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
	request reading
	status  int
	onEvent func(time.Time)
	now     time.Time // when the piece came that is being read
	read    int64     // bytes of the body that came
	last    int64     // the same, when the last event of its stream was there; 0 if it wasn't

	kind    kind
	unread  kind   // what a body is taken for that begins like none that is read
	head    []byte // how the body began, while that doesn't tell what it is
	scanner scanner
	events  sse.PushReader
	many    bool // JSON texts are many
	done    doneMarker
	coded   *pump    // undoes what the body is compressed by, nil if it isn't or that is over
	opaque  bool     // what is compressed can't be read from here on
	session *session // of a WebSocket, nil for another body

	bytes      int64     // that can't be read
	plain      estimator // of a body that is, or may be, a text
	since      int64     // what was written since told grew, as a cost
	model      string
	eventCount int
}

// kind is what a body is.
type kind uint8

const (
	kindBinary  kind = iota // audio, images, files: nothing to read
	kindUnsaid              // one that its beginning will tell
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
		return kindUnsaid
	default:
		return kindBinary
	}
}

// isJSON reports whether a media type is JSON's.
func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json") || isLines(mediaType)
}

// isLines reports whether a media type is that of many JSON texts.
func isLines(mediaType string) bool {
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

func newMeter(resp *http.Response, request Request, onEvent func(time.Time)) *meter {
	m := &meter{request: request.reading(), status: resp.StatusCode, onEvent: onEvent, kind: kindOf(resp)}
	m.scanner.roleOf = answerRole
	switch m.kind {
	case kindSession:
		m.session = &session{
			messages:    messageReader{begin: m.beginMessage, data: m.messageData, end: m.endMessage},
			compression: compressionOf(resp.Header["Sec-Websocket-Extensions"]),
		}
		return m
	case kindBinary:
		return m
	case kindUnsaid:
	default:
		m.unread = m.kind
	}
	m.many = m.kind == kindJSON && isLines(mediaTypeOf(resp))
	m.kind = kindUnsaid
	m.events.Data, m.events.End = m.eventData, m.endEvent
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
	m.read += int64(len(p))
	switch {
	case !m.reads():
	case m.kind == kindSession:
		m.session.messages.write(p)
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
	if m.kind == kindUnsaid {
		if p = m.tell(p); m.kind == kindUnsaid {
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
	if m.unread == kindPlain {
		m.plain.write(p)
	}
}

// tell sees what the body is by how it begins, and returns what came of it so far. It
// may have to wait for more. White space before it is passed over: some servers send
// that while nothing else is there.
func (m *meter) tell(p []byte) []byte {
	if len(m.head) == 0 {
		p = bytes.TrimLeft(p, blanks)
	}
	m.head = append(m.head, p...)
	begins, marked := bytes.CutPrefix(m.head, []byte(byteOrderMark))
	if marked {
		begins = bytes.TrimLeft(begins, blanks)
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
		field, _, whole := strings.Cut(string(begins[:min(len(begins), len(longestField))]), ":")
		switch {
		case whole && isField(field):
			m.kind = kindEvents
		case !whole && len(begins) < len(longestField) && mayBeField(field):
			return nil
		default:
			m.kind = m.unread
		}
	}
	begun := m.head
	m.head = nil
	return begun
}

// blanks may stand before what a body says.
const blanks = " \t\r\n"

const (
	longestField  = "event:"
	byteOrderMark = "\ufeff"
)

// fields are the names of an event stream. A comment has none.
var fields = [...]string{"data", "event", "id", "retry", ""}

func isField(name string) bool { return slices.Contains(fields[:], name) }

// mayBeField reports whether a name begins like that.
func mayBeField(begins string) bool {
	return slices.ContainsFunc(fields[:], func(name string) bool { return strings.HasPrefix(name, begins) })
}

// json reads JSON texts one after another. A single text is not an event. Only objects
// and arrays are read as texts: the end of a number or a literal shows only with the next
// byte, so the result would depend on how the body is split.
func (m *meter) json(p []byte) {
	for len(p) > 0 {
		switch {
		case m.scanner.broken:
			if p = behindLine(p); !m.many || p == nil {
				return
			}
			m.endText()
			continue
		case m.scanner.between():
			if p = bytes.TrimLeft(p, separators); len(p) == 0 {
				return
			}
			if m.scanner.whole() {
				m.many = true
				m.event()
				m.endText()
			}
			if p[0] != '{' && p[0] != '[' {
				m.scanner.broken = true
				continue
			}
		}
		p = p[m.scanner.next(p):]
		if m.scanner.last && m.scanner.whole() {
			m.finish()
		}
		if m.many && m.scanner.whole() {
			m.event()
			m.endText()
		}
	}
}

// behindLine returns what is behind the end of a line, nil if it doesn't end.
func behindLine(p []byte) []byte {
	_, behind, found := bytes.Cut(p, []byte("\n"))
	if !found {
		return nil
	}
	return behind
}

// separators may stand between JSON texts: white space, and RS (RFC 7464).
const separators = blanks + "\x1e"

func (m *meter) eventData(p []byte) {
	m.done.write(p)
	m.scanner.write(p)
}

func (m *meter) endEvent() {
	if m.done.size > 0 && !m.done.is() {
		m.event()
	}
	if m.done.is() || m.scanner.last && m.scanner.whole() {
		m.finish()
	}
	m.done = doneMarker{}
	m.endText()
}

// finish notes that the last event of the stream is there.
func (m *meter) finish() {
	if m.last == 0 {
		m.last = m.read
	}
}

func (m *meter) event() {
	m.eventCount++
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
	m.since = m.written()
	m.model = m.modelSoFar()
	m.scanner.reset()
}

// written is what was written since an answer told more, as a cost, with the text that
// isn't over: what a text tells is of all of it, and of what was before.
func (m *meter) written() int64 {
	switch {
	case m.scanner.more:
		return 0
	case m.scanner.echoes:
		return m.since
	default:
		return m.since + m.scanner.cost()
	}
}

func (m *meter) modelSoFar() string {
	if m.model != "" || len(m.scanner.model) == 0 {
		return m.model
	}
	return strings.ToValidUTF8(string(m.scanner.model), "\ufffd")
}

// answer returns what is known so far.
func (m *meter) answer() Answer {
	a := Answer{Model: m.modelSoFar(), Events: m.eventCount}
	switch {
	case !m.request.spends:
	case m.kind == kindSession:
		a.Usage = m.sessionUsage()
	case m.status/100 != 2:
	default:
		told := m.scanner.told
		if !m.request.audio {
			told.Seconds = 0
		}
		told.Characters = max(told.Characters, m.request.characters())
		a.Usage = estimate(told, m.request.text(), m.length())
	}
	return a
}

// length is the estimate for what was written since an answer told more, in tokens.
func (m *meter) length() int64 {
	written := m.written()
	if m.unread == kindPlain && written == 0 && m.scanner.told.Total == 0 {
		written = m.plain.cost // that of a text that looks like JSON, or an event stream
		if m.kind == kindUnsaid {
			head := m.plain
			head.write(m.head)
			written = head.cost
		}
	}
	return tokensOf(written) + (m.bytes+bytesPerToken-1)/bytesPerToken
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
