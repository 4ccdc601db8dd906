package upstream

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// framing is how a request's body is marked off (RFC 9112 §6).
type framing struct {
	chunked bool
	length  int64 // in bytes, unless chunked; -1 for a request without a body that doesn't say so
	trailer http.Header
}

// framingOf returns the framing of a request.
func framingOf(req *Request) framing {
	memory, inMemory := req.Body.(*bytes.Reader)
	switch {
	case inMemory && memory.Len() > 0:
		return framing{length: int64(memory.Len())}
	case req.Body == nil, inMemory:
		// A stated length of zero is stated upstream, for any method, and these
		// expect one (RFC 9110 §8.6).
		if len(req.Header["Content-Length"]) > 0 || slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, req.Method) {
			return framing{length: 0}
		}
		return framing{length: -1}
	case req.ContentLength > 0:
		return framing{length: req.ContentLength}
	default:
		return framing{chunked: true, trailer: req.Trailer}
	}
}

// appendHead writes the head of a request (RFC 9112 §3). Fields that HTTP
// forbids are refused: their line ends would begin fields, or requests, of the
// client's own.
func (h *host) appendHead(b []byte, req *Request, target string, body framing) ([]byte, error) {
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	if !httpguts.ValidHeaderFieldName(method) { // both are tokens
		return nil, fmt.Errorf("the method %.32q is not valid", method)
	}
	b = append(b, method...)
	b = append(b, ' ')
	if h.prefix != "" && target == "*" { // which has no absolute form but this (RFC 9112 §3.2.4)
		target = ""
	}
	b = append(append(b, h.prefix...), target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, h.authority...)
	b = append(b, "\r\n"...)
	if h.credentials != "" {
		b = append(append(append(b, "Proxy-Authorization: "...), h.credentials...), "\r\n"...)
	}
	switch {
	case body.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		for name := range body.trailer {
			b = append(append(append(b, "Trailer: "...), name...), "\r\n"...)
		}
	case body.length >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, body.length, 10)
		b = append(b, "\r\n"...)
	}
	for name, values := range req.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue
		}
		var err error
		if b, err = appendField(b, name, values); err != nil {
			return nil, err
		}
	}
	return append(b, "\r\n"...), nil
}

// checkField says what is wrong with a field that is to be sent.
func checkField(name string, values []string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("the field name %.64q is not valid", name)
	}
	for _, value := range values {
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("the field %s has a value with a control character", name)
		}
	}
	return nil
}

// appendField writes the values of one field, each on a line of its own.
func appendField(b []byte, name string, values []string) ([]byte, error) {
	if err := checkField(name, values); err != nil {
		return nil, err
	}
	for _, value := range values {
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, strings.Trim(value, " \t")...)
		b = append(b, "\r\n"...)
	}
	return b, nil
}
