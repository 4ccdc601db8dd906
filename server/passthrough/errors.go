package passthrough

import (
	"errors"
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// upstreamError returns the error response for a request to which the upstream gave no
// response.
func newUpstreamError(err error) *apierror.Error {
	e := &apierror.Error{Status: http.StatusBadGateway, Type: apierror.UpstreamError, Code: "upstream_unreachable", Message: err.Error()}
	cause, ok := errors.AsType[*upstream.Error](err)
	if !ok { // the request's own deadline
		e.Status, e.Code = http.StatusGatewayTimeout, "upstream_timeout"
		e.Message = "the upstream did not respond before the deadline of the request"
		return e
	}
	switch cause.Kind {
	case upstream.KindRequest:
		e.Status, e.Type, e.Code = http.StatusBadRequest, apierror.InvalidRequest, "invalid_request"
	case upstream.KindTimeout:
		e.Status, e.Code = http.StatusGatewayTimeout, "upstream_timeout"
	case upstream.KindClosed, upstream.KindTruncated:
		e.Code = "upstream_closed"
	case upstream.KindMalformed, upstream.KindHeaderTooLarge:
		e.Code = "upstream_invalid_response"
	case upstream.KindConnect, upstream.KindTLS:
	}
	return e
}

// stallError returns the error response for a request whose body stalled.
func newStallError(cause error) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusRequestTimeout, Type: apierror.InvalidRequest, Code: apierror.CodeRequestTimeout, Message: cause.Error(),
	}
}

// connectError returns the error response for CONNECT.
func newConnectError() *apierror.Error {
	return &apierror.Error{
		Status: http.StatusMethodNotAllowed, Type: apierror.InvalidRequest, Code: "method_not_allowed",
		Message: "CONNECT is not supported: all requests go to one upstream",
		Header:  http.Header{"Allow": {"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}},
	}
}

// loopError returns the error response for a request that has passed this server before.
func newLoopError() *apierror.Error {
	return &apierror.Error{
		Status: http.StatusLoopDetected, Type: apierror.UpstreamError, Code: "loop_detected",
		Message: "request loop detected: the upstream of this server forwards requests back to it; configure the API's own host as the upstream",
	}
}
