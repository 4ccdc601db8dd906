package protocols_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2/connecthttp"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/proto/restjson/restjsontest"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// operation is a unary RPC, its REST request, and a response.
type operation struct {
	name     string
	rpc      string
	request  proto.Message
	response func() e2etest.RESTMessage

	method, target, body string
	answer               string
}

const (
	listAnswer = `{"object":"list","data":[` + e2etest.HelloCompletion + `],"first_id":"chatcmpl-1","last_id":"chatcmpl-1","has_more":true}`

	messagesAnswer = `{"object":"list","data":[` +
		`{"id":"chatcmpl-1-0","role":"user","content":null,"refusal":null,"content_parts":[{"type":"text","text":"Hello!"}]},` +
		`{"id":"chatcmpl-1-1","role":"assistant","content":"Hi!","refusal":null}` +
		`],"first_id":"chatcmpl-1-0","last_id":"chatcmpl-1-1","has_more":false}`
)

func getRow(id, segment string) operation {
	return operation{
		name: "get " + id, rpc: "GetChatCompletion", request: &chatv1.GetChatCompletionRequest{CompletionId: id},
		response: func() e2etest.RESTMessage { return new(chatv1.ChatCompletion) },
		method:   http.MethodGet, target: "/v1/chat/completions/" + segment, answer: e2etest.HelloCompletion,
	}
}

// operations returns the unary RPCs as OpenAI documents them.
func operations() []operation {
	completion := func() e2etest.RESTMessage { return new(chatv1.ChatCompletion) }
	return []operation{
		{
			name: "create", rpc: "CreateChatCompletion", request: e2etest.Hello(), response: completion,
			method: http.MethodPost, target: "/v1/chat/completions", body: e2etest.HelloBody, answer: e2etest.HelloCompletion,
		},
		getRow("chatcmpl-1", "chatcmpl-1"),
		getRow("a/b", "a%2Fb"),
		getRow("ä b", "%C3%A4%20b"),
		getRow("%2F", "%252F"),
		getRow("a?b", "a%3Fb"),
		getRow("a#b", "a%23b"),
		getRow("../models", "..%2Fmodels"),
		getRow("...", "..."),
		getRow(" ", "%20"),
		getRow("a\r\nb\x00", "a%0D%0Ab%00"),
		{
			name: "get with an extra query", rpc: "GetChatCompletion",
			request: &chatv1.GetChatCompletionRequest{
				CompletionId: "chatcmpl-1", ExtraQuery: map[string]string{"include[]": "a b", "b&=": "ä+"},
			},
			response: completion,
			method:   http.MethodGet, target: "/v1/chat/completions/chatcmpl-1?b%26%3D=%C3%A4%2B&include%5B%5D=a+b", answer: e2etest.HelloCompletion,
		},
		{
			name: "update", rpc: "UpdateChatCompletion",
			request: &chatv1.UpdateChatCompletionRequest{
				CompletionId: "a/b", Metadata: map[string]string{"run": "7", "a \"b\"": "ä\n"}, ExtraJson: ` {"note": [1, 2]} `,
			},
			response: completion,
			method:   http.MethodPost, target: "/v1/chat/completions/a%2Fb",
			body: `{"metadata":{"a \"b\"":"ä\n","run":"7"},"note": [1, 2]}`, answer: e2etest.HelloCompletion,
		},
		{
			name: "update to no metadata", rpc: "UpdateChatCompletion",
			request:  &chatv1.UpdateChatCompletionRequest{CompletionId: "chatcmpl-1"},
			response: completion,
			method:   http.MethodPost, target: "/v1/chat/completions/chatcmpl-1", body: `{"metadata":{}}`, answer: e2etest.HelloCompletion,
		},
		{
			name: "delete", rpc: "DeleteChatCompletion",
			request: &chatv1.DeleteChatCompletionRequest{
				CompletionId: "ä b", ExtraQuery: map[string]string{"force": "true"},
			},
			response: func() e2etest.RESTMessage { return new(chatv1.ChatCompletionDeleted) },
			method:   http.MethodDelete, target: "/v1/chat/completions/%C3%A4%20b?force=true",
			answer: `{"object":"chat.completion.deleted","id":"ä b","deleted":true}`,
		},
		{
			name: "list all", rpc: "ListChatCompletions",
			request:  &chatv1.ListChatCompletionsRequest{},
			response: func() e2etest.RESTMessage { return new(chatv1.ChatCompletionList) },
			method:   http.MethodGet, target: "/v1/chat/completions", answer: listAnswer,
		},
		{
			name: "list with every filter", rpc: "ListChatCompletions",
			request: &chatv1.ListChatCompletionsRequest{
				Model:      new("gpt-5.4-mini"),
				Metadata:   map[string]string{"run": "7", "a b&": "ä=]"},
				After:      new("chatcmpl-0"),
				Limit:      new(int32(2)),
				Order:      sharedv1.ListOrder_LIST_ORDER_DESC,
				ExtraQuery: map[string]string{"before": "x"},
			},
			response: func() e2etest.RESTMessage { return new(chatv1.ChatCompletionList) },
			method:   http.MethodGet,
			target: "/v1/chat/completions?model=gpt-5.4-mini&metadata%5Ba+b%26%5D=%C3%A4%3D%5D&metadata%5Brun%5D=7" +
				"&after=chatcmpl-0&limit=2&order=desc&before=x",
			answer: listAnswer,
		},
		{
			name: "list with zero values", rpc: "ListChatCompletions",
			request: &chatv1.ListChatCompletionsRequest{
				Model: new(""), After: new(""), Limit: new(int32(0)), Order: sharedv1.ListOrder_LIST_ORDER_ASC,
			},
			response: func() e2etest.RESTMessage { return new(chatv1.ChatCompletionList) },
			method:   http.MethodGet, target: "/v1/chat/completions?model=&after=&limit=0&order=asc",
			answer: `{"object":"list","data":[],"first_id":"","last_id":"","has_more":false}`,
		},
		{
			name: "list messages", rpc: "ListChatCompletionMessages",
			request: &chatv1.ListChatCompletionMessagesRequest{
				CompletionId: "a?b",
				After:        new("a/b"),
				Limit:        new(int32(100)),
				Order:        sharedv1.ListOrder_LIST_ORDER_ASC,
				ExtraQuery:   map[string]string{"x": ""},
			},
			response: func() e2etest.RESTMessage { return new(chatv1.ChatCompletionMessageList) },
			method:   http.MethodGet, target: "/v1/chat/completions/a%3Fb/messages?after=a%2Fb&limit=100&order=asc&x=",
			answer: messagesAnswer,
		},
	}
}

