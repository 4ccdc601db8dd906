package sandbox

import (
	"fmt"
	"net/http"
)

// The values of an error's type that OpenAI documents for these operations.
const (
	typeInvalidRequest = "invalid_request_error"
	typeServerError    = "server_error"
)

// A failure is an answer other than success, in the shape of OpenAI's errors.
type apiError struct {
	status  int
	message string
	kind    string // the member "type"
	param   string // empty is null
	code    string // empty is null
}

func (f *apiError) Error() string { return f.message }

// body is the failure as OpenAI's JSON.
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

// invalid is a request that OpenAI refuses with status 400.
// The param is the path of what is wrong, such as messages[0].role.
func invalid(param, code, format string, args ...any) *apiError {
	return &apiError{
		status:  http.StatusBadRequest,
		message: fmt.Sprintf(format, args...),
		kind:    typeInvalidRequest,
		param:   param,
		code:    code,
	}
}

// failureOf is what OpenAI answers with a status, for tests that ask for one.
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

// statusOverloaded is what some upstreams answer instead of 503.
const statusOverloaded = 529

// retryAfterSeconds goes with the statuses that ask a client to come again.
const retryAfterSeconds = "1"

func hasRetryAfter(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == statusOverloaded
}
