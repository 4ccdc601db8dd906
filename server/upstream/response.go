package upstream

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Faults in the header of an answer. Their texts quote nothing of what was
// received.
var (
	errStatus = errors.New("the status is not of three digits")
	errSwitch = errors.New("it switched to a protocol that was not asked for")
	errField  = errors.New("a field is not valid")
	errLength = errors.New("the Content-Length is not valid")
)

// checkAnswer says what is wrong with the header of an answer to req, interim or
// final, over any version of HTTP:
//
//   - The status is of three digits (RFC 9110 §15). One above 599, which no RFC
//     defines, is left to the caller.
//   - 101 comes only to a request for an Upgrade, and names what was asked for
//     (RFC 9110 §7.8). Over HTTP/2 it never does (RFC 9113 §8.6).
//   - Names of fields are tokens and values have no control characters (RFC 9110
//     §5.5).
//   - Content-Length is one number. The same one several times is taken for one
//     (RFC 9110 §8.6); two different ones would let two readers disagree about
//     where the answer ends.
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

// answerError is an error of checkAnswer, whose text may be shown.
type responseError struct{ error }

func isResponseError(err error) bool {
	_, ok := errors.AsType[*responseError](err)
	return ok
}

// areFields reports whether a name and its values are valid.
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

// parseLength returns the length that the values of Content-Length agree on, -1 if
// there are none.
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

// switchedAsAsked reports whether resp, of status 101, switches to the protocol
// that req asks for (RFC 9110 §7.8).
func isRequestedUpgrade(req *Request, resp *http.Response) bool {
	asked := req.Header.Get("Upgrade")
	return asked != "" && strings.EqualFold(resp.Header.Get("Upgrade"), asked)
}
