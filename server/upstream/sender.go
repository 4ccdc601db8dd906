package upstream

import (
	"context"
	"net/http"
)

// Sender sends requests the way [Upstream.Send] does, on which its contract is
// written down. What stands between those who send and the [Upstream] is one too:
// it may choose among upstreams, or answer in their place.
type Sender interface {
	Send(ctx context.Context, req *Request) (*http.Response, error)
}
