package sandbox

import (
	"fmt"
	"net/http"
)

// The error types that OpenAI documents for these operations.
const (
	typeInvalidRequest = "invalid_request_error"
	typeServerError    = "server_error"
)

// An apiError is an error response in OpenAI's format.
type apiError struct {
	status  int
	message string
	kind    string // the field "type"
	param   string // null if empty
	code    string // null if empty
}

func (f *apiError) Error() string { return f.message }

// body returns the error as JSON.
func (f *apiError) body() []byte {
	return encode(errorReply{Error: errorBody{
		Message: f.message,
		Type:    f.kind,
		Param:   nullIfEmpty(f.param),
		Code:    nullIfEmpty(f.code),
	}})
}

type errorReply struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func nullIfEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// invalid returns the error for an invalid request, with status 400. param is the path
// of the invalid value, such as messages[0].role.
func invalid(param, code, format string, args ...any) *apiError {
	return &apiError{
		status:  http.StatusBadRequest,
		message: fmt.Sprintf(format, args...),
		kind:    typeInvalidRequest,
		param:   param,
		code:    code,
	}
}

// errorForStatus returns the error that OpenAI sends with a status.
func errorForStatus(status int) *apiError {
	result := &apiError{
		status:  status,
		message: fmt.Sprintf("The sandbox was asked to fail with status %d.", status),
		kind:    typeInvalidRequest,
	}
	switch status {
	case http.StatusUnauthorized:
		result.code = "invalid_api_key"
	case http.StatusPaymentRequired:
		result.kind, result.code = "insufficient_quota", "insufficient_quota"
	case http.StatusForbidden:
		result.kind, result.code = "request_forbidden", "unsupported_country_region_territory"
	case http.StatusNotFound:
		result.code = "not_found"
	case http.StatusMethodNotAllowed:
		result.code = "method_not_supported"
	case http.StatusTooManyRequests:
		result.kind, result.code = "requests", "rate_limit_exceeded"
	case statusOverloaded:
		result.kind, result.code = "overloaded_error", "overloaded"
	default:
		if status >= http.StatusInternalServerError {
			result.kind = typeServerError
		}
	}
	return result
}

// statusOverloaded is sent by some APIs instead of 503.
const statusOverloaded = 529

// retryAfterSeconds is the Retry-After header of statuses that ask for a retry.
const retryAfterSeconds = "1"

func hasRetryAfter(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == statusOverloaded
}
