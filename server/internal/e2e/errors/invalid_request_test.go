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

// startUnreachable runs a server whose upstream must not receive a request.
func startUnreachable(t *testing.T, config server.Config) *servertest.Front {
	t.Helper()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("upstream received %s %s", r.Method, r.RequestURI)
		w.WriteHeader(http.StatusTeapot)
	})
	config.Upstream = upstream.URL
	return servertest.Start(t, config)
}

// helloWith returns the smallest request, modified by change.
func helloWith(change func(*chatv1.CreateChatCompletionRequest)) proto.Message {
	request := e2etest.Hello()
	change(request)
	return request
}

// withPart returns a request with this content part.
func withPart(part *chatv1.ContentPart) proto.Message {
	return helloWith(func(r *chatv1.CreateChatCompletionRequest) {
		r.Messages[0].Content = nil
		r.Messages[0].ContentParts = []*chatv1.ContentPart{{Part: &chatv1.ContentPart_Text{Text: "a"}}, part}
	})
}

// withTool returns a request with this tool.
func withTool(tool *chatv1.FunctionTool) proto.Message {
	return helloWith(func(r *chatv1.CreateChatCompletionRequest) {
		r.Tools = []*chatv1.Tool{{Tool: &chatv1.Tool_Function{Function: tool}}}
	})
}

