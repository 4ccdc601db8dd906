package errors_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// forbidden runs a server whose upstream must not be asked anything.
func forbidden(t *testing.T, config server.Config) *servertest.Front {
	t.Helper()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the upstream received %s %s", r.Method, r.RequestURI)
		w.WriteHeader(http.StatusTeapot)
	})
	config.Upstream = upstream.URL
	return servertest.Start(t, config)
}

// asking is the smallest request, changed.
func asking(change func(*chatv1.CreateChatCompletionRequest)) proto.Message {
	request := e2etest.Hello()
	change(request)
	return request
}

// withPart has one content part.
func withPart(part *chatv1.ContentPart) proto.Message {
	return asking(func(r *chatv1.CreateChatCompletionRequest) {
		r.Messages[0].Content = nil
		r.Messages[0].ContentParts = []*chatv1.ContentPart{{Part: &chatv1.ContentPart_Text{Text: "a"}}, part}
	})
}

// withTool has one tool.
func withTool(tool *chatv1.FunctionTool) proto.Message {
	return asking(func(r *chatv1.CreateChatCompletionRequest) {
		r.Tools = []*chatv1.Tool{{Tool: &chatv1.Tool_Function{Function: tool}}}
	})
}

// TestAMessageThatCannotBeTranslatedIsRefused is about requests that every
// protocol can express. The message names the field.
func TestAMessageThatCannotBeTranslatedIsRefused(t *testing.T) {
	t.Parallel()
	type request = chatv1.CreateChatCompletionRequest
	rows := []struct {
		name    string
		rpc     string // both that create where empty
		request proto.Message
		says    []string
	}{
		{"no model", "", asking(func(r *request) { r.Model = "" }), []string{"model: is required"}},
		{"no messages", "", asking(func(r *request) { r.Messages = nil }), []string{"messages: is required"}},
		{"nothing at all", "", new(request), []string{"is required"}},
		{"a message without a role", "", asking(func(r *request) { r.Messages[0].Role = 0 }), []string{"messages[0].role: is required"}},
		{
			"both content and content_parts", "",
			asking(func(r *request) {
				r.Messages[0].ContentParts = []*chatv1.ContentPart{{Part: &chatv1.ContentPart_Text{Text: "a"}}}
			}),
			[]string{"messages[0].content_parts", "content too"},
		},
		{
			"both forms of a prediction", "",
			asking(func(r *request) {
				r.Prediction = &chatv1.PredictionContent{
					Content:      new("a"),
					ContentParts: []*chatv1.ContentPart{{Part: &chatv1.ContentPart_Text{Text: "a"}}},
				}
			}),
			[]string{"prediction.content_parts", "content too"},
		},
		{"a part that is nothing", "", withPart(new(chatv1.ContentPart)), []string{"messages[0].content_parts[1]: one of text, "}},
		{
			"a tool that is nothing", "", asking(func(r *request) { r.Tools = []*chatv1.Tool{{}} }),
			[]string{"tools[0]: one of function, custom is required"},
		},

		{"a negative number for an enum", "", asking(func(r *request) {
			r.Modalities = []sharedv1.Modality{sharedv1.Modality_MODALITY_TEXT, -1}
		}), []string{"modalities[1]: -1"}},

		{"a temperature that is not a number", "", asking(func(r *request) { r.Temperature = new(math.NaN()) }), []string{"temperature: is no number"}},
		{"a temperature that is infinite", "", asking(func(r *request) { r.Temperature = new(math.Inf(-1)) }), []string{"temperature: is no number"}},

		{"extra_json that is no object", "", asking(func(r *request) { r.ExtraJson = `[1]` }), []string{"extra_json: must be the text of one JSON object"}},
		{"extra_json that is malformed", "", asking(func(r *request) { r.ExtraJson = `{"a":tru}` }), []string{"extra_json: ", "malformed JSON at byte", "in a:"}},
		{"extra_json that is two objects", "", asking(func(r *request) { r.ExtraJson = `{"a":1}{"b":2}` }), []string{"extra_json: must be the text of one JSON object"}},
		{"extra_json that is blank", "", asking(func(r *request) { r.ExtraJson = ` ` }), []string{"extra_json: must be the text of one JSON object"}},
		{"extra_json that repeats a field", "", asking(func(r *request) { r.ExtraJson = `{"model":"x"}` }), []string{`extra_json: "model" is set as a typed field too`}},
		{
			"extra_json that repeats a field by an escaped name", "", asking(func(r *request) { r.ExtraJson = `{"mod\u0065l":"x"}` }),
			[]string{`extra_json: "model" is set as a typed field too`},
		},
		{"extra_json that decides on streaming", "", asking(func(r *request) { r.ExtraJson = `{"a":1,"stream":null}` }), []string{`extra_json: "stream" is decided by the RPC`}},
		{"extra_json that asks for a stream in one message", e2etest.UnaryMethod, asking(func(r *request) { r.ExtraJson = `{"stream":true}` }), []string{`extra_json: "stream" is decided by the RPC`}},
		{"extra_json that asks for no stream in a stream", e2etest.StreamMethod, asking(func(r *request) { r.ExtraJson = `{"stream":false}` }), []string{`extra_json: "stream" is decided by the RPC`}},
		{
			"extra_json of a message that repeats its parts", "",
			asking(func(r *request) { r.Messages[0].ExtraJson = `{"content":[]}` }),
			[]string{`messages[0].extra_json: "content" is set as a typed field too`},
		},
		{
			"extra_json of a union that repeats its tag", "",
			withPart(&chatv1.ContentPart{Part: &chatv1.ContentPart_Text{Text: "a"}, ExtraJson: `{"type":"text"}`}),
			[]string{`messages[0].content_parts[1].extra_json: "type" is set as a typed field too`},
		},
		{
			"extra_json of an update that repeats its metadata", "UpdateChatCompletion",
			&chatv1.UpdateChatCompletionRequest{CompletionId: "a", Metadata: map[string]string{"a": "b"}, ExtraJson: `{"metadata":{}}`},
			[]string{`extra_json: "metadata" is set as a typed field too`},
		},

		{"parameters that are malformed", "", withTool(&chatv1.FunctionTool{Name: "f", ParametersJson: `{`}), []string{"tools[0].function.parameters_json: must be the text of one JSON object"}},
		{"parameters that are no object", "", withTool(&chatv1.FunctionTool{Name: "f", ParametersJson: `"a"`}), []string{"tools[0].function.parameters_json: must be the text of one JSON object"}},
		{
			"a schema that is two objects", "",
			asking(func(r *request) {
				r.ResponseFormat = &chatv1.ResponseFormat{Format: &chatv1.ResponseFormat_JsonSchema{
					JsonSchema: &chatv1.JSONSchema{Name: "s", SchemaJson: `{} {}`},
				}}
			}),
			[]string{"response_format.json_schema.schema_json: must be the text of one JSON object"},
		},
		{
			"an allowed tool that is no object", "",
			asking(func(r *request) {
				r.ToolChoice = &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_AllowedTools{AllowedTools: &chatv1.AllowedTools{
					Mode: sharedv1.AllowedToolsMode_ALLOWED_TOOLS_MODE_AUTO, ToolsJson: []string{`{}`, `7`},
				}}}
			}),
			[]string{"tool_choice.allowed_tools.tools_json[1]: must be the text of one JSON object"},
		},

		{"an empty id to get", "GetChatCompletion", new(chatv1.GetChatCompletionRequest), []string{"completion_id: is required"}},
		{"the id . to get", "GetChatCompletion", &chatv1.GetChatCompletionRequest{CompletionId: "."}, []string{`completion_id: "." is no id`}},
		{"the id .. to get", "GetChatCompletion", &chatv1.GetChatCompletionRequest{CompletionId: ".."}, []string{`completion_id: ".." is no id`}},
		{"the id .. to update", "UpdateChatCompletion", &chatv1.UpdateChatCompletionRequest{CompletionId: ".."}, []string{`completion_id: ".." is no id`}},
		{"an empty id to delete", "DeleteChatCompletion", new(chatv1.DeleteChatCompletionRequest), []string{"completion_id: is required"}},
		{
			"an empty id whose messages to list", "ListChatCompletionMessages",
			new(chatv1.ListChatCompletionMessagesRequest),
			[]string{"completion_id: is required"},
		},
		{
			"extra_query that repeats a field", "ListChatCompletions",
			&chatv1.ListChatCompletionsRequest{Limit: new(int32(1)), ExtraQuery: map[string]string{"limit": "2"}},
			[]string{`extra_query: "limit" is set as a typed field too`},
		},
		{
			"extra_query that repeats a pair of the metadata", "ListChatCompletions",
			&chatv1.ListChatCompletionsRequest{
				Metadata: map[string]string{"run": "7"}, ExtraQuery: map[string]string{"metadata[run]": "8"},
			},
			[]string{`extra_query: "metadata[run]" is set as a typed field too`},
		},
	}
	front := forbidden(t, server.Config{})
	// One process for each row would take long, and show the same.
	clients := e2etest.LibraryClients(t, front)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, client := range clients {
				if row.rpc != e2etest.StreamMethod && row.rpc != "" || row.rpc == "" {
					rpc := row.rpc
					if rpc == "" {
						rpc = e2etest.UnaryMethod
					}
					_, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: rpc, Request: row.request}, new(chatv1.ChatCompletion))
					e2etest.CheckError(t, e2etest.AsRPCError(t, err), connect.CodeInvalidArgument, row.says...)
				}
				if row.rpc == "" {
					_, err := client.Stream(e2etest.Context(t), e2etest.Call{Method: e2etest.StreamMethod, Request: row.request}, func(chunk *chatv1.ChatCompletionChunk) {
						t.Errorf("a chunk came: %v", chunk)
					})
					e2etest.CheckError(t, e2etest.AsRPCError(t, err), connect.CodeInvalidArgument, row.says...)
				}
			}
		})
	}
}