// check checks the request at the upstream and the decoded response.
func (o operation) check(t *testing.T, got servertest.Request, response e2etest.RESTMessage) {
	t.Helper()
	if got.Method != o.method || got.Target != o.target || got.Body != o.body {
		t.Errorf("got request\n%s %s %s\nwant\n%s %s %s", got.Method, got.Target, got.Body, o.method, o.target, o.body)
	}
	header := http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"},
		"Authorization":   {"Bearer " + servertest.Key},
	}
	if o.body != "" {
		header.Set("Content-Length", strconv.Itoa(len(o.body)))
		header.Set("Content-Type", "application/json")
	}
	e2etest.CheckRequestHeader(t, got.Header, header)
	answer, err := restjson.AppendFull(nil, response)
	if err != nil {
		t.Fatal(err)
	}
	if err := restjsontest.Same([]byte(o.answer), answer); err != nil {
		t.Errorf("response differs: %v", err)
	}
}

func TestOperations_SendDocumentedRequests(t *testing.T) {
	t.Parallel()
	for _, o := range operations() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, o.answer))
			front := servertest.Start(t, server.Config{Upstream: upstream.URL})
			for _, kind := range e2etest.ClientKinds() {
				t.Run(kind.Name, func(t *testing.T) {
					client := kind.Open(t, front)
					response := o.response()
					if _, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: o.rpc, Request: o.request}, response); err != nil {
						t.Fatal(err)
					}
					o.check(t, e2etest.TakeOne(t, upstream), response)
				})
			}
		})
	}
}

// Connect GET requests are cacheable.
func TestOperations_ReadsOverConnectGET(t *testing.T) {
	t.Parallel()
	for _, o := range operations() {
		if o.method != http.MethodGet {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, o.answer))
			front := servertest.Start(t, server.Config{Upstream: upstream.URL})
			path := front.URL + e2etest.Call{Method: o.rpc}.Procedure()
			t.Run("Connect's client", func(t *testing.T) {
				client := e2etest.NewConnectClient("Connect", front.Connect(t, servertest.Protocols()[0], connecthttp.WithHTTPGet()))
				response := o.response()
				if _, err := client.Unary(e2etest.Context(t), e2etest.Call{Method: o.rpc, Request: o.request}, response); err != nil {
					t.Fatal(err)
				}
				o.check(t, e2etest.TakeOne(t, upstream), response)
			})
			t.Run("JSON in the query with curl", func(t *testing.T) {
				request, err := protojson.Marshal(o.request)
				if err != nil {
					t.Fatal(err)
				}
				body := get(t, path+"?connect=v1&encoding=json&message="+url.QueryEscape(string(request)))
				response := o.response()
				if err := protojson.Unmarshal(body, response); err != nil {
					t.Fatalf("decode %[2]s: %[1]v", err, body)
				}
				o.check(t, e2etest.TakeOne(t, upstream), response)
			})
			t.Run("Protobuf in the query with curl", func(t *testing.T) {
				request, err := proto.Marshal(o.request)
				if err != nil {
					t.Fatal(err)
				}
				body := get(t, path+"?connect=v1&encoding=proto&base64=1&message="+base64.RawURLEncoding.EncodeToString(request))
				response := o.response()
				if err := proto.Unmarshal(body, response); err != nil {
					t.Fatalf("decode %[2]s: %[1]v", err, body)
				}
				o.check(t, e2etest.TakeOne(t, upstream), response)
			})
		})
	}
}

