package usage

import (
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/openai-connect/openai-connect/server/internal/inflation"
)

// webSocket is the state of a WebSocket, which may have many responses.
type webSocket struct {
	messages messageReader

	compression  compression
	compressed   bool              // the current message is compressed
	decodeBudget int               // the remaining decoded bytes of the current message
	bounds       *inflation.Bounds // the bounds of the decoder; nil without a decoder

	model   string       // the model in the last message that names one
	byModel []ModelUsage // the reported usage by model
}

// compression is the negotiated compression of messages (RFC 7692, section 7).
type compression uint8

const (
	compressionNone      compression = iota
	compressionContext               // a message may refer to previous ones
	compressionNoContext             // each message is independent
)

// compressionOf returns the compression that Sec-WebSocket-Extensions negotiates.
func compressionOf(values []string) compression {
	for _, value := range values {
		for extension := range strings.SplitSeq(value, ",") {
			name, parameters, _ := strings.Cut(extension, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "permessage-deflate") {
				continue
			}
			for each := range strings.SplitSeq(parameters, ";") {
				if strings.EqualFold(strings.TrimSpace(each), "server_no_context_takeover") {
					return compressionNoContext
				}
			}
			return compressionContext
		}
	}
	return compressionNone
}

// flushMarker ends the compressed data of a message. The sender omits it (RFC 7692,
// section 7.2.1).
var flushMarker = []byte{0x00, 0x00, 0xff, 0xff}

func (m *responseMeter) beginMessage(compressed bool) {
	s := m.webSocket
	s.compressed, s.decodeBudget = compressed, maxDecoded
	if s.bounds != nil {
		s.bounds.Reset()
	}
	switch {
	case !compressed || m.decoder != nil || m.undecodable:
	case s.compression == compressionNone:
		m.undecodable = true
	default:
		m.decoder = newMessageDecoder(s, m.scanner.write)
	}
}

// newMessageDecoder returns a pushReader that decodes messages and passes them to sink.
func newMessageDecoder(s *webSocket, sink func([]byte)) *pushReader {
	bounds := new(inflation.Bounds)
	s.bounds = bounds
	return newPushReader(func(r io.Reader) {
		inflater, err := bounds.Reader(r, func(r io.Reader) (io.ReadCloser, error) { return flate.NewReader(r), nil })
		if err != nil {
			return
		}
		defer inflater.Close()
		readAll(inflater, func(p []byte) bool {
			if s.decodeBudget -= len(p); s.decodeBudget < 0 {
				return false
			}
			sink(p)
			return true
		})
	})
}

func (m *responseMeter) messageData(p []byte) {
	switch {
	case !m.webSocket.compressed:
		m.scanner.write(p)
	case m.undecodable:
		m.undecodedBytes += int64(len(p))
	case !m.decoder.write(p):
		m.close()
	}
}

func (m *responseMeter) endMessage() {
	if m.webSocket.compressed && m.decoder != nil {
		ok := m.decoder.write(flushMarker)
		if independent := m.webSocket.compression == compressionNoContext; independent || !ok {
			m.close()
			m.undecodable = !independent
		}
	}
	m.recordEvent()
	m.endResponse()
}

// maxWebSocketModels bounds the number of models of a WebSocket that are counted
// separately. The usage of further models is added to the last of them.
const maxWebSocketModels = 16

// ModelUsage is the usage of a model of a WebSocket.
type ModelUsage struct {
	Model string // empty if it is unknown
	Usage Usage
}

// endResponse adds the usage that the message reported, which replaces the estimate of
// the output before it.
func (m *responseMeter) endResponse() {
	s, reported := m.webSocket, m.scanner.reported
	if named := m.scanner.model; len(named) > 0 && string(named) != s.model {
		s.model = strings.ToValidUTF8(string(named), "\ufffd")
	}
	if m.scanner.reportedMore {
		m.undecodedBytes = 0
	}
	m.endValue()
	if reported == (Usage{}) {
		return
	}
	m.scanner.reported = Usage{}
	if reported.Total == 0 {
		reported = estimate(reported, 0, 0)
	}
	s.byModel = addUsage(s.byModel, s.model, reported)
}

// addUsage adds usage to the sum of a model.
func addUsage(sums []ModelUsage, model string, addition Usage) []ModelUsage {
	for i := range sums {
		if sums[i].Model == model || i == maxWebSocketModels-1 {
			sums[i].Usage = sums[i].Usage.add(addition)
			return sums
		}
	}
	return append(sums, ModelUsage{model, addition})
}

// byModel returns the reported usage plus an estimate of the unreported output.
func (m *responseMeter) byModel() []ModelUsage {
	sums := slices.Clone(m.webSocket.byModel)
	if unreported := m.estimatedOutput(); unreported > 0 || len(sums) == 0 {
		sums = addUsage(sums, m.webSocket.model, Usage{Output: unreported, Total: unreported, Estimated: true})
	}
	return sums
}

// webSocketUsage returns the sum over all models.
func (m *responseMeter) webSocketUsage() Usage {
	var sum Usage
	for _, each := range m.byModel() {
		sum = sum.add(each.Usage)
	}
	return sum
}
