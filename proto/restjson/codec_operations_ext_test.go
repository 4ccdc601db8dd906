package restjson_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

const service = "/openaiconnect.chat.v1.ChatService/"

// operation returns the REST operation of an RPC of ChatService.
func operation(tb testing.TB, rpc string) *restjson.Operation {
	tb.Helper()
	operations := chatv1.ChatServiceREST()
	for i, op := range operations {
		if op.Procedure == service+rpc {
			return &operations[i]
		}
	}
	tb.Fatalf("%s has no operation", rpc)
	return nil
}

func TestOperations_Targets(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, rpc, request string
		method, target     string
		body               string // empty without a body
	}{
		{
			"an answer", "CreateChatCompletion", `model: "m" messages: { role: ROLE_USER content: "a" }`,
			"POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"a"}]}`,
		},
		{
			"a streamed answer", "StreamChatCompletion", `model: "m" messages: { role: ROLE_USER content: "a" } extra_json: '{"x":1}'`,
			"POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"a"}],"x":1,"stream":true}`,
		},
		{
			"a stored completion", "GetChatCompletion", `completion_id: "chatcmpl-1"`,
			"GET", "/v1/chat/completions/chatcmpl-1", ``,
		},
		{
			"a stored completion with an ID that needs escapes", "GetChatCompletion", `completion_id: "a/../b?c#d%2f"`,
			"GET", "/v1/chat/completions/a%2F..%2Fb%3Fc%23d%252f", ``,
		},
		{
			"a stored completion with extra parameters", "GetChatCompletion", `completion_id: "c" extra_query: { key: "include[]" value: "usage" }`,
			"GET", "/v1/chat/completions/c?include%5B%5D=usage", ``,
		},
		{
			"an update", "UpdateChatCompletion", `completion_id: "c" metadata: { key: "a" value: "b" }`,
			"POST", "/v1/chat/completions/c", `{"metadata":{"a":"b"}}`,
		},
		{
			"an update that removes all metadata", "UpdateChatCompletion", `completion_id: "c"`,
			"POST", "/v1/chat/completions/c", `{"metadata":{}}`,
		},
		{
			"an update with extra members", "UpdateChatCompletion", `completion_id: "c" extra_json: '{"completion_id":"d"}'`,
			"POST", "/v1/chat/completions/c", `{"metadata":{},"completion_id":"d"}`,
		},
		{
			"a deletion", "DeleteChatCompletion", `completion_id: "c" extra_query: { key: "dry" value: "run" }`,
			"DELETE", "/v1/chat/completions/c?dry=run", ``,
		},
		{"a list", "ListChatCompletions", ``, "GET", "/v1/chat/completions", ``},
		{
			"a list with everything", "ListChatCompletions",
			`model: "gpt-5.4" metadata: { key: "k" value: "v w" } metadata: { key: "a&b" value: "" } after: "c" limit: 100 order: LIST_ORDER_DESC extra_query: { key: "z" value: "1" }`,
			"GET", "/v1/chat/completions?model=gpt-5.4&metadata%5Ba%26b%5D=&metadata%5Bk%5D=v+w&after=c&limit=100&order=desc&z=1", ``,
		},
		{
			"zero and empty are sent, absent is not", "ListChatCompletions", `model: "" limit: 0`,
			"GET", "/v1/chat/completions?model=&limit=0", ``,
		},
		{
			"extra parameters may have the name of an unset field", "ListChatCompletions", `extra_query: { key: "order" value: "random" }`,
			"GET", "/v1/chat/completions?order=random", ``,
		},
		{
			"a completion's messages", "ListChatCompletionMessages", `completion_id: "c" after: "m" limit: 5 order: LIST_ORDER_ASC extra_query: { key: "a" value: "b" }`,
			"GET", "/v1/chat/completions/c/messages?after=m&limit=5&order=asc&a=b", ``,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			op := operation(t, row.rpc)
			request := op.NewRequest()
			if err := prototext.Unmarshal([]byte(row.request), request); err != nil {
				t.Fatal(err)
			}
			target, err := op.Target([]byte("https://a.example"), request)
			if err != nil || op.Method != row.method || string(target) != "https://a.example"+row.target {
				t.Errorf("got %s %s, %v\nwant %s %s", op.Method, target, err, row.method, row.target)
			}
			if op.HasBody != (row.body != "") {
				t.Fatalf("HasBody is %v", op.HasBody)
			}
			if op.HasBody {
				body, err := restjson.AppendRequest(nil, request.(restjson.Encodable), op.Fixed)
				checkJSON(t, "the body", body, err, row.body)
			}
		})
	}
}

func TestOperations_RejectInvalidTargets(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, rpc, request, want string }{
		{"no id, which would turn Get into List", "GetChatCompletion", ``, "completion_id: is required"},
		{"the id of this directory", "DeleteChatCompletion", `completion_id: "."`, `completion_id: "." is not a valid ID`},
		{"the id of the directory above", "UpdateChatCompletion", `completion_id: ".."`, `completion_id: ".." is not a valid ID`},
		{"the id of the directory above, of messages", "ListChatCompletionMessages", `completion_id: ".."`, `completion_id: ".." is not a valid ID`},
		{"an unknown order", "ListChatCompletions", `order: 7`, "order: 7 is not a known value"},
		{"a parameter twice", "ListChatCompletions", `limit: 5 extra_query: { key: "limit" value: "6" }`, `extra_query: "limit" is also set as a typed field: remove one`},
		{
			"an entry of the metadata twice", "ListChatCompletions", `metadata: { key: "k" value: "v" } extra_query: { key: "metadata[k]" value: "w" }`,
			`extra_query: "metadata[k]" is also set as a typed field: remove one`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			op := operation(t, row.rpc)
			request := op.NewRequest()
			if err := prototext.Unmarshal([]byte(row.request), request); err != nil {
				t.Fatal(err)
			}
			_, err := op.Target(nil, request)
			checkFieldError(t, err, row.want)
		})
	}
}