// Requests that every protocol can express, but OpenAI's API cannot. The error
// names the field.
func TestInvalidRequest_UntranslatableMessage(t *testing.T) {
	t.Parallel()
	type request = chatv1.CreateChatCompletionRequest
	rows := []struct {
		name    string
		rpc     string // empty for both methods that create
		request proto.Message
		says    []string
	}{
		{"no model", "", helloWith(func(r *request) { r.Model = "" }), []string{"model: is required"}},
		{"no messages", "", helloWith(func(r *request) { r.Messages = nil }), []string{"messages: is required"}},
		{"empty request", "", new(request), []string{"is required"}},
		{"a message without a role", "", helloWith(func(r *request) { r.Messages[0].Role = 0 }), []string{"messages[0].role: is required"}},
		{
			"both content and content_parts", "",
			helloWith(func(r *request) {
				r.Messages[0].ContentParts = []*chatv1.ContentPart{{Part: &chatv1.ContentPart_Text{Text: "a"}}}
			}),
			[]string{"messages[0].content_parts", "cannot be set together with content"},
		},
		{
			"both forms of a prediction", "",
			helloWith(func(r *request) {
				r.Prediction = &chatv1.PredictionContent{
					Content:      new("a"),
					ContentParts: []*chatv1.ContentPart{{Part: &chatv1.ContentPart_Text{Text: "a"}}},
				}
			}),
			[]string{"prediction.content_parts", "cannot be set together with content"},
		},
		{"an empty part", "", withPart(new(chatv1.ContentPart)), []string{"messages[0].content_parts[1]: one of text, "}},
		{
			"an empty tool", "", helloWith(func(r *request) { r.Tools = []*chatv1.Tool{{}} }),
			[]string{"tools[0]: one of function, custom is required"},
		},

		{"a negative number for an enum", "", helloWith(func(r *request) {
			r.Modalities = []sharedv1.Modality{sharedv1.Modality_MODALITY_TEXT, -1}
		}), []string{"modalities[1]: -1"}},

		{"a temperature that is not a number", "", helloWith(func(r *request) { r.Temperature = new(math.NaN()) }), []string{"temperature: is a number that JSON cannot represent"}},
		{"an infinite temperature", "", helloWith(func(r *request) { r.Temperature = new(math.Inf(-1)) }), []string{"temperature: is a number that JSON cannot represent"}},

		{"extra_json that is not an object", "", helloWith(func(r *request) { r.ExtraJson = `[1]` }), []string{"extra_json: must be the text of one JSON object"}},
		{"malformed extra_json", "", helloWith(func(r *request) { r.ExtraJson = `{"a":tru}` }), []string{"extra_json: ", "malformed JSON at byte", "in a:"}},
		{"extra_json with two objects", "", helloWith(func(r *request) { r.ExtraJson = `{"a":1}{"b":2}` }), []string{"extra_json: must be the text of one JSON object"}},
		{"blank extra_json", "", helloWith(func(r *request) { r.ExtraJson = ` ` }), []string{"extra_json: must be the text of one JSON object"}},
		{"extra_json that repeats a field", "", helloWith(func(r *request) { r.ExtraJson = `{"model":"x"}` }), []string{`extra_json: "model" is also set as a typed field`}},
		{
			"extra_json that repeats a field by an escaped name", "", helloWith(func(r *request) { r.ExtraJson = `{"mod\u0065l":"x"}` }),
			[]string{`extra_json: "model" is also set as a typed field`},
		},
		{"extra_json that sets stream to null", "", helloWith(func(r *request) { r.ExtraJson = `{"a":1,"stream":null}` }), []string{`extra_json: "stream" is set by the RPC`}},
		{"extra_json that sets stream in a unary call", e2etest.UnaryMethod, helloWith(func(r *request) { r.ExtraJson = `{"stream":true}` }), []string{`extra_json: "stream" is set by the RPC`}},
		{"extra_json that unsets stream in a streaming call", e2etest.StreamMethod, helloWith(func(r *request) { r.ExtraJson = `{"stream":false}` }), []string{`extra_json: "stream" is set by the RPC`}},
		{
			"extra_json of a message that repeats its parts", "",
			helloWith(func(r *request) { r.Messages[0].ExtraJson = `{"content":[]}` }),
			[]string{`messages[0].extra_json: "content" is also set as a typed field`},
		},
		{
			"extra_json of a union that repeats its tag", "",
			withPart(&chatv1.ContentPart{Part: &chatv1.ContentPart_Text{Text: "a"}, ExtraJson: `{"type":"text"}`}),
			[]string{`messages[0].content_parts[1].extra_json: "type" is also set as a typed field`},
		},
		{
			"extra_json of an update that repeats its metadata", "UpdateChatCompletion",
			&chatv1.UpdateChatCompletionRequest{CompletionId: "a", Metadata: map[string]string{"a": "b"}, ExtraJson: `{"metadata":{}}`},
			[]string{`extra_json: "metadata" is also set as a typed field`},
		},

		{"malformed parameters", "", withTool(&chatv1.FunctionTool{Name: "f", ParametersJson: `{`}), []string{"tools[0].function.parameters_json: must be the text of one JSON object"}},
		{"parameters that are not an object", "", withTool(&chatv1.FunctionTool{Name: "f", ParametersJson: `"a"`}), []string{"tools[0].function.parameters_json: must be the text of one JSON object"}},
		{
			"a schema with two objects", "",
			helloWith(func(r *request) {
				r.ResponseFormat = &chatv1.ResponseFormat{Format: &chatv1.ResponseFormat_JsonSchema{
					JsonSchema: &chatv1.JSONSchema{Name: "s", SchemaJson: `{} {}`},
				}}
			}),
			[]string{"response_format.json_schema.schema_json: must be the text of one JSON object"},
		},
		{
			"an allowed tool that is not an object", "",
			helloWith(func(r *request) {
				r.ToolChoice = &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_AllowedTools{AllowedTools: &chatv1.AllowedTools{
					Mode: sharedv1.AllowedToolsMode_ALLOWED_TOOLS_MODE_AUTO, ToolsJson: []string{`{}`, `7`},
				}}}
			}),
			[]string{"tool_choice.allowed_tools.tools_json[1]: must be the text of one JSON object"},
		},

		{"an empty id to get", "GetChatCompletion", new(chatv1.GetChatCompletionRequest), []string{"completion_id: is required"}},
		{"the id . to get", "GetChatCompletion", &chatv1.GetChatCompletionRequest{CompletionId: "."}, []string{`completion_id: "." is not a valid ID`}},
		{"the id .. to get", "GetChatCompletion", &chatv1.GetChatCompletionRequest{CompletionId: ".."}, []string{`completion_id: ".." is not a valid ID`}},
		{"the id .. to update", "UpdateChatCompletion", &chatv1.UpdateChatCompletionRequest{CompletionId: ".."}, []string{`completion_id: ".." is not a valid ID`}},
		{"an empty id to delete", "DeleteChatCompletion", new(chatv1.DeleteChatCompletionRequest), []string{"completion_id: is required"}},
		{
			"an empty id to list messages", "ListChatCompletionMessages",
			new(chatv1.ListChatCompletionMessagesRequest),
			[]string{"completion_id: is required"},
		},
		{
			"extra_query that repeats a field", "ListChatCompletions",
			&chatv1.ListChatCompletionsRequest{Limit: new(int32(1)), ExtraQuery: map[string]string{"limit": "2"}},
			[]string{`extra_query: "limit" is also set as a typed field`},
		},
		{
			"extra_query that repeats a metadata pair", "ListChatCompletions",
			&chatv1.ListChatCompletionsRequest{
				Metadata: map[string]string{"run": "7"}, ExtraQuery: map[string]string{"metadata[run]": "8"},
			},
			[]string{`extra_query: "metadata[run]" is also set as a typed field`},
		},
	}
	front := startUnreachable(t, server.Config{})
	// A process per row would be slow and test the same.
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
						t.Errorf("got chunk %v", chunk)
					})
					e2etest.CheckError(t, e2etest.AsRPCError(t, err), connect.CodeInvalidArgument, row.says...)
				}
			}
		})
	}
}

