package passthrough

import (
	"errors"
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// failure is an answer of this server's own, in the form of OpenAI's errors:
// https://platform.openai.com/docs/guides/error-codes
type failure struct {
	status  int
	kind    string
	code    string
	message string
}

// The error types, in OpenAI's sense, of a failure.
const (
	upstreamError       = "upstream_error"
	invalidRequestError = "invalid_request_error"
)

// failureOf says how to answer when there is no response because of err.
func failureOf(err error) failure {
	f := failure{
		status:  http.StatusBadGateway,
		kind:    upstreamError,
		code:    "upstream_unreachable",
		message: err.Error(),
	}
	cause, ok := errors.AsType[*upstream.Error](err)
	if !ok { // the request's own deadline
		f.status, f.code = http.StatusGatewayTimeout, "upstream_timeout"
		f.message = "the upstream did not answer before the deadline of the request"
		return f
	}
	switch cause.Kind {
	case upstream.KindRequest:
		f.status, f.kind, f.code = http.StatusBadRequest, invalidRequestError, "invalid_request"
	case upstream.KindTimeout:
		f.status, f.code = http.StatusGatewayTimeout, "upstream_timeout"
	case upstream.KindClosed, upstream.KindTruncated:
		f.code = "upstream_closed"
	case upstream.KindMalformed, upstream.KindHeaderTooLarge:
		f.code = "upstream_invalid_response"
	case upstream.KindConnect, upstream.KindTLS:
	}
	return f
}

// Refuse answers a request that is not forwarded: with a status, and with an error in
// OpenAI's form, of a type and a code.
func Refuse(w http.ResponseWriter, status int, kind, code, message string) {
	failure{status: status, kind: kind, code: code, message: message}.write(w)
}

// clientTooSlow answers a request whose client took so long with its body that
// the server has ended it, with this as the cause.
func clientTooSlow(cause error) failure {
	return failure{
		status:  http.StatusRequestTimeout,
		kind:    invalidRequestError,
		code:    "request_timeout",
		message: cause.Error(),
	}
}

func (f failure) write(w http.ResponseWriter) {
	text := apierror.Error{Message: f.message, Type: f.kind, Code: f.code}.Body()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	_, _ = w.Write(text) // a client that is gone needs no answer
}

// refuseConnect answers CONNECT: this server is no tunnel to anywhere.
func refuseConnect(w http.ResponseWriter) {
	w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	failure{
		status:  http.StatusMethodNotAllowed,
		kind:    invalidRequestError,
		code:    "method_not_allowed",
		message: "CONNECT is not supported: requests go to one upstream only",
	}.write(w)
}
