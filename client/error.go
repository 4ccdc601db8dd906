package client

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// Error describes a failed call. Every error of a call contains one:
//
//	if failed, ok := errors.AsType[*client.Error](err); ok { … }
//
// It wraps the *connect.Error, and the context's error if the context ended the
// call or the delay before a retry.
type Error struct {
	// Message is the error message of the upstream or the server.
	Message string
	// Type is OpenAI's error type, such as invalid_request_error. It is empty if the
	// error is not OpenAI's.
	Type string
	// Code is OpenAI's error code, such as rate_limit_exceeded, if there is one.
	Code string
	// Param is the request parameter at fault, if the error names one.
	Param string
	// Status is the HTTP status of the upstream's response, or zero without a
	// response.
	Status int
	// RequestID is the upstream's request ID, for support requests. It may be empty.
	RequestID string
	// RetryAfter is the delay requested by the upstream, zero if it requests none.
	RetryAfter time.Duration
	// ConnectCode is the code of the RPC.
	ConnectCode connect.Code

	cause         error
	contextErr    error  // nil unless the context ended the call
	shouldRetry   string // the upstream's X-Should-Retry header
	hasRetryAfter bool   // distinguishes a RetryAfter of zero from none
}

// Error returns the HTTP status, the code, the message and the request ID.
func (e *Error) Error() string {
	var text strings.Builder
	if e.Status != 0 {
		text.WriteString(strconv.Itoa(e.Status) + " ")
	}
	reason := e.Code
	if reason == "" {
		reason = e.ConnectCode.String()
	}
	text.WriteString(reason + ": " + e.Message)
	if e.RequestID != "" {
		text.WriteString(" (request " + e.RequestID + ")")
	}
	return text.String()
}

// Unwrap returns the error of the RPC and, if the context ended the call, the
// context's error.
func (e *Error) Unwrap() []error {
	if e.contextErr == nil {
		return []error{e.cause}
	}
	return []error{e.cause, e.contextErr}
}

// IsRateLimited reports whether a call was rejected because a rate limit or a
// quota was exceeded; [Error.Code] distinguishes the two.
func IsRateLimited(err error) bool { return hasCode(err, connect.CodeResourceExhausted) }

// IsUnauthenticated reports whether the API key is missing or invalid.
func IsUnauthenticated(err error) bool { return hasCode(err, connect.CodeUnauthenticated) }

// IsNotFound reports whether the model or the stored completion does not exist.
func IsNotFound(err error) bool { return hasCode(err, connect.CodeNotFound) }

// IsInvalid reports whether the request is invalid. [Error.Param] names the
// parameter at fault, if known.
func IsInvalid(err error) bool { return hasCode(err, connect.CodeInvalidArgument) }

func hasCode(err error, code connect.Code) bool {
	failed, ok := errors.AsType[*Error](err)
	return ok && failed.ConnectCode == code
}

// newError converts the error of a call made with ctx.
func newError(ctx context.Context, err error) *Error {
	result := &Error{Message: err.Error(), ConnectCode: codeOf(err), cause: err}
	remote, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return result
	}
	result.Message = remote.Message()
	if info, ok := connect.CallInfoForClientContext(ctx); ok && remote.IsRemote() {
		result.shouldRetry = info.ResponseHeader().Get("X-Should-Retry")
		// From an intermediary: the server sends the upstream's as a detail.
		if seconds, ok := parseSeconds(info.ResponseHeader().Get("Retry-After")); ok {
			result.setRetryAfter(time.Duration(seconds) * time.Second)
		}
	}
	for _, detail := range remote.Details() {
		result.addDetail(detail)
	}
	result.contextErr = result.contextError(ctx)
	return result
}

// contextError returns the context's error if the context ended the call. The
// server knows the deadline as well and may report it before the context ends.
func (e *Error) contextError(ctx context.Context) error {
	_, hasDeadline := ctx.Deadline()
	switch {
	case e.ConnectCode == connect.CodeDeadlineExceeded && e.Status == 0 && hasDeadline:
		return context.DeadlineExceeded
	case e.ConnectCode == connect.CodeCanceled:
		return ctx.Err()
	default:
		return nil
	}
}

// maxSeconds is the largest parsed number of seconds. It fits a [time.Duration].
const maxSeconds = 1 << 31

// parseSeconds parses the delay-seconds of a Retry-After header. Larger values are
// capped at maxSeconds.
func parseSeconds(value string) (int64, bool) {
	seconds, err := strconv.ParseInt(value, 10, 64)
	if errors.Is(err, strconv.ErrRange) && value[0] != '-' {
		return maxSeconds, true
	}
	return min(seconds, maxSeconds), err == nil && seconds >= 0
}

func (e *Error) setRetryAfter(delay time.Duration) { e.RetryAfter, e.hasRetryAfter = delay, true }

// addDetail sets the fields that an error detail carries. Unknown and malformed
// details are ignored.
func (e *Error) addDetail(detail *connect.ErrorDetail) {
	var (
		rest  restv1.Error
		retry errdetails.RetryInfo
	)
	switch detail.Type {
	case string(proto.MessageName(&rest)):
		if proto.Unmarshal(detail.Value, &rest) != nil {
			return
		}
		e.Type, e.Code, e.Param = rest.GetType(), rest.GetCode(), rest.GetParam()
		e.Status, e.RequestID = int(rest.GetHttpStatus()), rest.GetRequestId()
	case string(proto.MessageName(&retry)):
		if proto.Unmarshal(detail.Value, &retry) == nil {
			e.setRetryAfter(max(retry.GetRetryDelay().AsDuration(), 0))
		}
	}
}

// codeOf returns the code of an error. Connect may return a context's error
// unwrapped.
func codeOf(err error) connect.Code {
	_, isRPC := errors.AsType[*connect.Error](err)
	switch {
	case isRPC:
		return connect.CodeOf(err)
	case errors.Is(err, context.Canceled):
		return connect.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return connect.CodeDeadlineExceeded
	default:
		return connect.CodeUnknown
	}
}

// isTransient reports whether a retry may succeed.
func (e *Error) isTransient() bool {
	switch e.shouldRetry {
	case "true":
		return true
	case "false":
		return false
	}
	switch e.Status {
	case 0: // The server or the upstream could not be reached.
		return e.ConnectCode == connect.CodeUnavailable
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	default:
		return e.Status >= http.StatusInternalServerError
	}
}
