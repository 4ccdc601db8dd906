package httpserver

import (
	"net/http"
	"time"
)

const (
	// maxUnread is the number of unread HTTP/2 responses above which further ones get
	// only unreadTimeout. Each takes about 20 KB. It equals the default limit of
	// concurrent requests, which may all end at the same time.
	maxUnread     = 12000
	unreadTimeout = 10 * time.Second
)

// limitUnread must be called with the writer of an HTTP/2 response when its handler
// returns. From then on net/http sends the rest of the response and waits, without a
// timeout, for the client to open its flow-control window. So limitUnread sets a
// deadline for the stream, at which net/http resets it.
func (c *clientConn) limitUnread(w http.ResponseWriter, timeout time.Duration) {
	unread := &c.listener.stats.unread
	if unread.Add(1) > maxUnread {
		timeout = min(timeout, unreadTimeout)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout))
	closed := w.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // nothing else reports the end of a stream after its handler has returned
	go func() {
		<-closed
		unread.Add(-1)
	}()
}
