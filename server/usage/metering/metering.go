// Package metering records the model and the usage of a request in its record. It buffers
// nothing and delays nothing.
package metering

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
)

// Sender meters the requests that it forwards, unless they have a known client: package
// policy meters the requests of known clients, whose limits depend on the usage.
type Sender struct{ next upstream.Sender }

// New returns a sender that meters requests and forwards them to next.
func New(next upstream.Sender) *Sender { return &Sender{next} }

// Send implements [upstream.Sender].
func (s *Sender) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	record := request.FromContext(ctx)
	if record.Client != nil {
		return s.next.Send(ctx, req)
	}
	parsed := ReadRequest(ctx, record, req)
	resp, err := s.next.Send(ctx, req)
	if err != nil {
		return nil, err
	}
	ReadResponse(record, parsed, resp)
	return resp, nil
}

// maxDecoded bounds the decoded size of a request body in memory.
const maxDecoded = 64 << 20

// ReadRequest reads a request without waiting for its body, and records the result: it
// reads all of a typed request, and the header of a raw one. The input tokens of a raw
// request are estimated while a JSON body is sent, and otherwise from the length of the
// body. For a form they are not estimated, because most of it is a file.
func ReadRequest(ctx context.Context, record *request.Record, req *upstream.Request) usage.Request {
	var body io.Reader
	if buffered, ok := req.Body.(*bytes.Reader); ok {
		body = buffered
	}
	parsed, _, err := usage.ReadRequest(ctx, req.Method, req.Target, req.Header, body, maxDecoded)
	if err != nil { // The body cannot be decoded. The upstream returns the error.
		parsed, _, _ = usage.ReadRequest(ctx, req.Method, req.Target, req.Header, nil, 0)
	}
	if body == nil && req.Body != nil {
		if req.ContentLength > 0 && !isForm(req.Header) {
			parsed.TextTokens = (req.ContentLength + usage.BytesPerToken - 1) / usage.BytesPerToken
		}
		if write, end := parsed.MeterBody(req.Header); write != nil {
			record.OnBody(write)
			record.OnEnd(end)
		}
	}
	record.SetRequest(parsed.Model, parsed.Streaming)
	return parsed
}

// isForm reports whether a body is a form with files (RFC 7578).
func isForm(header http.Header) bool {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return mediaType == "multipart/form-data"
}

// ReadResponse records the header of a response, and its events and usage while its body
// is read. parsed is its request.
func ReadResponse(record *request.Record, parsed usage.Request, resp *http.Response) *usage.Tap {
	record.SetResponse(resp.StatusCode, httpx.IsEventStream(resp.Header) || resp.StatusCode == http.StatusSwitchingProtocols)
	tap := usage.NewTap(resp, parsed, record.RecordEvent)
	record.OnBytesToLastEvent(tap.BytesToLastEvent)
	record.OnEnd(func() {
		response := tap.Response()
		record.RecordUsage(response.Model, response.Usage, tap.ByModel()...)
	})
	return tap
}