// Content types of requests, which select the protocol and the codec.
var (
	jsonMedia   = []string{"application/json", "application/connect+json", "application/grpc+json", "application/grpc-web+json"}
	binaryMedia = []string{"application/proto", "application/connect+proto", "application/grpc", "application/grpc-web+proto"}
)

// Encodings that no client library sends.
func TestInvalidRequest_MalformedEncoding(t *testing.T) {
	t.Parallel()
	front := startUnreachable(t, server.Config{})
	for _, row := range []struct {
		name    string
		media   []string
		message string
		says    []string
	}{
		{"truncated JSON", jsonMedia, `{"model":"m","messages":[`, []string{"unmarshal", "unexpected EOF"}},
		{"JSON with a trailing comma", jsonMedia, `{"model":"m",}`, []string{"syntax error", "line 1:14"}},
		{"JSON array", jsonMedia, `["model"]`, []string{"unexpected token ["}},
		{"two JSON objects", jsonMedia, `{"model":"m"} {}`, []string{"unexpected token {"}},
		{"text that is not JSON", jsonMedia, `hello`, []string{"invalid value hello"}},
		{"empty JSON text", jsonMedia[:1], ``, []string{"not a valid JSON object"}},
		{"empty JSON message", jsonMedia[1:], ``, []string{"model: is required"}},
		{"value of the wrong type", jsonMedia, `{"model":5}`, []string{`field model`}},
		{"unknown enum value", jsonMedia, `{"model":"m","messages":[{"role":"user"}]}`, []string{`field role: "user"`}},
		{"duplicate field", jsonMedia, `{"model":"m","model":"n"}`, []string{`duplicate field "model"`}},
		{"two fields of a oneof", jsonMedia, `{"tools":[{"function":{"name":"a"},"custom":{"name":"b"}}]}`, []string{"oneof openaiconnect.chat.v1.Tool.tool is already set"}},

		{"truncated Protobuf", binaryMedia, "\x0a\x05gpt", []string{"unmarshal", "proto"}},
		{"Protobuf field of the wrong type", binaryMedia, "\x08\x01", []string{"field number 1"}},
		{"text that is not UTF-8", binaryMedia, "\x0a\x02\xc3\x28", []string{"invalid UTF-8"}},
		{"empty message", binaryMedia, "", []string{"model: is required"}},
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

// isUnaryMedia reports whether a content type is for Connect's unary calls, which
// have no envelopes.
func isUnaryMedia(media string) bool {
	return media == "application/json" || media == "application/proto"
}

// sendRaw sends an encoded message and returns the error of the call.
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
			t.Fatalf("call succeeded with %s", text)
		}
		return e2etest.AsRPCError(t, e2etest.ConnectJSONError(text))
	case response.StatusCode != http.StatusOK:
		t.Fatalf("got status %d", response.StatusCode)
	case !grpc:
		failed, err := e2etest.ReadConnectJSONStream(bytes.NewReader(text), func(chunk *chatv1.ChatCompletionChunk) {
			t.Errorf("got chunk %v", chunk)
		})
		if err != nil {
			t.Fatal(err)
		}
		return e2etest.AsRPCError(t, failed)
	}
	return trailerError(t, response, text)
}

