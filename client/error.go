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

// Error is why a call failed. Every method of this package has it in its error:
//
//	if failed, ok := errors.AsType[*client.Error](err); ok { … }
//
// It wraps the *connect.Error, and the context's error where that ended the call
// or the wait before the next try.
type Error struct {
	// Message is what went wrong, in the upstream's own words.
	Message string
	// Type is OpenAI's class of the error, such as invalid_request_error. Empty
	// when the error isn't OpenAI's.
	Type string
	// Code is OpenAI's reason, such as rate_limit_exceeded. Empty without one.
	Code string
	// Param is the request's parameter that is at fault. Empty without one.
	Param string
	// Status is the HTTP status of the upstream's answer. Zero without an answer.
	Status int
	// RequestID is the upstream's, to quote when asking its operator. Empty
	// without one.
	RequestID string
	// RetryAfter is how long the upstream asks to wait. Zero when it asks for
	// nothing.
	RetryAfter time.Duration
	// ConnectCode is the RPC's code.
	ConnectCode connect.Code

	cause error
	// ended is the context's error. Nil where it didn't end the call.
	ended error
	// mayRetry is the upstream's own word on whether another try makes sense: the
	// header x-should-retry.
	mayRetry string
	// asksToWait tells a RetryAfter of zero from none.
	asksToWait bool
}

// Error is the message, after what is known of the reason.
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

// Unwrap returns the error of the RPC, and the context's.
func (e *Error) Unwrap() []error {
	if e.ended == nil {
		return []error{e.cause}
	}
	return []error{e.cause, e.ended}
}

// IsRateLimited reports whether the upstream refused a call because there were
// too many, or because the quota is used up: Code tells which. The error's
// RetryAfter is when to come again, if the upstream says so.
func IsRateLimited(err error) bool { return hasCode(err, connect.CodeResourceExhausted) }

// IsUnauthenticated reports whether the key is missing or wrong.
func IsUnauthenticated(err error) bool { return hasCode(err, connect.CodeUnauthenticated) }

// IsNotFound reports whether there is no such model or stored completion.
func IsNotFound(err error) bool { return hasCode(err, connect.CodeNotFound) }

// IsInvalid reports whether the request can't be answered as it is. The error's
// Param is what is wrong with it, if that is known.
func IsInvalid(err error) bool { return hasCode(err, connect.CodeInvalidArgument) }

func hasCode(err error, code connect.Code) bool {
	failed, ok := errors.AsType[*Error](err)
	return ok && failed.ConnectCode == code
}

// newError reads the error of a call that was made with the context.
func newError(ctx context.Context, err error) *Error {
	result := &Error{Message: err.Error(), ConnectCode: codeOf(err), cause: err}
	remote, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return result
	}
	result.Message = remote.Message()
	if info, ok := connect.CallInfoForClientContext(ctx); ok && remote.IsRemote() {
		result.mayRetry = info.ResponseHeader().Get("X-Should-Retry")
		// Of a middlebox: the server tells the upstream's as a detail.
		if seconds, ok := parseSeconds(info.ResponseHeader().Get("Retry-After")); ok {
			result.wait(time.Duration(seconds) * time.Second)
		}
	}
	for _, detail := range remote.Details() {
		result.read(detail)
	}
	result.ended = result.endedBy(ctx)
	return result
}

// endedBy is the context's error, if it is what ended the call. The server knows
// the deadline too, and may be the first to say that it passed.
func (e *Error) endedBy(ctx context.Context) error {
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

// maxSeconds is more than anyone waits, and not too much for a duration.
const maxSeconds = 1 << 31

// parseSeconds reads a number of seconds, as the header retry-after has it. One
// that is too large is the most there is.
func parseSeconds(text string) (int64, bool) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) && text[0] != '-' {
		return maxSeconds, true
	}
	return min(seconds, maxSeconds), err == nil && seconds >= 0
}

func (e *Error) wait(delay time.Duration) { e.RetryAfter, e.asksToWait = delay, true }

// read takes what a detail says. One that is unknown, or can't be read, says
// nothing that the error itself doesn't.
func (e *Error) read(detail *connect.ErrorDetail) {
	var (
		stated restv1.Error
		retry  errdetails.RetryInfo
	)
	switch detail.Type {
	case string(proto.MessageName(&stated)):
		if proto.Unmarshal(detail.Value, &stated) != nil {
			return
		}
		e.Type, e.Code, e.Param = stated.GetType(), stated.GetCode(), stated.GetParam()
		e.Status, e.RequestID = int(stated.GetHttpStatus()), stated.GetRequestId()
	case string(proto.MessageName(&retry)):
		if proto.Unmarshal(detail.Value, &retry) == nil {
			e.wait(max(retry.GetRetryDelay().AsDuration(), 0))
		}
	}
}

// codeOf is the code of an error, also where Connect returns the context's as it
// is.
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

// isTransient reports whether the same call may succeed when it is made again.
func (e *Error) isTransient() bool {
	switch e.mayRetry {
	case "true":
		return true
	case "false":
		return false
	}
	switch e.Status {
	case 0: // The server, or the upstream, could not be reached.
		return e.ConnectCode == connect.CodeUnavailable
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	default:
		return e.Status >= http.StatusInternalServerError
	}
}
