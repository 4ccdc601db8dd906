package upstream_test

import (
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
)

// scripted returns metadata that names a script.
func scripted(name string) http.Header { return http.Header{e2etest.ScriptHeader: {name}} }

// Error bodies that differ from OpenAI's. Fields unknown to the schema are in
// extra_json.
func TestCompatible_ErrorsArriveCompletely(t *testing.T) {
	t.Parallel()
	type detail = restv1.Error
	rows := []struct {
		fixture string
		status  int32
		code    connect.Code
		fields  []string // header lines of the response
		retry   time.Duration
		detail  *detail
	}{
		{fixture: "vllm/error.json", status: 400, code: connect.CodeInvalidArgument, detail: &detail{
			Message:   "This model's maximum context length is 4096 tokens. However, your request has 5120 input tokens.",
			Type:      "BadRequestError",
			Param:     new("input_tokens"),
			ExtraJson: `{"code":400}`,
		}},
		{fixture: "vllm/error-older.json", status: 404, code: connect.CodeNotFound, detail: &detail{
			Message:   "The model `gpt-5.4-mini` does not exist.",
			Type:      "NotFoundError",
			ExtraJson: `{"object":"error","code":404}`,
		}},
		{fixture: "ollama/error.json", status: 404, code: connect.CodeNotFound, detail: &detail{
			Message: `model "gpt-5.4-mini" not found, try pulling it first`,
			Type:    "not_found_error",
		}},
		{fixture: "ollama/error-text.json", status: 500, code: connect.CodeInternal, detail: &detail{
			Message:   "an error was encountered while running the model: CUDA error",
			ExtraJson: `{"error":"an error was encountered while running the model: CUDA error"}`,
		}},
		{fixture: "llama.cpp/error.json", status: 400, code: connect.CodeInvalidArgument, detail: &detail{
			Message:   "request (4170 tokens) exceeds the available context size (4096 tokens), try increasing it",
			Type:      "exceed_context_size_error",
			ExtraJson: `{"code":400,"n_prompt_tokens":4170,"n_ctx":4096}`,
		}},
		{fixture: "llama.cpp/error-loading.json", status: 503, code: connect.CodeUnavailable, detail: &detail{
			Message:   "Loading model",
			Type:      "unavailable_error",
			ExtraJson: `{"code":503}`,
		}},
		{fixture: "localai/error.json", status: 500, code: connect.CodeInternal, detail: &detail{
			Message:   "could not load model - all backends returned error",
			ExtraJson: `{"code":500}`,
		}},
		{fixture: "deepseek/error.json", status: 402, code: connect.CodeResourceExhausted, detail: &detail{
			Message: "Insufficient Balance",
			Type:    "unknown_error",
			Code:    new("invalid_request_error"),
		}},
		{fixture: "openrouter/error.json", status: 429, code: connect.CodeResourceExhausted, detail: &detail{
			Message:   "Provider returned error",
			ExtraJson: `{"code":429,"metadata":{"raw":"{\"error\":{\"message\":\"Slow down.\"}}","provider_name":"Targon","is_byok":false}}`,
		}},
		{
			fixture: "azure/error.json", status: 429, code: connect.CodeResourceExhausted,
			fields: []string{"Retry-After: 21"}, retry: 21 * time.Second,
			detail: &detail{
				Message: "Requests to the ChatCompletions_Create Operation have exceeded the token rate limit of your current pricing tier. Please retry after 21 seconds.",
				Code:    new("429"),
			},
		},
		{fixture: "azure/error-filter.json", status: 400, code: connect.CodeInvalidArgument, detail: &detail{
			Message:   "The response was filtered due to the prompt triggering the content management policy.",
			Param:     new("prompt"),
			Code:      new("content_filter"),
			ExtraJson: `{"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},"violence":{"filtered":true,"severity":"medium"}}}}`,
		}},
		{fixture: "azure/error-gateway.json", status: 401, code: connect.CodeUnauthenticated, detail: &detail{
			Message:   "Access denied due to invalid subscription key or wrong API endpoint.",
			ExtraJson: `{"statusCode": 401}`,
		}},
		{fixture: "mistral/error.json", status: 422, code: connect.CodeInvalidArgument, detail: &detail{
			Message:   `{"detail":[{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted","input":32000}]}`,
			Type:      "invalid_request_error",
			ExtraJson: `{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","max_completion_tokens"],"msg":"Extra inputs are not permitted","input":32000}]}}`,
		}},
		{fixture: "mistral/error-capacity.json", status: 429, code: connect.CodeResourceExhausted, detail: &detail{
			Message:   "Service tier capacity exceeded for this model.",
			Type:      "service_tier_capacity_exceeded",
			Code:      new("3505"),
			ExtraJson: `{"object":"error","raw_status_code":429}`,
		}},
		{fixture: "mistral/error-detail.json", status: 422, code: connect.CodeInvalidArgument, detail: &detail{
			Message:   `[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted","input":false}]`,
			ExtraJson: `{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted","input":false}]}`,
		}},
		{fixture: "groq/error.json", status: 400, code: connect.CodeInvalidArgument, detail: &detail{
			Message:   "Failed to call a function. Please adjust your prompt.",
			Type:      "invalid_request_error",
			Code:      new("tool_use_failed"),
			ExtraJson: `{"failed_generation":"` + "```" + `\n{\"tool_calls\": [\n` + "```" + `"}`,
		}},
		{fixture: "gemini/error.json", status: 400, code: connect.CodeInvalidArgument, detail: &detail{
			Message:   "Function call is missing a thought_signature in functionCall parts.",
			ExtraJson: `{"code": 400,"status": "INVALID_ARGUMENT","details": [{"@type": "type.googleapis.com/google.rpc.BadRequest"}]}`,
		}},
	}
	scripts := make(map[string]e2etest.Script)
	for _, row := range rows {
		scripts[row.fixture] = e2etest.Reply(int(row.status), readFixture(t, row.fixture), append(row.fields, e2etest.JSONType, "X-Request-Id: req_1")...)
		row.detail.HttpStatus, row.detail.RequestId = row.status, "req_1"
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			for _, row := range rows {
				for _, method := range e2etest.Methods {
					t.Run(row.fixture+" of "+method, func(t *testing.T) {
						failed := e2etest.ScriptedCall{Method: method, Script: row.fixture}.Do(t, client).Err
						if failed == nil {
							t.Fatal("call succeeded, want an error")
						}
						checkDetail(t, failed, row.code, row.detail)
						if got := failed.Retry.GetRetryDelay().AsDuration(); got != row.retry {
							t.Errorf("got retry delay %v, want %v", got, row.retry)
						}
					})
				}
			}
		})
	}
}

