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

// Response holds what a [Tap] has read from a response.
type Response struct {
	// Usage is zero if the status is not 2xx or 101, or if requests of this kind consume
	// no tokens.
	Usage Usage
	// Model is the model named in the response, or empty.
	Model string
	// Events is the number of events of a stream, without "[DONE]", or of text messages of
	// a WebSocket.
	Events int
}

// responseMeter determines the usage of a response from its body. It is not safe for
// concurrent use.
type responseMeter struct {
	request          requestEstimate
	status           int
	onEvent          func(time.Time)
	arrival          time.Time // when the current piece arrived; set when an event ends in it
	bytesRead        int64     // the number of encoded bytes so far
	bytesToLastEvent int64     // see [Tap.BytesToLastEvent]

	kind        kind
	fallback    kind   // used if detectKind finds neither JSON nor an event stream
	head        []byte // the buffered beginning of the body while its kind is unknown
	scanner     scanner
	events      sse.PushReader
	multiple    bool        // the body consists of several JSON values
	done        doneMarker  // compares the data of the current event
	decoder     *pushReader // nil if the body has no content coding, or decoding has ended
	undecodable bool        // the rest of the encoded body cannot be read
	webSocket   *webSocket  // nil for other kinds

	undecodedBytes int64     // the number of bytes that could not be decoded
	plainText      estimator // estimates the tokens of the body if it is plain text
	unreportedCost int64     // the cost of the output after the last reported usage, see [estimator]
	model          string
	eventCount     int
}

// kind is the format of a body.
type kind uint8

const (
	kindBinary      kind = iota // audio, images and files, which are not parsed
	kindUnknown                 // to be detected from the beginning of the body
	kindPlainText               // plain text, whose tokens are estimated
	kindJSON                    // one or several JSON values
	kindEventStream             // an event stream of JSON values
	kindWebSocket               // a WebSocket with JSON messages
)

// kindOf returns the kind of a body according to its Content-Type. For all kinds except
// kindBinary, the beginning of the body takes precedence, because many servers send JSON
// and event streams with the wrong content type.
func kindOf(resp *http.Response) kind {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return kindWebSocket
	}
	mediaType := mediaTypeOf(resp)
	major, _, _ := strings.Cut(mediaType, "/")
	switch {
	case mediaType == "text/event-stream", mediaType == "":
		return kindEventStream
	case isJSON(mediaType):
		return kindJSON
	case major == "text", mediaType == "application/x-subrip":
		return kindPlainText
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

// isMultipleJSON reports whether a media type stands for a sequence of JSON values.
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
	case kindWebSocket:
		m.webSocket = &webSocket{
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

// hasUsage reports whether the body can contain usage.
func (m *responseMeter) hasUsage() bool {
	return m.kind != kindBinary && m.status/100 == 2 || m.kind == kindWebSocket
}

// write reads the next piece of the body.
func (m *responseMeter) write(p []byte) {
	m.arrival = time.Time{}
	m.bytesRead += int64(len(p))
	switch {
	case !m.hasUsage():
	case m.kind == kindWebSocket:
		m.webSocket.messages.write(p)
	case m.undecodable:
		m.undecodedBytes += int64(len(p))
	case m.decoder == nil:
		m.content(p)
	case !m.decoder.write(p):
		m.close()
	}
}

// close ends decoding, which may deliver buffered output.
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
		m.readJSON(p)
	case kindEventStream:
		m.events.Push(p)
	default:
	}
	if m.fallback == kindPlainText {
		m.plainText.write(p)
	}
}

// detectKind sets the kind of the body according to its beginning, and returns the body so
// far. If it needs more data, it returns nil. It skips leading white space, which some
// servers send to keep the connection alive.
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
			m.kind = kindEventStream
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

// whitespace holds the characters that may precede the content of a body.
const whitespace = " \t\r\n"

const (
	longestFieldName = "event:"
	byteOrderMark    = "\ufeff"
)

// fieldNames are the field names of an event stream. A comment starts with an empty name.
var fieldNames = [...]string{"data", "event", "id", "retry", ""}

func isFieldName(name string) bool { return slices.Contains(fieldNames[:], name) }

// isFieldNamePrefix reports whether start is a prefix of a field name.
func isFieldNamePrefix(start string) bool {
	return slices.ContainsFunc(fieldNames[:], func(name string) bool { return strings.HasPrefix(name, start) })
}

// readJSON reads a piece of one or several JSON values. Each of several values is an event.
// Only objects and arrays are valid. The end of a number or literal is known only from the
// next byte, so its arrival time would depend on how the body is split.
func (m *responseMeter) readJSON(p []byte) {
	for len(p) > 0 {
		switch {
		case m.scanner.invalid:
			if p = afterNewline(p); !m.multiple || p == nil {
				return
			}
			m.endValue()
			continue
		case m.scanner.isAtBoundary():
			if p = bytes.TrimLeft(p, separators); len(p) == 0 {
				return
			}
			if m.scanner.isComplete() {
				m.multiple = true
				m.recordEvent()
				m.endValue()
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
			m.endValue()
		}
	}
}

// afterNewline returns the bytes after the first newline, or nil if p has no newline.
func afterNewline(p []byte) []byte {
	_, rest, found := bytes.Cut(p, []byte("\n"))
	if !found {
		return nil
	}
	return rest
}

// separators holds the characters that may occur between JSON values: white space and the
// record separator of RFC 7464.
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
	m.endValue()
}

// recordLastEvent records that the body so far includes the last event.
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

// endValue must be called at the end of each JSON value of a sequence, and of the data of
// each event.
func (m *responseMeter) endValue() {
	m.unreportedCost = m.outputCost()
	m.model = m.modelName()
	m.scanner.reset()
}

// outputCost returns the cost of the output after the last reported usage, including the
// current JSON value. Reported usage covers its own JSON value and all previous ones.
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
	case m.kind == kindWebSocket:
		r.Usage = m.webSocketUsage()
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

// estimatedOutput estimates the number of output tokens after the last reported usage.
func (m *responseMeter) estimatedOutput() int64 {
	cost := m.outputCost()
	if m.fallback == kindPlainText && cost == 0 && m.scanner.reported.Total == 0 {
		cost = m.plainText.cost // Even if its kind was detected, the body is plain text.
		if m.kind == kindUnknown {
			head := m.plainText
			head.write(m.head)
			cost = head.cost
		}
	}
	return tokensOf(cost) + (m.undecodedBytes+BytesPerToken-1)/BytesPerToken
}

// BytesPerToken is the estimated size of a token in content that cannot be parsed.
const BytesPerToken = 4

// doneMarker reports whether the data of an event is "[DONE]", which ends OpenAI's streams.
type doneMarker struct {
	size    int // the length of the data so far
	differs bool
}

const doneData = "[DONE]"

func (d *doneMarker) write(p []byte) {
	end := d.size + len(p)
	d.differs = d.differs || end > len(doneData) || doneData[d.size:end] != string(p)
	d.size = end
}

func (d *doneMarker) matches() bool { return d.size == len(doneData) && !d.differs }
