// Package apierror represents the errors with which this server answers requests itself.
// It writes them in the form of OpenAI's API
// (https://platform.openai.com/docs/guides/error-codes) or as errors of RPCs.
package apierror

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/inflation"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// Types of errors.
const (
	InvalidRequest = "invalid_request_error"
	ServerError    = "server_error"
	UpstreamError  = "upstream_error"
)

// Codes of errors that several packages return.
const (
	CodeOverloaded      = "server_overloaded"
	CodeRequestTooLarge = "request_too_large"
	CodeRequestTimeout  = "request_timeout"
)

// Error is an error response.
type Error struct {
	Status  int // the HTTP status
	Type    string
	Code    string
	Param   string // the field of the request at fault, empty for none
	Message string
	Header  http.Header // further header fields of an HTTP response
	// RetryAfter is the time after which a retry may succeed, zero if none is known.
	// Header fields have it in whole seconds.
	RetryAfter time.Duration
}

// Error implements [error].
func (e *Error) Error() string { return e.Message }

// retryAfter is the time after which memory may be available again.
const retryAfter = 2 * time.Second

// ForLimit returns the error for a message that exceeds a memory budget, or that
// decompresses to too much. It reports whether err is of these.
func ForLimit(err error) (*Error, bool) {
	e := &Error{Status: http.StatusRequestEntityTooLarge, Type: InvalidRequest, Code: CodeRequestTooLarge}
	if short, ok := errors.AsType[*memory.LimitError](err); ok {
		e.Message = short.Error()
		if short.Temporary {
			e.Status, e.Type, e.Code, e.RetryAfter = http.StatusServiceUnavailable, ServerError, CodeOverloaded, retryAfter
		}
		if short.Slow {
			e.Status, e.Type, e.Code, e.RetryAfter = http.StatusRequestTimeout, InvalidRequest, CodeRequestTimeout, retryAfter
		}
		return e, true
	}
	if bomb, ok := errors.AsType[*inflation.Error](err); ok {
		e.Message = bomb.Error()
		return e, true
	}
	return nil, false
}

// body returns the JSON body of a response.
func (e *Error) body() []byte {
	var body struct {
		Error struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    string  `json:"code"`
		} `json:"error"`
	}
	body.Error.Message, body.Error.Type, body.Error.Code = e.Message, e.Type, e.Code
	if e.Param != "" {
		body.Error.Param = &e.Param
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings can be marshaled
	}
	return text
}

// SetHeader sets the header fields of the error, except those of its body.
func (e *Error) SetHeader(header http.Header) {
	maps.Copy(header, e.Header)
	if e.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(e.RetryAfter/time.Second), 10))
	}
	if e.Status == http.StatusUnauthorized { // RFC 9110 §15.5.2 requires a challenge
		header.Set("WWW-Authenticate", "Bearer")
	}
}

// WriteTo writes the error as an HTTP response.
func (e *Error) WriteTo(w http.ResponseWriter) {
	e.SetHeader(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_, _ = w.Write(e.body()) // the client may have disconnected
}

// Response returns the error as the response to a request that is not sent. It reads a
// short body of the request: over HTTP/1.1 an unread one costs the client its connection.
func (e *Error) Response(req *upstream.Request) *http.Response {
	const maxDiscard = 64 << 10
	if req.Body != nil && req.ContentLength > 0 && req.ContentLength <= maxDiscard && req.Header["Expect"] == nil {
		_, _ = io.Copy(io.Discard, req.Body) // a truncated body ends its connection anyway
	}
	if body, ok := req.Body.(io.Closer); ok {
		_ = body.Close()
	}
	header := http.Header{
		"Content-Type": {"application/json"},
		"Date":         {time.Now().UTC().Format(http.TimeFormat)},
	}
	e.SetHeader(header)
	body := e.body()
	return &http.Response{
		StatusCode:    e.Status,
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

// Connect returns the error as an RPC's, with the code that fits its status.
func (e *Error) Connect() *connect.Error { return e.ConnectAs(e.connectCode()) }

// ConnectAs returns the error as an RPC's, with the given code.
func (e *Error) ConnectAs(code connect.Code) *connect.Error {
	detail := &restv1.Error{Message: e.Message, Type: e.Type, Code: &e.Code}
	if e.Param != "" {
		detail.Param = &e.Param
	}
	details := []proto.Message{detail}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	failure := connect.NewError(code, e.Message).WithCause(e)
	for _, detail := range details {
		if packed, err := connectproto.NewErrorDetail(detail); err == nil {
			failure = failure.WithDetail(packed)
		}
	}
	return failure
}

func (e *Error) connectCode() connect.Code {
	switch e.Status {
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusNotFound:
		return connect.CodeUnimplemented
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusTooManyRequests:
		return connect.CodeResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return connect.CodeUnavailable
	default:
		return connect.CodeInvalidArgument
	}
}