// checkDetail checks an error's code, message, and detail without the body excerpt.
func checkDetail(t *testing.T, failed *e2etest.RPCError, code connect.Code, want *restv1.Error) {
	t.Helper()
	e2etest.CheckError(t, failed, code)
	if failed.Message != want.GetMessage() {
		t.Errorf("got message %q, want %q", failed.Message, want.GetMessage())
	}
	got := proto.CloneOf(failed.Detail)
	got.BodyExcerpt = ""
	if !proto.Equal(got, want) {
		t.Errorf("got detail\n%v\nwant\n%v", got, want)
	}
}

// An error in a stream ends it. The preceding chunks arrive.
func TestCompatible_ErrorsInStreamsEndThem(t *testing.T) {
	t.Parallel()
	rows := []struct {
		fixture string
		text    string
		code    connect.Code
		detail  *restv1.Error
	}{
		{"vllm/stream-error.txt", "Th", connect.CodeInternal, &restv1.Error{
			Message:   "EngineCore encountered an issue.",
			Type:      "InternalServerError",
			ExtraJson: `{"code": 500}`,
		}},
		{"llama.cpp/stream-error.txt", "", connect.CodeInternal, &restv1.Error{
			Message:   "failed to decode the batch",
			Type:      "server_error",
			ExtraJson: `{"code":500}`,
		}},
		{"openrouter/stream-error.txt", "Bon", connect.CodeInternal, &restv1.Error{
			Message: "Provider disconnected unexpectedly",
			Code:    new("server_error"),
		}},
		{"groq/stream-error.txt", "", connect.CodeInvalidArgument, &restv1.Error{
			Message:   "Failed to call a function. Please adjust your prompt.",
			Type:      "invalid_request_error",
			Code:      new("tool_use_failed"),
			ExtraJson: `{"failed_generation":"<function=wave>","status_code":400}`,
		}},
	}
	scripts := make(map[string]e2etest.Script)
	for _, row := range rows {
		scripts[row.fixture] = e2etest.Stream(readFixture(t, row.fixture))
		row.detail.HttpStatus = http.StatusOK
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			for _, row := range rows {
				t.Run(row.fixture, func(t *testing.T) {
					sent := eventData(readFixture(t, row.fixture))
					c := e2etest.Call{Method: e2etest.StreamMethod, Request: e2etest.Hello(), Metadata: scripted(row.fixture)}
					all, text, err := receiveAll(t, client, c, sent)
					if len(all.Items) != len(sent)-1 || text != row.text {
						t.Errorf("got %d chunks with text %[3]q, want %[2]d with %[4]q", len(all.Items), len(sent)-1, text, row.text)
					}
					checkDetail(t, e2etest.AsRPCError(t, err), row.code, row.detail)
				})
			}
		})
	}
}

// A successful response may have an empty field "error".
func TestCompatible_EmptyErrorIsSuccess(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`null`, `""`, `[]`, `{}`, `false`} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			sent := `{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[],"error":` + value + `}`
			scripts := map[string]e2etest.Script{"an answer": e2etest.Reply(http.StatusOK, sent, e2etest.JSONType)}
			front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
			for _, client := range e2etest.LibraryClients(t, front) {
				got := new(chatv1.ChatCompletion)
				c := e2etest.Call{Method: e2etest.UnaryMethod, Request: e2etest.Hello(), Metadata: scripted("an answer")}
				if _, err := client.Unary(e2etest.Context(t), c, got); err != nil {
					t.Fatal(err)
				}
				checkComplete(t, sent, got)
				facts{"extra_json": `{"error":` + value + `}`}.check(t, e2etest.JSONTree(t, got))
			}
		})
	}
}
