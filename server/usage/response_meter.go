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

// Response holds the results of reading a response with a [Tap].
type Response struct {
	// Usage is zero for a status other than 2xx, and for a request that consumes no
	// tokens.
	Usage Usage
	// Model is the model that the response names, or empty.
	Model string
	// Events counts the events of a stream whose data is not "[DONE]", and the text
	// messages of a WebSocket.
	Events int
}

// responseMeter reads the body of a response. It is not safe for concurrent use.
type responseMeter struct {
	request          requestEstimate
	status           int
	onEvent          func(time.Time)
	arrival          time.Time // when the current piece arrived; zero until an event needs it
	bytesRead        int64     // the length of the body so far
	bytesToLastEvent int64     // 0 if the last event has not been read

	kind        kind
	fallback    kind   // the kind if the beginning of the body does not determine it
	head        []byte // the beginning of a body of unknown kind
	scanner     scanner
	events      sse.PushReader
	multiple    bool // the body has several JSON values
	done        doneMarker
	decoder     *pushReader // nil if the body is not encoded, or decoding has ended
	undecodable bool        // the rest of the encoded body cannot be read
	session     *webSocket  // nil for other kinds

	opaqueBytes    int64     // the number of bytes that could not be decoded
	plainText      estimator // counts a body that may be plain text
	unreportedCost int64     // the cost of the output since the last report
	model          string
	eventCount     int
}

// kind is the format of a body.
type kind uint8

const (
	kindBinary  kind = iota // audio, images and files, which are not read
	kindUnknown             // not yet detected from the beginning of the body
	kindPlain               // plain text, whose tokens are estimated
	kindJSON                // one or several JSON values
	kindEvents              // an event stream of JSON values
	kindSession             // a WebSocket with messages of JSON
)

// kindOf returns the kind of a body according to its header. The beginning of the body
// may override it, because many servers send JSON and event streams with other content
// types, except for kindBinary.
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

// isJSON reports whether a media type is JSON.
func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json") || isMultipleJSON(mediaType)
}

// isMultipleJSON reports whether a media type is a format of several JSON values.
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
	m.scanner.roleOf = responseRole
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
	if codings := contentCodings(resp.Header["Content-Encoding"]); len(codings) > 0 && m.hasUsage() {
		if canDecode(codings) {
			m.decoder = newPushDecoder(codings, m.content)
		} else {
			m.undecodable = true
		}
	}
	return m
}

// hasUsage reports whether the body may contain usage.
func (m *responseMeter) hasUsage() bool {
	return m.kind != kindBinary && m.status/100 == 2 || m.kind == kindSession
}

