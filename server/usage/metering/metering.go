// Package metering records the model, streaming mode and token usage of each request in its
// [request.Record]. It neither buffers nor delays requests and responses.
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

// Sender meters the requests that it forwards. It leaves requests of authenticated clients
// to package policy, which needs their usage to enforce the clients' limits.
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

// maxDecoded is the maximum number of bytes to decode of a body in memory.
const maxDecoded = 64 << 20

// ReadRequest records the model and the streaming mode of a request, as far as they are
// known without waiting for its body. The body of a typed request is in memory, so all of
// it is read. For a raw request, the input tokens are estimated: from the text of a JSON
// body while it is sent, and otherwise from the Content-Length. The tokens of a form are
// not estimated, because it consists mostly of files.
func ReadRequest(ctx context.Context, record *request.Record, req *upstream.Request) usage.Request {
	var body io.Reader
	if buffered, ok := req.Body.(*bytes.Reader); ok {
		body = buffered
	}
	parsed, _, err := usage.ReadRequest(ctx, req.Method, req.Target, req.Header, body, maxDecoded)
	if err != nil { // The body cannot be decoded. The upstream will report that.
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

// isForm reports whether the content type is multipart/form-data (RFC 7578).
func isForm(header http.Header) bool {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return mediaType == "multipart/form-data"
}

// ReadResponse records the status of a response at once, and its events, model and usage
// while its body is read. parsed is the result of [ReadRequest] for its request.
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