// media are the content types of requests, which name protocol and codec.
var (
	jsonMedia   = []string{"application/json", "application/connect+json", "application/grpc+json", "application/grpc-web+json"}
	binaryMedia = []string{"application/proto", "application/connect+proto", "application/grpc", "application/grpc-web+proto"}
)

// TestAMalformedRequestIsRefused is about texts that no client of the schema
// would send.
func TestAMalformedRequestIsRefused(t *testing.T) {
	t.Parallel()
	front := forbidden(t, server.Config{})
	for _, row := range []struct {
		name    string
		media   []string
		message string
		says    []string
	}{
		{"JSON that is cut short", jsonMedia, `{"model":"m","messages":[`, []string{"unmarshal", "unexpected EOF"}},
		{"JSON with a comma too many", jsonMedia, `{"model":"m",}`, []string{"syntax error", "line 1:14"}},
		{"JSON that is no object", jsonMedia, `["model"]`, []string{"unexpected token ["}},
		{"two JSON objects", jsonMedia, `{"model":"m"} {}`, []string{"unexpected token {"}},
		{"text that is no JSON", jsonMedia, `hello`, []string{"invalid value hello"}},
		{"an empty JSON text", jsonMedia[:1], ``, []string{"not a valid JSON object"}},
		{"an empty JSON message", jsonMedia[1:], ``, []string{"model: is required"}},
		{"a value of another type", jsonMedia, `{"model":5}`, []string{`field model`}},
		{"a value that the enum lacks", jsonMedia, `{"model":"m","messages":[{"role":"user"}]}`, []string{`field role: "user"`}},
		{"a name twice", jsonMedia, `{"model":"m","model":"n"}`, []string{`duplicate field "model"`}},
		{"two branches of a union", jsonMedia, `{"tools":[{"function":{"name":"a"},"custom":{"name":"b"}}]}`, []string{"oneof openaiconnect.chat.v1.Tool.tool is already set"}},

		{"Protobuf that is cut short", binaryMedia, "\x0a\x05gpt", []string{"unmarshal", "proto"}},
		{"Protobuf with a field of another type", binaryMedia, "\x08\x01", []string{"field number 1"}},
		{"text that is no UTF-8", binaryMedia, "\x0a\x02\xc3\x28", []string{"invalid UTF-8"}},
		{"an empty message", binaryMedia, "", []string{"model: is required"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, media := range row.media {
				for _, procedure := range []string{e2etest.CreateProcedure, e2etest.StreamProcedure} {
					if isUnaryMedia(media) != (procedure == e2etest.CreateProcedure) && !strings.HasPrefix(media, "application/grpc") {
						continue
					}
					t.Run(media+" "+procedure[strings.LastIndex(procedure, "/")+1:], func(t *testing.T) {
						failed := sendRaw(t, front, procedure, media, []byte(row.message), nil)
						e2etest.CheckError(t, failed, connect.CodeInvalidArgument, row.says...)
					})
				}
			}
		})
	}
}