// write reads the next piece of the body.
func (m *responseMeter) write(p []byte) {
	m.arrival = time.Time{}
	m.bytesRead += int64(len(p))
	switch {
	case !m.hasUsage():
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

// close ends decoding, which may produce more output.
func (m *responseMeter) close() {
	if m.decoder != nil {
		m.arrival = time.Time{}
		m.decoder.close()
		m.decoder, m.undecodable = nil, true
	}
}

// content reads a piece of the decoded body.
func (m *responseMeter) content(p []byte) {
	if m.kind == kindUnknown {
		if p = m.detectKind(p); m.kind == kindUnknown {
			return
		}
	}
	switch m.kind {
	case kindJSON:
		m.jsonText(p)
	case kindEvents:
		m.events.Push(p)
	default:
	}
	if m.fallback == kindPlain {
		m.plainText.write(p)
	}
}

// detectKind detects the kind of the body from its beginning. It returns the body so far,
// or nil if it needs more data. It skips leading white space, which some servers send to
// keep the connection alive.
func (m *responseMeter) detectKind(p []byte) []byte {
	if len(m.head) == 0 {
		p = bytes.TrimLeft(p, whitespace)
	}
	m.head = append(m.head, p...)
	start, hasBOM := bytes.CutPrefix(m.head, []byte(byteOrderMark))
	if hasBOM {
		start = bytes.TrimLeft(start, whitespace)
	}
	switch {
	case len(start) == 0:
		m.head = m.head[:min(len(m.head), len(byteOrderMark))]
		return nil
	case !hasBOM && strings.HasPrefix(byteOrderMark, string(start[:min(len(start), len(byteOrderMark))])):
		return nil
	case start[0] == '{', start[0] == '[':
		m.kind, m.head = kindJSON, start
	default:
		field, _, hasColon := strings.Cut(string(start[:min(len(start), len(longestFieldName))]), ":")
		switch {
		case hasColon && isFieldName(field):
			m.kind = kindEvents
		case !hasColon && len(start) < len(longestFieldName) && isFieldNamePrefix(field):
			return nil
		default:
			m.kind = m.fallback
		}
	}
	body := m.head
	m.head = nil
	return body
}

// whitespace may precede the content of a body.
const whitespace = " \t\r\n"

const (
	longestFieldName = "event:"
	byteOrderMark    = "\ufeff"
)

// fieldNames are the field names of an event stream. A comment has an empty name.
var fieldNames = [...]string{"data", "event", "id", "retry", ""}

func isFieldName(name string) bool { return slices.Contains(fieldNames[:], name) }

// isFieldNamePrefix reports whether start is a prefix of a field name.
func isFieldNamePrefix(start string) bool {
	return slices.ContainsFunc(fieldNames[:], func(name string) bool { return strings.HasPrefix(name, start) })
}

// jsonText reads a piece of one or several JSON values. A single value is not an event.
// Numbers and literals are invalid here: only the next byte shows where they end, so the
// result would depend on how the body is split.
func (m *responseMeter) jsonText(p []byte) {
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

// afterLineEnd returns the bytes after the first line end, or nil without a line end.
func afterLineEnd(p []byte) []byte {
	_, rest, found := bytes.Cut(p, []byte("\n"))
	if !found {
		return nil
	}
	return rest
}

// separators may occur between JSON values: white space, and RS (RFC 7464).
const separators = whitespace + "\x1e"

func (m *responseMeter) eventData(p []byte) {
	m.done.write(p)
	m.scanner.write(p)
}

func (m *responseMeter) endEvent() {
	if m.done.size > 0 && !m.done.matches() {
		m.recordEvent()
	}
	if m.done.matches() || m.scanner.isLast && m.scanner.isComplete() {
		m.recordLastEvent()
	}
	m.done = doneMarker{}
	m.endText()
}

// recordLastEvent records the position of the last event.
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

// endText ends one of several JSON values.
func (m *responseMeter) endText() {
	m.unreportedCost = m.outputCost()
	m.model = m.modelName()
	m.scanner.reset()
}

// outputCost returns the cost of the output since the last report, including the current
// JSON value. A report covers its whole JSON value and all previous ones.
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

// response returns the results so far.
func (m *responseMeter) response() Response {
	r := Response{Model: m.modelName(), Events: m.eventCount}
	switch {
	case !m.request.consumesTokens:
	case m.kind == kindSession:
		r.Usage = m.sessionUsage()
	case m.status/100 != 2:
	default:
		reported := m.scanner.reported
		if !m.request.isTranscription {
			reported.Seconds = 0
		}
		reported.Characters = max(reported.Characters, m.request.characters())
		r.Usage = estimate(reported, m.request.text(), m.estimatedOutput())
	}
	return r
}

// estimatedOutput returns an estimate of the output tokens since the last report.
func (m *responseMeter) estimatedOutput() int64 {
	cost := m.outputCost()
	if m.fallback == kindPlain && cost == 0 && m.scanner.reported.Total == 0 {
		cost = m.plainText.cost // The text looks like JSON or an event stream.
		if m.kind == kindUnknown {
			head := m.plainText
			head.write(m.head)
			cost = head.cost
		}
	}
	return tokensOf(cost) + (m.opaqueBytes+BytesPerToken-1)/BytesPerToken
}

// BytesPerToken is the estimated size of a token of content that cannot be read.
const BytesPerToken = 4

// doneMarker recognizes the data "[DONE]" of OpenAI's streams.
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

func (d *doneMarker) matches() bool { return d.size == len(doneData) && !d.differs }
