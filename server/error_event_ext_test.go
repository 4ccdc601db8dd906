package server_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// An error event ends a stream, however it is marked, and wherever it stands.
func TestAnErrorEventEndsAStream(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`
	detail := &restv1.Error{Message: "The server had an error", Type: "server_error", HttpStatus: 200, RequestId: "req_1"}
	fields := []string{"X-Request-Id: req_1"}
	// What stands beside the error is told too.
	inChunk := strings.TrimSuffix(body, "}") + `,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"error"}]}`
	inChunkDetail := proto.CloneOf(detail)
	inChunkDetail.BodyExcerpt = inChunk
	failures := []failing{
		{
			name:   "as data, first of all",
			script: streamWith(fields, event(body)),
			code:   connect.CodeInternal, detail: detail,
		},
		{
			name:   "as data, after messages",
			script: streamWith(fields, chunk(0, "a"), chunk(0, "b"), event(body)),
			code:   connect.CodeInternal, detail: detail, texts: 2,
		},
		{
			name:   "as data, together with messages",
			script: streamWith(fields, chunk(0, "a")+chunk(0, "b")+event(body)+done),
			code:   connect.CodeInternal, detail: detail, texts: 2,
		},
		{
			name:   "by its name, first of all",
			script: streamWith(fields, "event: error\n"+event(body)),
			code:   connect.CodeInternal, detail: detail,
		},
		{
			name:   "by its name, after messages",
			script: streamWith(fields, chunk(0, "a"), "event: error\n"+event(body), done),
			code:   connect.CodeInternal, detail: detail, texts: 1,
		},
		{
			name:   "after the finish_reason",
			script: streamWith(fields, chunk(0, "a"), finish(0, "stop"), event(body), done),
			code:   connect.CodeInternal, detail: detail, texts: 2,
		},
		{
			name:   "cut off",
			script: streamWith(fields, chunk(0, "a"), "event: error\ndata: "+body),
			code:   connect.CodeInternal, detail: detail, texts: 1,
		},
		{
			name:   "inside a chunk",
			script: streamWith(fields, event(inChunk)),
			code:   connect.CodeInternal, detail: inChunkDetail,
		},
		{
			name:   "by its name, bare",
			script: stream("event: error\n" + event(`{"message":"slow down","type":"rate_limit_error"}`)),
			code:   connect.CodeResourceExhausted,
			detail: &restv1.Error{Message: "slow down", Type: "rate_limit_error", HttpStatus: 200},
		},
		{
			name:   "by its name, as text",
			script: stream(chunk(0, "a"), "event: error\n"+event("the GPU fell off the bus")),
			code:   connect.CodeUnknown,
			detail: &restv1.Error{
				Message:    "the upstream's stream ended after 1 event: an error event came",
				HttpStatus: 200, Type: "upstream_error", BodyExcerpt: "the GPU fell off the bus",
			},
			texts: 1,
		},
		{
			name:   "by its name, without data",
			script: stream("event: error\ndata\n\n"),
			code:   connect.CodeUnknown,
			detail: &restv1.Error{
				Message: "the upstream's stream ended after 0 events: an error event came", HttpStatus: 200, Type: "upstream_error",
			},
		},
	}
	for i := range failures {
		failures[i].ways = []string{streaming}
	}
	checkErrors(t, failures)
}