// isUnaryMedia reports whether a content type is that of Connect's unary calls,
// which have no envelopes.
func isUnaryMedia(media string) bool {
	return media == "application/json" || media == "application/proto"
}

// sendRaw sends a message as it is, and returns how the call failed.
func sendRaw(t *testing.T, front *servertest.Front, procedure, media string, message []byte, header http.Header) *e2etest.RPCError {
	t.Helper()
	body := message
	if !isUnaryMedia(media) {
		flags := byte(0)
		if header.Get("Grpc-Encoding") != "" || header.Get("Connect-Content-Encoding") != "" {
			flags = 1
		}
		body = e2etest.Envelope(flags, message)
	}
	request := e2etest.NewPost(e2etest.Context(t), front.URL+procedure, media, body)
	request.Header.Set("TE", "trailers")
	maps.Copy(request.Header, header)
	grpc := strings.HasPrefix(media, "application/grpc")
	response, err := servertest.HTTPClient(t, grpc && !strings.HasPrefix(media, "application/grpc-web")).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case isUnaryMedia(media):
		if response.StatusCode == http.StatusOK {
			t.Fatalf("the call succeeded with %s", text)
		}
		return e2etest.AsRPCError(t, e2etest.ConnectJSONError(text))
	case response.StatusCode != http.StatusOK:
		t.Fatalf("the status is %d", response.StatusCode)
	case !grpc:
		failed, err := e2etest.ReadConnectJSONStream(bytes.NewReader(text), func(chunk *chatv1.ChatCompletionChunk) {
			t.Errorf("a chunk came: %v", chunk)
		})
		if err != nil {
			t.Fatal(err)
		}
		return e2etest.AsRPCError(t, failed)
	}
	return trailerFailure(t, response, text)
}

