package failover

import (
	"errors"
	"net/http"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// statusOverloaded is sent by some upstreams instead of 503. It is not defined by any RFC.
const statusOverloaded = 529

// attempt is one exchange with an upstream.
type attempt struct {
	sent *upstream.Request
	resp *http.Response
	err  error
}

// retryScope is where a request may be sent after an attempt.
type retryScope int

const (
	noRetry    retryScope = iota // the client receives the result
	retrySame                    // to the same upstream, and to no other
	retryAny                     // to the same upstream, and then to others
	retryOther                   // to other upstreams
)

// retryScope applies the rules of the package comment.
func (a attempt) retryScope() retryScope {
	switch {
	case a.sent.BecameGET:
		return noRetry
	case a.err == nil:
		return a.retryScopeOfResponse()
	}
	failure, ok := errors.AsType[*upstream.Error](a.err)
	if !ok {
		return noRetry
	}
	if failure.Unprocessed {
		return retryAny
	}
	switch failure.Kind { //nolint:exhaustive // after all others the upstream may be processing the request
	case upstream.KindConnect:
		return retryAny
	case upstream.KindTLS: // the same upstream would fail again
		return retryOther
	case upstream.KindClosed:
		if httpx.IsIdempotent(a.sent.Method) {
			return retryAny
		}
		if len(a.sent.Header["Idempotency-Key"]) > 0 {
			return retrySame
		}
	}
	return noRetry
}

func (a attempt) retryScopeOfResponse() retryScope {
	switch a.resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, statusOverloaded:
		return retryOther
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		if httpx.IsIdempotent(a.sent.Method) {
			return retryOther
		}
	}
	return noRetry
}

// health describes the upstream's condition as shown by an attempt.
type health int

const (
	unknown health = iota
	healthy
	limited // the key has reached a rate limit
	failed
)

func (a attempt) health() health {
	if a.err != nil {
		failure, ok := errors.AsType[*upstream.Error](a.err)
		if !ok || failure.Kind == upstream.KindRequest {
			return unknown
		}
		return failed
	}
	switch a.resp.StatusCode {
	case http.StatusTooManyRequests:
		return limited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, statusOverloaded:
		return failed
	default:
		return healthy
	}
}
