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

// statusCode is the code of an HTTP status that is an error.
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

// errorCode is the code of an error whose HTTP status says nothing: by its own
// code, which says more, or else by its type. Some upstreams have the status
// they mean as the code.
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

// statusOf is the HTTP status of an error that an error's code is, as text
// or as a number, or that it has by another name.
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

// sendError is the error of a call that had no answer, or whose answer broke
// off: in the first case response is nil.
func sendError(response *http.Response, err error) *connect.Error {
	var failure *upstream.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, "the call's deadline passed").WithCause(err)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, "the call was canceled").WithCause(err)
	case errors.Is(err, errGzipTruncated):
		return proxyError(connect.CodeUnavailable, response, nil, err.Error())
	case errors.Is(err, errGzip):
		return proxyError(connect.CodeInternal, response, nil, err.Error())
	case !errors.As(err, &failure):
		return connect.NewError(connect.CodeInternal, "reading the upstream's answer failed").WithCause(err)
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

// statusError is the error of an answer whose status isn't 2xx.
func statusError(response *http.Response) error {
	body, err := readErrorBody(response)
	code := statusCode(response.StatusCode)
	if detail := parseError(body); detail != nil {
		return upstreamError(code, response, detail, body)
	}
	what := "with " + describe(response, body)
	switch {
	case response.StatusCode < 400 && response.Header.Get("Location") != "":
		what = "a redirect, which is not followed"
	case err != nil:
		what += ", cut short"
	case what == "with JSON":
		what += " that is no known form of error"
	}
	return unexpectedResponse(code, response, body, what)
}

// decodeError is the error of a 2xx answer that isn't the JSON that was asked
// for.
func decodeError(response *http.Response, body []byte, err error) error {
	body = bytes.TrimSpace(body)
	if detail := parseError(body); detail != nil { // in a list
		return upstreamError(errorCode(detail), response, detail, body)
	}
	what := "with " + describe(response, body)
	switch {
	case len(body) == 0, contentEncoding(response) != "":
	case isJSON(response):
		what = "with a body that can't be read: " + err.Error()
	default:
		what += " where JSON was expected"
	}
	return unexpectedResponse(connect.CodeInternal, response, body, what)
}

// notEventStream is the error of an answer that isn't the stream that was asked
// for.
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

// notStream is the error of a body that isn't the stream that was asked for.
func notStream(response *http.Response, body []byte) error {
	return unexpectedResponse(connect.CodeInternal, response, body, "with "+describe(response, body)+" where a stream was asked for")
}

// Bounds on what is read of a body that is an error, or may be one, in bytes and
// time: its status is known already.
const (
	maxErrorBytes = 1 << 20
	maxErrorTime  = 5 * time.Second
)

// readErrorBody reads a body within bounds. With an error, what came before it
// is returned too.
func readErrorBody(response *http.Response) ([]byte, error) {
	timer := time.AfterFunc(maxErrorTime, func() { _ = response.Body.Close() })
	defer timer.Stop()
	return io.ReadAll(http.MaxBytesReader(nil, response.Body, maxErrorBytes))
}

// upstreamError is an error that the upstream stated in a body.
func upstreamError(code connect.Code, response *http.Response, detail *restv1.Error, body []byte) *connect.Error {
	if detail.GetMessage() == "" {
		detail.Message = "the upstream answered " + status(response)
	}
	return responseError(code, response, detail, body)
}

// unexpectedResponse is the error of an answer that isn't OpenAI's.
func unexpectedResponse(code connect.Code, response *http.Response, body []byte, what string) *connect.Error {
	return proxyError(code, response, body, "the upstream answered "+status(response)+", "+what)
}

// proxyError is an error in this server's words, of an answer that may be nil.
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

// responseError is an error with what a response says of it: in its header, or
// else in the body.
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