// trailerFailure is the failure that gRPC and gRPC-Web put into trailers: of
// HTTP, in the body, or among the headers where nothing else follows.
func trailerFailure(t *testing.T, response *http.Response, body []byte) *e2etest.RPCError {
	t.Helper()
	trailer := response.Trailer
	if response.Header.Get("Grpc-Status") != "" {
		trailer = response.Header
	}
	if len(body) > 0 {
		flags, text, err := e2etest.ReadEnvelope(bytes.NewReader(body))
		if err != nil || flags != 0x80 {
			t.Fatalf("the body is %q", body)
		}
		trailer = make(http.Header)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			trailer.Set(name, strings.TrimSpace(value))
		}
	}
	code, err := strconv.Atoi(trailer.Get("Grpc-Status"))
	if err != nil {
		t.Fatalf("there is no grpc-status in %v", trailer)
	}
	message, err := url.PathUnescape(trailer.Get("Grpc-Message"))
	if err != nil {
		t.Fatal(err)
	}
	return &e2etest.RPCError{Code: connect.Code(code), Message: message}
}

func TestAMessageOverTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	const limit = 1000
	front := forbidden(t, server.Config{MaxMessageBytes: limit})
	request := e2etest.Hello()
	request.Messages[0].Content = new(strings.Repeat("a", limit))
	says := []string{strconv.Itoa(limit)}
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			_, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: e2etest.UnaryMethod, Request: request}, new(chatv1.ChatCompletion))
			e2etest.CheckError(t, e2etest.AsRPCError(t, err), connect.CodeResourceExhausted, says...)
			_, err = client.Stream(e2etest.Context(t), e2etest.Call{Method: e2etest.StreamMethod, Request: request}, func(*chatv1.ChatCompletionChunk) {})
			e2etest.CheckError(t, e2etest.AsRPCError(t, err), connect.CodeResourceExhausted, says...)
		})
	}
	t.Run("that is small while compressed", func(t *testing.T) {
		encoded, err := protojson.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		var compressed bytes.Buffer
		writer := gzip.NewWriter(&compressed)
		_, _ = writer.Write(encoded)
		_ = writer.Close()
		for media, name := range map[string]string{
			"application/json":          "Content-Encoding",
			"application/connect+json":  "Connect-Content-Encoding",
			"application/grpc+json":     "Grpc-Encoding",
			"application/grpc-web+json": "Grpc-Encoding",
		} {
			procedure := e2etest.StreamProcedure
			if isUnaryMedia(media) {
				procedure = e2etest.CreateProcedure
			}
			failed := sendRaw(t, front, procedure, media, compressed.Bytes(), http.Header{name: {"gzip"}})
			e2etest.CheckError(t, failed, connect.CodeResourceExhausted, says...)
		}
	})
}

