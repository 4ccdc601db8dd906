package usage

import "errors"

// ErrMessageRejected is returned for a client's WebSocket message that names a model that
// is not allowed, or whose models cannot be determined.
var ErrMessageRejected = errors.New("WebSocket message rejected: its model is not allowed or cannot be determined")

// MessageChecker checks the models named in the messages that a client sends on a
// WebSocket, such as the client events of the Realtime API:
// https://platform.openai.com/docs/api-reference/realtime-client-events. CheckSent and
// TrackReceived may be called concurrently.
type MessageChecker struct {
	allows   func(model string) bool
	sent     messageReader // of the data from the client
	received messageReader // of the data from the upstream
	text     *requestText  // reads the client's current message
	rejected bool          // a message was rejected
}

// NewMessageChecker returns a checker for one WebSocket. It rejects a message that names a
// model for which allows returns false.
func NewMessageChecker(allows func(model string) bool) *MessageChecker {
	c := &MessageChecker{allows: allows}
	c.sent = messageReader{fromClient: true, begin: c.begin, data: c.data, end: c.end}
	c.received = messageReader{begin: func(bool) {}, data: func([]byte) {}, end: func() {}}
	return c
}

// CheckSent checks data from the client. It must be called before the data is forwarded.
// After [ErrMessageRejected], neither p nor any later data may be forwarded.
func (c *MessageChecker) CheckSent(p []byte) error {
	c.sent.write(p)
	if c.rejected || c.sent.invalid {
		return ErrMessageRejected
	}
	return nil
}

// TrackReceived finds the frame boundaries in data from the upstream, for
// [MessageChecker.AtBoundary].
func (c *MessageChecker) TrackReceived(p []byte) { c.received.write(p) }

// AtBoundary reports whether the data from the upstream ends between two frames, so that
// another frame may follow.
func (c *MessageChecker) AtBoundary() bool { return c.received.atBoundary() }

// begin, data and end are called for each message of the client.
func (c *MessageChecker) begin(compressed bool) {
	c.rejected = c.rejected || compressed // clients with rules can't negotiate compression
	c.text = newRequestText(&modelFinder{root: messageFields})
}

func (c *MessageChecker) data(p []byte) {
	_, _ = c.text.Write(p) // never fails
}

func (c *MessageChecker) end() {
	found := c.text.scanner.finder
	ambiguous := found.undetermined || found.mainCount > 1
	unreadable := !c.text.scanner.isComplete() || found.mainCount == 1 && found.main == ""
	if ambiguous || unreadable {
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
