package usage

import "errors"

// ErrMessage says that a client's message on a WebSocket names a model that is not
// allowed, or that which models it names can't be told.
var ErrMessage = errors.New("the message names a model that is not allowed, or can't be read")

// Messages follows a WebSocket for the models that the client's messages name, as those
// of the Realtime API do: https://platform.openai.com/docs/api-reference/realtime-client-events.
// Sent and Received may be called at the same time.
type Messages struct {
	allows  func(model string) bool
	sent    frames
	got     frames
	text    *requestText
	refused bool
}

// NewMessages returns one for a WebSocket whose messages may name the models that allows
// reports.
func NewMessages(allows func(model string) bool) *Messages {
	m := &Messages{allows: allows}
	m.sent = frames{fromClient: true, begin: m.begin, data: m.data, end: m.end}
	nothing := func() {}
	m.got = frames{begin: func(bool) {}, data: func([]byte) {}, end: nothing}
	return m
}

// Sent is told what the client sends, before that goes on to the upstream. With
// [ErrMessage] none of p may go on, and nothing after it.
func (m *Messages) Sent(p []byte) error {
	m.sent.write(p)
	if m.refused || m.sent.broken {
		return ErrMessage
	}
	return nil
}

// Received is told what the upstream sends.
func (m *Messages) Received(p []byte) { m.got.write(p) }

// Between reports whether the upstream has sent whole frames so far.
func (m *Messages) Between() bool { return m.got.between() && !m.got.broken }

func (m *Messages) begin(compressed bool) {
	m.refused = m.refused || compressed // It was not agreed on.
	m.text = newRequestText(&modelFinder{root: messagePlaces})
}

func (m *Messages) data(p []byte) {
	_, _ = m.text.Write(p) // It never fails.
}

// end judges a message.
func (m *Messages) end() {
	found := m.text.scanner.finder
	if !m.text.scanner.whole() || found.unjudged || found.mains > 1 || found.mains == 1 && found.main == "" {
		m.refused = true
		return
	}
	for _, model := range append([]string{found.main, found.instead}, found.others...) {
		if model != "" && !m.allows(model) {
			m.refused = true
			return
		}
	}
}