// trailerError returns the error in the trailers of gRPC or gRPC-Web: HTTP
// trailers, trailers in the body, or the header of a trailers-only response.
func trailerError(t *testing.T, response *http.Response, body []byte) *e2etest.RPCError {
	t.Helper()
	trailer := response.Trailer
	if response.Header.Get("Grpc-Status") != "" {
		trailer = response.Header
	}
	if len(body) > 0 {
		flags, text, err := e2etest.ReadEnvelope(bytes.NewReader(body))
		if err != nil || flags != 0x80 {
			t.Fatalf("got body %q", body)
		}
		trailer = make(http.Header)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			trailer.Set(name, strings.TrimSpace(value))
		}
	}
	code, err := strconv.Atoi(trailer.Get("Grpc-Status"))
	if err != nil {
		t.Fatalf("got trailer without grpc-status: %v", trailer)
	}
	message, err := url.PathUnescape(trailer.Get("Grpc-Message"))
	if err != nil {
		t.Fatal(err)
	}
	return &e2etest.RPCError{Code: connect.Code(code), Message: message}
}

func TestInvalidRequest_MessageOverLimit(t *testing.T) {
	t.Parallel()
	const limit = 1000
	front := startUnreachable(t, server.Config{MaxMessageBytes: limit})
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
	t.Run("small when compressed", func(t *testing.T) {
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

func TestInvalidRequest_MessageAtLimitIsAccepted(t *testing.T) {
	t.Parallel()
	request := e2etest.Hello()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.HelloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL, MaxMessageBytes: proto.Size(request)})
	client := e2etest.NewGRPCClient(t, front)
	if _, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: e2etest.UnaryMethod, Request: request}, new(chatv1.ChatCompletion)); err != nil {
		t.Fatal(err)
	}
	if got := e2etest.TakeOne(t, upstream); got.Body != e2etest.HelloBody {
		t.Errorf("upstream received %s", got.Body)
	}
}

