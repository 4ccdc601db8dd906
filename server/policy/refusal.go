package policy

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

const invalidRequestError = "invalid_request_error"

// refusal is why a request isn't let through, in the terms of OpenAI's errors:
// https://platform.openai.com/docs/guides/error-codes
type refusal struct {
	status  int
	kind    string
	code    string
	param   string // empty for none
	message string
	header  http.Header // further fields of the answer
}

// answer is the response that a client gets in place of the upstream's, and the
// end of the request.
func (r *refusal) answer(c *request.Record, req *upstream.Request) *http.Response {
	drain(req)
	if body, ok := req.Body.(io.Closer); ok {
		_ = body.Close()
	}
	c.RejectedBy = r.code
	text := apierror.Error{Message: r.message, Type: r.kind, Param: r.param, Code: r.code}.Body()
	header := http.Header{
		"Content-Type": {"application/json"},
		"Date":         {time.Now().UTC().Format(http.TimeFormat)},
	}
	maps.Copy(header, r.header)
	return &http.Response{
		StatusCode:    r.status,
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(text)),
		ContentLength: int64(len(text)),
	}
}

// drainBytes is up to which length, in bytes, a body is read that goes nowhere: over
// HTTP/1.1 one that isn't costs the client its connection, and the next request
// another one.
const drainBytes = 64 << 10

// drain reads a short body to its end, unless its client waits to be told to send it.
func drain(req *upstream.Request) {
	if req.Body != nil && req.ContentLength > 0 && req.ContentLength <= drainBytes && req.Header["Expect"] == nil {
		_, _ = io.Copy(io.Discard, req.Body) // If it breaks off, its connection does.
	}
}
