package usage

import "errors"

// ErrMessage is the error of a client's WebSocket message that names a model that is not
// allowed, or whose models cannot be determined.
var ErrMessage = errors.New("the message names a model that is not allowed, or cannot be read")

// MessageChecker checks the models in the messages that the client of a WebSocket sends,
// such as the client events of the Realtime API:
// https://platform.openai.com/docs/api-reference/realtime-client-events. Sent and Received
// may be called concurrently.
type MessageChecker struct {
	allows   func(model string) bool
	sent     messageReader
	received messageReader
	text     *requestText
	rejected bool
}

// NewMessageChecker returns a checker for a WebSocket. allows reports whether messages may
// name a model.
func NewMessageChecker(allows func(model string) bool) *MessageChecker {
	c := &MessageChecker{allows: allows}
	c.sent = messageReader{fromClient: true, begin: c.begin, data: c.data, end: c.end}
	c.received = messageReader{begin: func(bool) {}, data: func([]byte) {}, end: func() {}}
	return c
}

// Sent checks the next piece that the client sends, before it is forwarded. After
// [ErrMessage] neither p nor any later piece may be forwarded.
func (c *MessageChecker) Sent(p []byte) error {
	c.sent.write(p)
	if c.rejected || c.sent.invalid {
		return ErrMessage
	}
	return nil
}

// Received reads the next piece that the upstream sends.
func (c *MessageChecker) Received(p []byte) { c.received.write(p) }

// AtBoundary reports whether the upstream's last frame is complete.
func (c *MessageChecker) AtBoundary() bool { return c.received.atBoundary() }

func (c *MessageChecker) begin(compressed bool) {
	c.rejected = c.rejected || compressed // Compression was not negotiated.
	c.text = newRequestText(&modelFinder{root: messageFields})
}

func (c *MessageChecker) data(p []byte) {
	_, _ = c.text.Write(p) // It never fails.
}

// end checks a message.
func (c *MessageChecker) end() {
	found := c.text.scanner.finder
	if !c.text.scanner.isComplete() || found.undetermined || found.mainCount > 1 || found.mainCount == 1 && found.main == "" {
		c.rejected = true
		return
	}
	for _, model := range append([]string{found.main, found.alternative}, found.others...) {
		if model != "" && !c.allows(model) {
			c.rejected = true
			return
		}
	}
}
