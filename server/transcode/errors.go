package transcode

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// statusCode returns the code for an HTTP error status.
func statusCode(status int) connect.Code {
	switch status {
	case 400, 413, 415, 422:
		return connect.CodeInvalidArgument
	case 401:
		return connect.CodeUnauthenticated
	case 403:
		return connect.CodePermissionDenied
	case 404:
		return connect.CodeNotFound
	case 405, 501:
		return connect.CodeUnimplemented
	case 408, 504:
		return connect.CodeDeadlineExceeded
	case 409:
		return connect.CodeAborted
	case 402, 429:
		return connect.CodeResourceExhausted
	case 499:
		return connect.CodeCanceled
	case 502, 503, 520, 521, 522, 523, 524, 525, 526, 529:
		return connect.CodeUnavailable
	}
	if status >= 400 && status < 500 {
		return connect.CodeFailedPrecondition
	}
	return connect.CodeInternal
}

// errorCode returns the code for an error without an HTTP error status, from its code or
// else its type. Some upstreams use an HTTP status as the code.
func errorCode(e *restv1.Error) connect.Code {
	if status, ok := statusOf(e); ok {
		return statusCode(status)
	}
	for _, word := range []string{strings.ToLower(e.GetCode()), strings.ToLower(e.GetType())} {
		for _, known := range []struct {
			part string
			code connect.Code
		}{
			{"rate_limit", connect.CodeResourceExhausted},
			{"insufficient_quota", connect.CodeResourceExhausted},
			{"invalid_request", connect.CodeInvalidArgument},
			{"authentication", connect.CodeUnauthenticated},
			{"invalid_api_key", connect.CodeUnauthenticated},
			{"permission", connect.CodePermissionDenied},
			{"not_found", connect.CodeNotFound},
			{"overloaded", connect.CodeUnavailable},
			{"server_error", connect.CodeInternal},
		} {
			if strings.Contains(word, known.part) {
				return known.code
			}
		}
	}
	return connect.CodeUnknown
}

// statusOf returns the HTTP error status in the code of an error, a string or a number,
// or in another field.
func statusOf(e *restv1.Error) (int, bool) {
	texts := []string{e.GetCode()}
	for name, value := range restjson.ExtraMembers(e.GetExtraJson()) {
		switch name {
		case "code":
			texts[0] = value
		case "status", "status_code", "statusCode", "http_status", "http_code", "raw_status_code":
			texts = append(texts, value)
		}
	}
	for _, text := range texts {
		if status, err := strconv.Atoi(strings.Trim(text, `"`)); err == nil && status >= 400 && status <= 599 {
			return status, true
		}
	}
	return 0, false
}

// sendError returns the error of a call without a response, or with a response that
// broke off. The response is nil in the first case.
func sendError(response *http.Response, err error) *connect.Error {
	var failure *upstream.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, "the call's deadline was exceeded").WithCause(err)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, "the call was canceled").WithCause(err)
	case errors.Is(err, errGzipTruncated):
		return proxyError(connect.CodeUnavailable, response, nil, err.Error())
	case errors.Is(err, errGzip):
		return proxyError(connect.CodeInternal, response, nil, err.Error())
	case !errors.As(err, &failure):
		return connect.NewError(connect.CodeInternal, "reading the upstream's response failed").WithCause(err)
	}
	code := connect.CodeUnavailable
	switch failure.Kind {
	case upstream.KindRequest:
		code = connect.CodeInvalidArgument
	case upstream.KindHeaderTooLarge, upstream.KindMalformed:
		code = connect.CodeInternal
	default:
	}
	return proxyError(code, response, nil, failure.Error()).WithCause(err)
}

// statusError returns the error of a response with a status other than 2xx.
func statusError(response *http.Response) error {
	body, err := readErrorBody(response)
	code := statusCode(response.StatusCode)
	if detail := parseError(body); detail != nil {
		return upstreamError(code, response, detail, body)
	}
	what := "with " + describe(response, body)
	switch {
	case response.StatusCode < 400 && response.Header.Get("Location") != "":
		what = "a redirect that was not followed"
	case err != nil:
		what += ", truncated"
	case what == "with JSON":
		what += " that is not a known form of error"
	}
	return unexpectedResponse(code, response, body, what)
}

// decodeError returns the error of a 2xx response that is not the expected JSON.
func decodeError(response *http.Response, body []byte, err error) error {
	body = bytes.TrimSpace(body)
	if detail := parseError(body); detail != nil { // in a list
		return upstreamError(errorCode(detail), response, detail, body)
	}
	what := "with " + describe(response, body)
	switch {
	case len(body) == 0, contentEncoding(response) != "":
	case isJSON(response):
		what = "with an invalid body: " + err.Error()
	default:
		what += " instead of JSON"
	}
	return unexpectedResponse(connect.CodeInternal, response, body, what)
}

// notEventStream returns the error of a response that is not an event stream. It reads
// the body.
func notEventStream(response *http.Response) error {
	body, err := readErrorBody(response)
	if detail := parseError(body); detail != nil {
		return upstreamError(errorCode(detail), response, detail, body)
	}
	if len(body) == 0 && err != nil {
		return sendError(response, err)
	}
	return notStream(response, body)
}

// notStream returns the error of a body that is not an event stream.
func notStream(response *http.Response, body []byte) error {
	return unexpectedResponse(connect.CodeInternal, response, body, "with "+describe(response, body)+" instead of an event stream")
}

// Limits of reading an error body, in bytes and time. The status is known already.
const (
	maxErrorBytes = 1 << 20
	maxErrorTime  = 5 * time.Second
)

// readErrorBody reads a body within the limits. It returns the part before an error as
// well.
func readErrorBody(response *http.Response) ([]byte, error) {
	timer := time.AfterFunc(maxErrorTime, func() { _ = response.Body.Close() })
	defer timer.Stop()
	return io.ReadAll(http.MaxBytesReader(nil, response.Body, maxErrorBytes))
}

// upstreamError returns the error that the upstream sent in a body.
func upstreamError(code connect.Code, response *http.Response, detail *restv1.Error, body []byte) *connect.Error {
	if detail.GetMessage() == "" {
		detail.Message = "the upstream answered " + status(response)
	}
	return responseError(code, response, detail, body)
}

// unexpectedResponse returns the error of a response that is not OpenAI's.
func unexpectedResponse(code connect.Code, response *http.Response, body []byte, what string) *connect.Error {
	return proxyError(code, response, body, "the upstream answered "+status(response)+", "+what)
}

// proxyError returns an error of this server. The response may be nil.
func proxyError(code connect.Code, response *http.Response, body []byte, message string) *connect.Error {
	detail := &restv1.Error{Message: message, Type: "upstream_error"}
	if response == nil {
		return newError(code, detail, nil)
	}
	if contentEncoding(response) == "" {
		detail.BodyExcerpt = excerpt(body)
	}
	return responseError(code, response, detail, nil)
}

// responseError returns an error with the status, the request ID and the retry delay of a
// response.
func responseError(code connect.Code, response *http.Response, detail *restv1.Error, body []byte) *connect.Error {
	detail.HttpStatus = int32(response.StatusCode)
	detail.RequestId = excerpt([]byte(response.Header.Get("X-Request-ID")))
	retry := retryDelay(response.Header)
	if retry == nil {
		retry = retryDelayIn(body)
	}
	return newError(code, detail, retry)
}

func status(response *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(response.StatusCode) + " " + http.StatusText(response.StatusCode))
}