// get requests a URL with curl.
func get(t *testing.T, url string) (body []byte) {
	t.Helper()
	status, _, err := e2etest.Curl(e2etest.Context(t), t, nil, func(r io.Reader) (err error) {
		body, err = io.ReadAll(r)
		return err
	}, url, "-H", "authorization: Bearer "+servertest.Key)
	if err != nil || status != http.StatusOK {
		t.Fatalf("got error %v, status %d, and body %s from curl", err, status, body)
	}
	return body
}

// Requests equal those of OpenAI's client, apart from the order in a query or a body.
func TestOperations_EqualSDKRequests(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, listAnswer))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	client := front.SDK(t).Chat.Completions
	sends := map[string]func(context.Context) error{
		"get chatcmpl-1": func(ctx context.Context) error {
			_, err := client.Get(ctx, "chatcmpl-1")
			return err
		},
		"get a/b": func(ctx context.Context) error {
			_, err := client.Get(ctx, "a/b")
			return err
		},
		"get ä b": func(ctx context.Context) error {
			_, err := client.Get(ctx, "ä b")
			return err
		},
		"get %2F": func(ctx context.Context) error {
			_, err := client.Get(ctx, "%2F")
			return err
		},
		"get a?b": func(ctx context.Context) error {
			_, err := client.Get(ctx, "a?b")
			return err
		},
		"update": func(ctx context.Context) error {
			_, err := client.Update(ctx, "a/b", openai.ChatCompletionUpdateParams{
				Metadata: shared.Metadata{"run": "7", "a \"b\"": "ä\n"},
			}, option.WithJSONSet("note", []int{1, 2}))
			return err
		},
		"delete": func(ctx context.Context) error {
			_, err := client.Delete(ctx, "ä b", option.WithQuery("force", "true"))
			return err
		},
		"list all": func(ctx context.Context) error {
			_, err := client.List(ctx, openai.ChatCompletionListParams{})
			return err
		},
		"list with every filter": func(ctx context.Context) error {
			_, err := client.List(ctx, openai.ChatCompletionListParams{
				Model:    openai.String("gpt-5.4-mini"),
				Metadata: shared.Metadata{"run": "7", "a b&": "ä=]"},
				After:    openai.String("chatcmpl-0"),
				Limit:    openai.Int(2),
				Order:    openai.ChatCompletionListParamsOrderDesc,
			}, option.WithQuery("before", "x"))
			return err
		},
		"list messages": func(ctx context.Context) error {
			_, err := client.Messages.List(ctx, "a?b", openai.ChatCompletionMessageListParams{
				After: openai.String("a/b"),
				Limit: openai.Int(100),
				Order: openai.ChatCompletionMessageListParamsOrderAsc,
			}, option.WithQuery("x", ""))
			return err
		},
	}
	for _, o := range operations() {
		send, ok := sends[o.name]
		if !ok {
			continue
		}
		delete(sends, o.name)
		t.Run(o.name, func(t *testing.T) {
			if err := send(e2etest.Context(t)); err != nil {
				t.Fatal(err)
			}
			got := e2etest.TakeOne(t, upstream)
			path, query, _ := strings.Cut(got.Target, "?")
			wantPath, wantQuery, _ := strings.Cut(o.target, "?")
			if got.Method != o.method || path != wantPath {
				t.Errorf("SDK sends %s %s, want %s %s", got.Method, path, o.method, wantPath)
			}
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			wantValues, err := url.ParseQuery(wantQuery)
			if err != nil {
				t.Fatal(err)
			}
			if values.Encode() != wantValues.Encode() {
				t.Errorf("SDK sends query %s, want %s", values.Encode(), wantValues.Encode())
			}
			if o.body == "" && got.Body == "" {
				return
			}
			if err := restjsontest.Same([]byte(o.body), []byte(got.Body)); err != nil {
				t.Errorf("SDK sends a different body: %v", err)
			}
		})
	}
	for name := range sends {
		t.Errorf("unknown operation %q", name)
	}
}
