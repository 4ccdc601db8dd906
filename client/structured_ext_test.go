package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

type recipe struct {
	Title string   `json:"title"`
	Steps []string `json:"steps"`
	Salt  *float64 `json:"salt"`
}

func TestCreateAs_ReturnsValue(t *testing.T) {
	t.Parallel()
	request := ask(client.User("How do I cook an egg?"))
	before := proto.CloneOf(request)
	got, completion, err := client.CreateAs[recipe](t.Context(), startSandbox(t).Chat, request)
	if err != nil {
		t.Fatal(err)
	}
	if got.Title != "sample title" || len(got.Steps) != 1 || got.Salt == nil {
		t.Errorf("got %+v", got)
	}
	if completion.Choices[0].Message.GetContent() == "" {
		t.Errorf("got completion %v", completion)
	}
	if !proto.Equal(request, before) {
		t.Errorf("the request changed to %v", request)
	}
}

func TestCreateAs_SendsStrictSchema(t *testing.T) {
	t.Parallel()
	var body []byte
	openai := startUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"{\"title\":\"Egg\",\"steps\":[],\"salt\":null}"},"finish_reason":"stop"}]}`)
	})
	if got, _, err := client.CreateAs[recipe](t.Context(), openai.Chat, ask(client.User("Egg?"))); err != nil || got.Title != "Egg" {
		t.Errorf("got %+v, %v", got, err)
	}
	const format = `"response_format":{"type":"json_schema","json_schema":{"name":"recipe","schema":` +
		`{"type":"object","properties":{"title":{"type":"string"},"steps":{"type":"array","items":{"type":"string"}},"salt":{"type":["number","null"]}},` +
		`"required":["title","steps","salt"],"additionalProperties":false},"strict":true}}`
	if !strings.Contains(string(body), format) {
		t.Errorf("got request %s", body)
	}
}

// The value is decoded from the text of the content, a string or parts.
func TestCreateAs_ReadsContentInParts(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`[{"type":"thinking","thinking":"{}"},{"type":"text","text":"{\"title\":"},{"type":"text","text":"\"Egg\"}"}]`: "Egg",
		`"{\"title\":\"Egg \ud83d\"}"`: "Egg \ufffd",
	} {
		openai := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":`+content+`},"finish_reason":"stop"}]}`)
		})
		if got, _, err := client.CreateAs[recipe](t.Context(), openai.Chat, ask(client.User("Egg?"))); err != nil || got.Title != want {
			t.Errorf("%s: got %+v, %v", content, got, err)
		}
	}
}

func TestCreateAs_Errors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, choices string
		is            error // nil for any other error
		says          string
	}{
		{"the model refuses", `{"message":{"refusal":"I won't."},"finish_reason":"stop"}`, client.ErrRefused, "I won't."},
		{"the refusal contains a lone surrogate", `{"message":{"refusal":"I won't \ud83d."},"finish_reason":"stop"}`, client.ErrRefused, "I won't \ufffd."},
		{"the refusal is a content part", `{"message":{"content":[{"type":"refusal","refusal":"I won't."}]},"finish_reason":"stop"}`, client.ErrRefused, "I won't."},
		{"the token limit is reached", `{"message":{"content":"{\"title\":"},"finish_reason":"length"}`, client.ErrTruncated, "token limit"},
		{"a filter truncates the response", `{"message":{"content":"{"},"finish_reason":"content_filter"}`, client.ErrFiltered, "content filter"},
		{"the model calls tools", `{"message":{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":"tool_calls"}`, client.ErrNoAnswer, "tools"},
		{"there is no choice", ``, client.ErrNoAnswer, "no choice"},
		{"the content is not JSON", `{"message":{"content":"Boil it."},"finish_reason":"stop"}`, nil, "does not match client_test.recipe"},
		{"the content does not match the type", `{"message":{"content":"{\"title\":5}"},"finish_reason":"stop"}`, nil, "does not match client_test.recipe"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			openai := startUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"id":"a","choices":[`+row.choices+`]}`)
			})
			got, completion, err := client.CreateAs[recipe](t.Context(), openai.Chat, ask(client.User("Egg?")))
			if err == nil || row.is != nil && !errors.Is(err, row.is) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got error %v", err)
			}
			if completion.GetId() != "a" || got.Title != "" {
				t.Errorf("got %+v of %v", got, completion)
			}
		})
	}
}

func TestCreateAs_RejectsInvalidRequests(t *testing.T) {
	t.Parallel()
	chat := client.New("http://127.0.0.1:1", client.WithMaxRetries(0)).Chat
	if _, _, err := client.CreateAs[[]string](t.Context(), chat, ask()); err == nil || !strings.Contains(err.Error(), "struct") {
		t.Errorf("a list: got error %v", err)
	}
	formed := ask()
	formed.ResponseFormat = new(chatv1.ResponseFormat)
	if _, _, err := client.CreateAs[recipe](t.Context(), chat, formed); err == nil || !strings.Contains(err.Error(), "response_format") {
		t.Errorf("a request with a format: got error %v", err)
	}
	if _, _, err := client.CreateAs[recipe](t.Context(), chat, ask(client.User("Egg?"))); err == nil {
		t.Error("no server: got no error")
	} else if _, ok := errors.AsType[*client.Error](err); !ok {
		t.Errorf("no server: got error %v", err)
	}
}
