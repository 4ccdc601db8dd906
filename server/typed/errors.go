package typed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	restv1 "github.com/openai-connect/openai-connect/gen/openai/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/sse"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// maxErrorBody is how much of the body of an error is read.
const maxErrorBody = 64 << 10

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

// errorCode is the code of an OpenAI error whose HTTP status says nothing.
func errorCode(e *restv1.Error) connect.Code {
	for _, word := range []string{e.GetType(), e.GetCode()} {
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

// sendError is the error of a call that had no answer, or whose answer broke
// off.
func sendError(err error) *connect.Error {
	var failure *upstream.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, "the call's deadline passed").WithCause(err)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, "the call was canceled").WithCause(err)
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
	return newError(code, &restv1.Error{Message: failure.Error(), Type: "upstream_error"}, nil).WithCause(err)
}

// statusError is the error of an answer whose status isn't 2xx.
func statusError(response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	code := statusCode(response.StatusCode)
	if detail := parseError(body); detail != nil {
		return answerError(code, response, detail)
	}
	what := "without a body"
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		what = "a redirect, which is not followed"
	} else if len(body) > 0 {
		what = "with " + describe(response, body)
	}
	return foreignError(code, response, body, what)
}

// replyError is the error of a 2xx answer that isn't the JSON that was asked
// for.
func replyError(response *http.Response, body []byte, err error) error {
	switch {
	case len(strings.TrimSpace(string(body))) == 0:
		return foreignError(connect.CodeInternal, response, nil, "with an empty body")
	case isJSON(response):
		return foreignError(connect.CodeInternal, response, body, "with a body that can't be read: "+err.Error())
	default:
		return foreignError(connect.CodeInternal, response, body, "with "+describe(response, body)+" where JSON was expected")
	}
}

// notEventStream is the error of an answer that isn't the stream that was asked
// for.
func notEventStream(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBody))
	if err != nil {
		return sendError(err)
	}
	if detail := parseError(body); detail != nil {
		return answerError(errorCode(detail), response, detail)
	}
	what := "with an empty body"
	if len(body) > 0 {
		what = "with " + describe(response, body)
	}
	return foreignError(connect.CodeInternal, response, body, what+" where a stream was asked for")
}

// errorInside is the error that a 2xx answer carries in its body, if it does.
func errorInside(response *http.Response, body []byte, message restjson.Response) error {
	if !hasError(message) {
		return nil
	}
	detail := parseError(body)
	if detail == nil {
		return nil
	}
	return answerError(errorCode(detail), response, detail)
}

// errorEvent is the error that an event of a stream carries, if it does.
func errorEvent(response *http.Response, event sse.Event, message restjson.Response) error {
	named := event.Type == "error"
	if !named && !hasError(message) {
		return nil
	}
	detail := parseError(event.Data)
	if detail == nil && named {
		detail = &restv1.Error{Message: "the upstream's stream ended with an error", BodyExcerpt: excerpt(event.Data)}
	}
	if detail == nil {
		return nil
	}
	return answerError(errorCode(detail), response, detail)
}

// hasError reports whether a message came with a member `error`, which no
// message of the API has.
func hasError(message restjson.Response) bool {
	return restjson.ExtraHas(message.GetExtraJson(), "error")
}

// answerError is an error that the upstream stated.
func answerError(code connect.Code, response *http.Response, detail *restv1.Error) error {
	if detail.GetMessage() == "" {
		detail.Message = fmt.Sprintf("the upstream answered %s", status(response))
	}
	detail.HttpStatus = int32(response.StatusCode)
	detail.RequestId = response.Header.Get("X-Request-Id")
	return newError(code, detail, retryDelay(response.Header))
}

// foreignError is the error of an answer that isn't OpenAI's.
func foreignError(code connect.Code, response *http.Response, body []byte, what string) error {
	return newError(code, &restv1.Error{
		Message:     fmt.Sprintf("the upstream answered %s, %s", status(response), what),
		Type:        "upstream_error",
		HttpStatus:  int32(response.StatusCode),
		RequestId:   response.Header.Get("X-Request-Id"),
		BodyExcerpt: excerpt(body),
	}, retryDelay(response.Header))
}

func status(response *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode)))
}
