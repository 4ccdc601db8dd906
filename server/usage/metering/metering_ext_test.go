package metering_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
	"github.com/openai-connect/openai-connect/server/usage/metering"
)

type senderFunc func(ctx context.Context, req *upstream.Request) (*http.Response, error)

func (f senderFunc) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	return f(ctx, req)
}

func TestMetering_RecordsModelUsageAndEvents(t *testing.T) {
	t.Parallel()
	const body = `{"model":"m","stream":true}`
	for _, test := range []struct {
		name   string
		body   io.Reader
		client *clients.Client
		model  string
		want   usage.Usage
	}{
		{"a buffered body", bytes.NewReader([]byte(body)), nil, "m", usage.Usage{Input: 2, Output: 3, Total: 5}},
		{"a body that is not buffered", io.NopCloser(strings.NewReader(body)), nil, "", usage.Usage{Input: 2, Output: 3, Total: 5}},
		{"a known client, which package policy meters", bytes.NewReader([]byte(body)), &clients.Client{}, "", usage.Usage{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			record := &request.Record{Client: test.client}
			sender := metering.New(senderFunc(func(_ context.Context, req *upstream.Request) (*http.Response, error) {
				if got, err := io.ReadAll(req.Body); err != nil || string(got) != body {
					t.Errorf("got body %q, error %v", got, err)
				}
				const events = "data: {\"model\":\"n\"}\n\ndata: {\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n"
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}},
					Body: io.NopCloser(strings.NewReader(events)),
				}, nil
			}))
			resp, err := sender.Send(request.NewContext(t.Context(), record), &upstream.Request{
				Method: http.MethodPost, Target: "/v1/chat/completions", Header: http.Header{"Content-Type": {"application/json"}},
				Body: test.body, ContentLength: int64(len(body)),
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			record.End()
			if got := record.Progress(); record.Model != test.model || got.Usage != test.want || (got.Events == 2) != (test.client == nil) {
				t.Errorf("got model %q, progress %+v", record.Model, got)
			}
		})
	}
}
