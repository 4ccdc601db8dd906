package upstream

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Errors in the header of a response. They never quote received data.
var (
	errStatus = errors.New("the status code does not have three digits")
	errSwitch = errors.New("it switched to a protocol that was not requested")
	errField  = errors.New("invalid header field")
	errLength = errors.New("invalid Content-Length")
)

// checkResponse returns an error for an invalid header of a response to req, interim or
// final, over any version of HTTP:
//
//   - The status code has three digits (RFC 9110 §15). The caller decides about codes above
//     599, which no RFC defines.
//   - 101 is only allowed for a request with Upgrade, and names the requested protocol (RFC
//     9110 §7.8). It is not allowed over HTTP/2 (RFC 9113 §8.6).
//   - Field names are tokens, and values have no control characters (RFC 9110 §5.5).
//   - Content-Length is one number. Repetitions of the same number count as one (RFC 9110
//     §8.6). With different numbers two readers could disagree about the end of the response.
func checkResponse(req *Request, resp *http.Response) error {
	if resp.StatusCode < 100 || resp.StatusCode > 999 {
		return errStatus
	}
	if resp.StatusCode == http.StatusSwitchingProtocols && !isRequestedUpgrade(req, resp) {
		return errSwitch
	}
	for name, values := range resp.Header {
		if !areValidFields(name, values) {
			return errField
		}
	}
	if lengths := resp.Header["Content-Length"]; len(lengths) > 0 {
		if _, err := parseLength(lengths); err != nil {
			return err
		}
		resp.Header["Content-Length"] = lengths[:1:1]
	}
	return nil
}

// responseError is an error of checkResponse. Its text may be shown to clients.
type responseError struct{ error }

func isResponseError(err error) bool {
	_, ok := errors.AsType[*responseError](err)
	return ok
}

// areValidFields reports whether a field name and its values are valid.
func areValidFields(name string, values []string) bool {
	if !httpguts.ValidHeaderFieldName(name) {
		return false
	}
	for _, value := range values {
		if !httpguts.ValidHeaderFieldValue(value) {
			return false
		}
	}
	return true
}

// parseLength returns the length that all values of Content-Length state, or -1 without
// values.
func parseLength(values []string) (int64, error) {
	length := int64(-1)
	for _, value := range values {
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || length >= 0 && int64(n) != length {
			return 0, errLength
		}
		length = int64(n)
	}
	return length, nil
}

// isRequestedUpgrade reports whether resp, a 101, switches to the protocol that req
// requested (RFC 9110 §7.8).
func isRequestedUpgrade(req *Request, resp *http.Response) bool {
	requested := req.Header.Get("Upgrade")
	return requested != "" && strings.EqualFold(resp.Header.Get("Upgrade"), requested)
}
