package errors_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
)

// An error event ends a stream, whatever its form and position.
func TestErrorEvent_EndsStream(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`
	detail := &restv1.Error{Message: "The server had an error", Type: "server_error", HttpStatus: 200, RequestId: "req_1"}
	fields := []string{"X-Request-Id: req_1"}
	// Fields next to the error are reported too.
	inChunk := strings.TrimSuffix(body, "}") + `,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"error"}]}`
	inChunkDetail := proto.CloneOf(detail)
	inChunkDetail.BodyExcerpt = inChunk
	failures := []e2etest.FailureCase{
		{
			Name:   "data, first event",
			Script: e2etest.StreamWith(fields, e2etest.Event(body)),
			Code:   connect.CodeInternal, Detail: detail,
		},
		{
			Name:   "data, after chunks",
			Script: e2etest.StreamWith(fields, e2etest.Chunk(0, "a"), e2etest.Chunk(0, "b"), e2etest.Event(body)),
			Code:   connect.CodeInternal, Detail: detail, Chunks: 2,
		},
		{
			Name:   "data, in one write with chunks",
			Script: e2etest.StreamWith(fields, e2etest.Chunk(0, "a")+e2etest.Chunk(0, "b")+e2etest.Event(body)+e2etest.DoneEvent),
			Code:   connect.CodeInternal, Detail: detail, Chunks: 2,
		},
		{
			Name:   "event name, first event",
			Script: e2etest.StreamWith(fields, "event: error\n"+e2etest.Event(body)),
			Code:   connect.CodeInternal, Detail: detail,
		},
		{
			Name:   "event name, after chunks",
			Script: e2etest.StreamWith(fields, e2etest.Chunk(0, "a"), "event: error\n"+e2etest.Event(body), e2etest.DoneEvent),
			Code:   connect.CodeInternal, Detail: detail, Chunks: 1,
		},
		{
			Name:   "after the finish_reason",
			Script: e2etest.StreamWith(fields, e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop"), e2etest.Event(body), e2etest.DoneEvent),
			Code:   connect.CodeInternal, Detail: detail, Chunks: 2,
		},
		{
			Name:   "truncated",
			Script: e2etest.StreamWith(fields, e2etest.Chunk(0, "a"), "event: error\ndata: "+body),
			Code:   connect.CodeInternal, Detail: detail, Chunks: 1,
		},
		{
			Name:   "next to choices",
			Script: e2etest.StreamWith(fields, e2etest.Event(inChunk)),
			Code:   connect.CodeInternal, Detail: inChunkDetail,
		},
		{
			Name:   "event name, error without an envelope",
			Script: e2etest.Stream("event: error\n" + e2etest.Event(`{"message":"slow down","type":"rate_limit_error"}`)),
			Code:   connect.CodeResourceExhausted,
			Detail: &restv1.Error{Message: "slow down", Type: "rate_limit_error", HttpStatus: 200},
		},
		{
			Name:   "event name, plain text",
			Script: e2etest.Stream(e2etest.Chunk(0, "a"), "event: error\n"+e2etest.Event("the GPU fell off the bus")),
			Code:   connect.CodeUnknown,
			Detail: &restv1.Error{
				Message:    "the upstream's stream ended after 1 event: an error event arrived",
				HttpStatus: 200, Type: "upstream_error", BodyExcerpt: "the GPU fell off the bus",
			},
			Chunks: 1,
		},
		{
			Name:   "event name, without data",
			Script: e2etest.Stream("event: error\ndata\n\n"),
			Code:   connect.CodeUnknown,
			Detail: &restv1.Error{
				Message: "the upstream's stream ended after 0 events: an error event arrived", HttpStatus: 200, Type: "upstream_error",
			},
		},
	}
	for i := range failures {
		failures[i].Methods = []string{e2etest.StreamMethod}
	}
	checkErrors(t, failures)
}