func TestAMessageOfTheLimitIsAccepted(t *testing.T) {
	t.Parallel()
	request := e2etest.Hello()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.HelloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL, MaxMessageBytes: proto.Size(request)})
	client := e2etest.NewGRPCClient(t, front)
	if _, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: e2etest.UnaryMethod, Request: request}, new(chatv1.ChatCompletion)); err != nil {
		t.Fatal(err)
	}
	if got := e2etest.TakeOne(t, upstream); got.Body != e2etest.HelloBody {
		t.Errorf("the upstream received %s", got.Body)
	}
}

// TestARequestThatIsNoneOfTheRPCsIsToldSo is about HTTP requests that don't come
// as far as a message.
func TestARequestThatIsNoneOfTheRPCsIsToldSo(t *testing.T) {
	t.Parallel()
	front := forbidden(t, server.Config{})
	const getProcedure = "/openaiconnect.chat.v1.ChatService/GetChatCompletion"
	for _, row := range []struct {
		name, method, path, media, body string

		status int
		header map[string]string
		says   []string
	}{
		{
			name: "a content type that is no RPC's", method: http.MethodPost, path: e2etest.CreateProcedure, media: "text/plain", body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType,
			says:   []string{`"text/plain"`, e2etest.CreateProcedure, "application/json", "application/grpc"},
		},
		{
			name: "no content type", method: http.MethodPost, path: e2etest.CreateProcedure, body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType, says: []string{`""`, "application/json"},
		},
		{
			name: "what curl says of data by default", method: http.MethodPost, path: e2etest.CreateProcedure,
			media: "application/x-www-form-urlencoded", body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType, says: []string{`"application/x-www-form-urlencoded"`, "application/json"},
		},
		{
			name: "a codec that is unknown", method: http.MethodPost, path: e2etest.CreateProcedure, media: "application/grpc+xml", body: "x",
			status: http.StatusUnsupportedMediaType, says: []string{`"application/grpc+xml"`},
		},
		{
			name: "a unary request for a stream", method: http.MethodPost, path: e2etest.StreamProcedure, media: "application/json", body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType, says: []string{`"application/json"`, "application/connect+json"},
		},
		{
			name: "a stream's request for a unary RPC", method: http.MethodPost, path: e2etest.CreateProcedure, media: "application/connect+json", body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType, says: []string{`"application/connect+json"`, "application/json"},
		},
		{
			name: "a GET of an RPC with side effects", method: http.MethodGet, path: e2etest.CreateProcedure + "?connect=v1&encoding=json&message={}",
			status: http.StatusMethodNotAllowed, header: map[string]string{"Allow": "POST"}, says: []string{`"GET"`, e2etest.CreateProcedure, "POST"},
		},
		{
			name: "a PUT", method: http.MethodPut, path: e2etest.CreateProcedure, media: "application/json", body: e2etest.HelloBody,
			status: http.StatusMethodNotAllowed, header: map[string]string{"Allow": "POST"}, says: []string{`"PUT"`, "POST"},
		},
		{
			name: "a DELETE of a read", method: http.MethodDelete, path: getProcedure,
			status: http.StatusMethodNotAllowed, header: map[string]string{"Allow": "GET, POST"}, says: []string{`"DELETE"`, "GET", "POST"},
		},
		{
			name: "an unknown RPC", method: http.MethodPost, path: "/openaiconnect.chat.v1.ChatService/Nope", media: "application/json", body: `{}`,
			status: http.StatusNotFound, says: []string{"/openaiconnect.chat.v1.ChatService/Nope"},
		},
		{
			name: "a GET of an unknown RPC", method: http.MethodGet, path: "/openaiconnect.chat.v1.ChatService/Nope",
			status: http.StatusNotFound, says: []string{"/openaiconnect.chat.v1.ChatService/Nope"},
		},
		{
			name: "no RPC of the service", method: http.MethodPost, path: "/openaiconnect.chat.v1.ChatService/", media: "application/json", body: `{}`,
			status: http.StatusNotFound, says: []string{"/openaiconnect.chat.v1.ChatService/"},
		},
		{
			name: "an unknown encoding of a query", method: http.MethodGet,
			path:   getProcedure + "?connect=v1&encoding=xml&message={}",
			status: http.StatusUnsupportedMediaType, says: []string{"xml", "json or proto"},
		},
		{
			name: "a query that is no JSON", method: http.MethodGet, path: getProcedure + "?connect=v1&encoding=json&message={",
			status: http.StatusBadRequest, says: []string{"unmarshal"},
		},
		{
			name: "a query without an id", method: http.MethodGet, path: getProcedure + "?connect=v1&encoding=json&message={}",
			status: http.StatusBadRequest, says: []string{"completion_id: is required"},
		},
		{
			name: "a query with a name that is unknown", method: http.MethodGet,
			path:   getProcedure + "?connect=v1&encoding=json&message=" + url.QueryEscape(`{"id":"x"}`),
			status: http.StatusBadRequest, says: []string{`unknown field "id"`},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(e2etest.Context(t), row.method, front.URL+row.path, strings.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			if row.media != "" {
				request.Header.Set("Content-Type", row.media)
			}
			response, err := servertest.HTTPClient(t, false).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != row.status {
				t.Errorf("the status is %d, not %d", response.StatusCode, row.status)
			}
			for name, want := range row.header {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s is %q, not %q", name, got, want)
				}
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range row.says {
				if !strings.Contains(strings.ReplaceAll(string(body), `\"`, `"`), text) {
					t.Errorf("the body %q doesn't say %q", body, text)
				}
			}
		})
	}
}

