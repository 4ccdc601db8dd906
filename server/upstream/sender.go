package upstream

import (
	"context"
	"net/http"
)

// Sender sends requests with the contract of [Upstream.Send]. The layers between the
// handlers and an [Upstream] are Senders too. They may choose among upstreams or respond
// themselves.
type Sender interface {
	Send(ctx context.Context, req *Request) (*http.Response, error)
}