func TestOperations_FixStream(t *testing.T) {
	t.Parallel()
	for rpc, agrees := range map[string]string{"CreateChatCompletion": "false", "StreamChatCompletion": "true"} {
		for _, value := range []string{"true", "false", "null", `"true"`, `"false"`, "0", "1", "[]"} {
			request := &chatv1.CreateChatCompletionRequest{
				Model: "m", Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER}}, ExtraJson: `{"a":1,"stream": ` + value + ` }`,
			}
			got, err := restjson.AppendRequest(nil, request, operation(t, rpc).Fixed)
			if value != agrees {
				checkFieldError(t, err, `extra_json: "stream" is set by the RPC: remove it`)
				continue
			}
			if want := `{"model":"m","messages":[{"role":"user"}],"a":1,"stream": ` + value + `}`; err != nil || string(got) != want {
				t.Errorf("%s: got %s, %v, want %s", rpc, got, err, want)
			}
		}
		request := &chatv1.CreateChatCompletionRequest{ExtraJson: `{"stream":` + agrees + `,"stream":` + agrees + `}`}
		_, err := restjson.AppendRequest(nil, request, operation(t, rpc).Fixed)
		checkFieldError(t, err, `extra_json: "stream" is set by the RPC: remove it`)
	}
}

func TestOperations_CoverEveryRPC(t *testing.T) {
	t.Parallel()
	methods := chatv1.File_openaiconnect_chat_v1_chat_service_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		method := methods.Get(i)
		op := operation(t, string(method.Name()))
		request, response := op.NewRequest(), op.NewResponse()
		if name := request.ProtoReflect().Descriptor().FullName(); name != method.Input().FullName() {
			t.Errorf("%s takes %s", method.Name(), name)
		}
		if name := response.ProtoReflect().Descriptor().FullName(); name != method.Output().FullName() {
			t.Errorf("%s returns %s", method.Name(), name)
		}
		if (op.Stream != nil) != method.IsStreamingServer() {
			t.Errorf("%s: Stream is %v", method.Name(), op.Stream)
		}
		if _, ok := request.(restjson.Encodable); op.HasBody && !ok {
			t.Errorf("%s: the request has no encoder", method.Name())
		}
	}
	if n := len(chatv1.ChatServiceREST()); n != methods.Len() {
		t.Errorf("there are %d operations", n)
	}
}

func TestStream_IsCompleteWhenEveryChoiceIs(t *testing.T) {
	t.Parallel()
	stream := operation(t, "StreamChatCompletion").Stream
	if stream.Done != "[DONE]" {
		t.Errorf("Done is %q", stream.Done)
	}
	const (
		begun    = `{"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}`
		finished = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
		usage    = `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`
	)
	for _, row := range []struct {
		name   string
		n      *int32
		chunks []string
		want   bool
	}{
		{"nothing came", nil, nil, false},
		{"only usage came", nil, []string{usage}, false},
		{"the choice has begun", nil, []string{begun}, false},
		{"the choice is finished", nil, []string{begun, finished}, true},
		{"later events do not change the result", nil, []string{begun, finished, usage}, true},
		{"for a reason that nobody knows yet", nil, []string{begun, `{"choices":[{"index":0,"delta":{},"finish_reason":"eos"}]}`}, true},
		{"for no reason, as text", nil, []string{begun, `{"choices":[{"index":0,"delta":{},"finish_reason":"null"}]}`}, false},
		{"for no reason, as text of Python's", nil, []string{`{"choices":[{"index":0,"delta":{},"finish_reason":"None"}]}`}, false},
		{"for no reason, as text with space and in capitals", nil, []string{`{"choices":[{"index":0,"delta":{},"finish_reason":" NULL "}]}`}, false},
		{"for no reason, as text with an escape", nil, []string{`{"choices":[{"index":0,"delta":{},"finish_reason":"n\u0075ll"}]}`}, false},
		{"for no reason, false", nil, []string{`{"choices":[{"index":0,"delta":{},"finish_reason":false}]}`}, false},
		{"for a reason, after none as text", nil, []string{`{"choices":[{"index":0,"finish_reason":"null"}]}`, finished}, true},
		{"for a reason that is not a string", nil, []string{`{"choices":[{"index":0,"delta":{},"finish_reason":{}}]}`}, true},
		{"one of the two that were asked for", new(int32(2)), []string{finished}, false},
		{"two in one chunk", new(int32(2)), []string{`{"choices":[{"index":1,"finish_reason":"length"},{"index":0,"finish_reason":"stop"}]}`}, true},
		{"choices that are no list", nil, []string{`{"choices":"none"}`}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var progress restjson.Progress
			for _, chunk := range row.chunks {
				stream.Track(&progress, read(t, aChunk, chunk))
			}
			count := stream.Count(&chatv1.CreateChatCompletionRequest{N: row.n})
			if got := progress.Complete(count); got != row.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