// HTTP requests that are rejected before their message is read.
func TestInvalidRequest_NotAnRPC(t *testing.T) {
	t.Parallel()
	front := startUnreachable(t, server.Config{})
	const getProcedure = "/openaiconnect.chat.v1.ChatService/GetChatCompletion"
	for _, row := range []struct {
		name, method, path, media, body string

		status int
		header map[string]string
		says   []string
	}{
		{
			name: "content type of no protocol", method: http.MethodPost, path: e2etest.CreateProcedure, media: "text/plain", body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType,
			says:   []string{`"text/plain"`, e2etest.CreateProcedure, "application/json", "application/grpc"},
		},
		{
			name: "no content type", method: http.MethodPost, path: e2etest.CreateProcedure, body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType, says: []string{`""`, "application/json"},
		},
		{
			name: "curl's default content type", method: http.MethodPost, path: e2etest.CreateProcedure,
			media: "application/x-www-form-urlencoded", body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType, says: []string{`"application/x-www-form-urlencoded"`, "application/json"},
		},
		{
			name: "unknown codec", method: http.MethodPost, path: e2etest.CreateProcedure, media: "application/grpc+xml", body: "x",
			status: http.StatusUnsupportedMediaType, says: []string{`"application/grpc+xml"`},
		},
		{
			name: "unary content type for a stream", method: http.MethodPost, path: e2etest.StreamProcedure, media: "application/json", body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType, says: []string{`"application/json"`, "application/connect+json"},
		},
		{
			name: "streaming content type for a unary RPC", method: http.MethodPost, path: e2etest.CreateProcedure, media: "application/connect+json", body: e2etest.HelloBody,
			status: http.StatusUnsupportedMediaType, says: []string{`"application/connect+json"`, "application/json"},
		},
		{
			name: "GET of an RPC with side effects", method: http.MethodGet, path: e2etest.CreateProcedure + "?connect=v1&encoding=json&message={}",
			status: http.StatusMethodNotAllowed, header: map[string]string{"Allow": "POST"}, says: []string{`"GET"`, e2etest.CreateProcedure, "POST"},
		},
		{
			name: "PUT", method: http.MethodPut, path: e2etest.CreateProcedure, media: "application/json", body: e2etest.HelloBody,
			status: http.StatusMethodNotAllowed, header: map[string]string{"Allow": "POST"}, says: []string{`"PUT"`, "POST"},
		},
		{
			name: "DELETE of an RPC without side effects", method: http.MethodDelete, path: getProcedure,
			status: http.StatusMethodNotAllowed, header: map[string]string{"Allow": "GET, POST"}, says: []string{`"DELETE"`, "GET", "POST"},
		},
		{
			name: "unknown RPC", method: http.MethodPost, path: "/openaiconnect.chat.v1.ChatService/Nope", media: "application/json", body: `{}`,
			status: http.StatusNotFound, says: []string{"/openaiconnect.chat.v1.ChatService/Nope"},
		},
		{
			name: "GET of an unknown RPC", method: http.MethodGet, path: "/openaiconnect.chat.v1.ChatService/Nope",
			status: http.StatusNotFound, says: []string{"/openaiconnect.chat.v1.ChatService/Nope"},
		},
		{
			name: "path of the service", method: http.MethodPost, path: "/openaiconnect.chat.v1.ChatService/", media: "application/json", body: `{}`,
			status: http.StatusNotFound, says: []string{"/openaiconnect.chat.v1.ChatService/"},
		},
		{
			name: "unknown encoding of a query", method: http.MethodGet,
			path:   getProcedure + "?connect=v1&encoding=xml&message={}",
			status: http.StatusUnsupportedMediaType, says: []string{"xml", "json or proto"},
		},
		{
			name: "malformed JSON in a query", method: http.MethodGet, path: getProcedure + "?connect=v1&encoding=json&message={",
			status: http.StatusBadRequest, says: []string{"unmarshal"},
		},
		{
			name: "query without an id", method: http.MethodGet, path: getProcedure + "?connect=v1&encoding=json&message={}",
			status: http.StatusBadRequest, says: []string{"completion_id: is required"},
		},
		{
			name: "query with an unknown field", method: http.MethodGet,
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
				t.Errorf("got status %d, want %d", response.StatusCode, row.status)
			}
			for name, want := range row.header {
				if got := response.Header.Get(name); got != want {
					t.Errorf("got %s %q, want %q", name, got, want)
				}
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range row.says {
				if !strings.Contains(strings.ReplaceAll(string(body), `\"`, `"`), text) {
					t.Errorf("got body %q, want it to contain %q", body, text)
				}
			}
		})
	}
}

// Calls that no REST server could answer.
func TestInvalidRequest_UnknownRPCIsNotForwarded(t *testing.T) {
	t.Parallel()
	front := startUnreachable(t, server.Config{})
	for _, path := range []string{"/openai.chat.v2.ChatService/CreateChatCompletion", e2etest.CreateProcedure + "s", "/v1/chat/completions", "/"} {
		t.Run(path, func(t *testing.T) {
			t.Run("grpc-go", func(t *testing.T) {
				err := e2etest.GRPCError(front.GRPC(t).Invoke(e2etest.Context(t), path, e2etest.Hello(), new(chatv1.ChatCompletion)))
				e2etest.CheckError(t, e2etest.AsRPCError(t, err), connect.CodeUnimplemented, path)
			})
			for _, media := range slices.Concat(jsonMedia, binaryMedia) {
				t.Run(media, func(t *testing.T) {
					// This header distinguishes a Connect request without envelopes from a raw JSON
					// request.
					header := http.Header{"Connect-Protocol-Version": {"1"}}
					e2etest.CheckError(t, sendRaw(t, front, path, media, nil, header), connect.CodeUnimplemented, path)
				})
			}
		})
	}
}

// Client libraries refuse to send these headers.
func TestInvalidRequest_InvalidHeaderField(t *testing.T) {
	t.Parallel()
	front := startUnreachable(t, server.Config{})
	for name, line := range map[string]string{
		"control character in a value": "X-Tag: a\x01b",
		"NUL in a value":               "X-Tag: a\x00b",
		"space in a name":              "X Tag: a",
		"no colon":                     "X-Tag",
		"empty name":                   ": a",
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
				t.Errorf("got response %[2]q and error %[1]v, want 400", err, answer)
			}
		})
	}
}
