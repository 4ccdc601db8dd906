package failover

import (
	"errors"
	"net/http"
	"slices"

	"github.com/openai-connect/openai-connect/server/upstream"
)

// statusOverloaded is what some upstreams answer in place of 503. It is in no RFC.
const statusOverloaded = 529

// try is one exchange with an upstream.
type try struct {
	sent *upstream.Request
	resp *http.Response
	err  error
}

// onward is where a request may go behind a try.
type onward int

const (
	nowhere   onward = iota // what came of it is the client's
	sameOnly                // to the same upstream once more, and to no other
	anywhere                // to the same once more, and then to others
	elsewhere               // to others
)

// onward judges by the rules of the package.
func (t try) onward() onward {
	switch {
	case t.sent.BecameGET:
		return nowhere
	case t.err == nil:
		return t.onwardFromAnswer()
	}
	failure, ok := errors.AsType[*upstream.Error](t.err)
	if !ok {
		return nowhere
	}
	if failure.Unprocessed {
		return anywhere
	}
	switch failure.Kind { //nolint:exhaustive // behind all others the upstream may be at work
	case upstream.KindConnect:
		return anywhere
	case upstream.KindTLS: // the same would fail again
		return elsewhere
	case upstream.KindClosed:
		if isIdempotent(t.sent.Method) {
			return anywhere
		}
		if len(t.sent.Header["Idempotency-Key"]) > 0 {
			return sameOnly
		}
	}
	return nowhere
}

func (t try) onwardFromAnswer() onward {
	switch t.resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, statusOverloaded:
		return elsewhere
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		if isIdempotent(t.sent.Method) {
			return elsewhere
		}
	}
	return nowhere
}

// isIdempotent reports whether to do what a method says twice is to do it once
// (RFC 9110 §9.2.2).
func isIdempotent(method string) bool {
	return slices.Contains([]string{
		"", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete,
	}, method)
}

// health is what a try says of the upstream.
type health int

const (
	unknown health = iota
	works
	limited // the key has used what it may
	fails
)

func (t try) health() health {
	if t.err != nil {
		failure, ok := errors.AsType[*upstream.Error](t.err)
		if !ok || failure.Kind == upstream.KindRequest {
			return unknown
		}
		return fails
	}
	switch t.resp.StatusCode {
	case http.StatusTooManyRequests:
		return limited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, statusOverloaded:
		return fails
	default:
		return works
	}
}