// TestAnUnknownRPCIsNotForwarded has calls that no REST host could
// answer.
func TestAnUnknownRPCIsNotForwarded(t *testing.T) {
	t.Parallel()
	front := forbidden(t, server.Config{})
	for _, path := range []string{"/openai.chat.v2.ChatService/CreateChatCompletion", e2etest.CreateProcedure + "s", "/v1/chat/completions", "/"} {
		t.Run(path, func(t *testing.T) {
			t.Run("gRPC by grpc-go", func(t *testing.T) {
				err := e2etest.GRPCError(front.GRPC(t).Invoke(e2etest.Context(t), path, e2etest.Hello(), new(chatv1.ChatCompletion)))
				e2etest.CheckError(t, e2etest.AsRPCError(t, err), connect.CodeUnimplemented, path)
			})
			for _, media := range slices.Concat(jsonMedia, binaryMedia) {
				t.Run(media, func(t *testing.T) {
					// By this header, a Connect request that has no envelopes
					// is told from JSON for the upstream.
					header := http.Header{"Connect-Protocol-Version": {"1"}}
					e2etest.CheckError(t, sendRaw(t, front, path, media, nil, header), connect.CodeUnimplemented, path)
				})
			}
		})
	}
}

// TestAHeaderThatIsNotHTTPIsRefused speaks over a socket, as clients' libraries
// refuse to send such.
func TestAHeaderThatIsNotHTTPIsRefused(t *testing.T) {
	t.Parallel()
	front := forbidden(t, server.Config{})
	for name, line := range map[string]string{
		"a control character in a value": "X-Tag: a\x01b",
		"a NUL in a value":               "X-Tag: a\x00b",
		"a space in a name":              "X Tag: a",
		"no colon":                       "X-Tag",
		"a name that is empty":           ": a",
	} {
		t.Run(name, func(t *testing.T) {
			ctx := e2etest.Context(t)
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", front.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s\r\nContent-Length: %d\r\n\r\n%s",
				e2etest.CreateProcedure, front.Address, line, len(e2etest.HelloBody), e2etest.HelloBody)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 Bad Request") {
				t.Errorf("got %v and %q", err, answer)
			}
		})
	}
}
