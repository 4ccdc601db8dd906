package upstream

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// appendHead appends the header of a request (RFC 9112 §3). It rejects invalid fields:
// their line breaks would start fields, or requests, of the client's choice.
func (c *http1Client) appendHead(b []byte, req *Request, target string, body framing) ([]byte, error) {
	method, err := methodOf(req)
	if err != nil {
		return nil, err
	}
	b = append(b, method...)
	b = append(b, ' ')
	if c.targetPrefix != "" && target == "*" { // its absolute form has no path (RFC 9112 §3.2.4)
		target = ""
	}
	b = append(append(b, c.targetPrefix...), target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.authority...)
	b = append(b, "\r\n"...)
	if c.proxyAuthorization != "" {
		b = append(append(append(b, "Proxy-Authorization: "...), c.proxyAuthorization...), "\r\n"...)
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
		if b, err = appendField(b, name, values); err != nil {
			return nil, err
		}
	}
	return append(b, "\r\n"...), nil
}

// methodOf returns the method of a request.
func methodOf(req *Request) (string, error) {
	method := cmp.Or(req.Method, http.MethodGet)
	if !httpguts.ValidHeaderFieldName(method) { // methods and field names are both tokens
		return "", fmt.Errorf("invalid method %.32q", method)
	}
	return method, nil
}

// checkField returns an error for a field that can't be sent.
func checkField(name string, values []string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("invalid header name %.64q", name)
	}
	for _, value := range values {
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("the header %s has a value with a control character", name)
		}
	}
	return nil
}

// appendField appends the values of one field, one line each.
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
