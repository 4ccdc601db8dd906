package streams_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/streamtest"
)

// The accumulated message of each stream of the corpus is valid as history, for the
// server and for the sandbox, up to the end or the error of the stream. The upstream
// receives every text of the stream.
func TestAccumulate_MessageIsValidHistory(t *testing.T) {
	t.Parallel()
	sandbox := startClient(t, server.Sandbox, client.WithHeader("X-Sandbox-Unknown", "accept")) // The corpus has unknown roles.
	for _, stream := range streamtest.Corpus(t) {
		t.Run(stream.Name, func(t *testing.T) {
			t.Parallel()
			var sent []byte
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if strings.Contains(string(body), `"stream":true`) {
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, stream.Text)
					return
				}
				sent = body
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"id":"a","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}`)
			}))
			t.Cleanup(upstream.Close)
			chat := startClient(t, upstream.URL).Chat
			request := &chatv1.CreateChatCompletionRequest{Model: "sandbox", Messages: []*chatv1.Message{client.User("a")}}
			var whole client.Accumulator
			events := 0
			for chunk, err := range chat.Stream(t.Context(), request) {
				if err != nil {
					break // The partial message is used too.
				}
				whole.Add(chunk)
				events++
			}
			said := textsByChoice(stream.Text, events)
			for _, choice := range whole.Completion().GetChoices() {
				request.Messages = []*chatv1.Message{client.User("a"), choice.GetMessage()}
				for _, call := range choice.GetMessage().GetToolCalls() {
					request.Messages = append(request.Messages, client.ToolResult(call.GetId(), "b"))
				}
				for where, chat := range map[string]*client.ChatService{"sandbox": sandbox.Chat, "server": chat} {
					if _, err := chat.Create(t.Context(), request); err != nil {
						t.Errorf("choice %d: %s rejects the message: %v", choice.GetIndex(), where, err)
					}
				}
				texts := stringsIn(sent)
				for path, text := range said[choice.GetIndex()] {
					if !slices.Contains(texts, text) {
						t.Errorf("choice %d: got texts %[4]q at the upstream, want %[3]q of %[2]s", choice.GetIndex(), path, text, texts)
					}
				}
			}
		})
	}
}

// startClient runs a server for an upstream and returns a client.
func startClient(t *testing.T, upstream string, options ...client.Option) *client.Client {
	t.Helper()
	front, err := server.New(server.Config{Upstream: upstream})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	listener := httptest.NewServer(front)
	t.Cleanup(listener.Close)
	return client.New(listener.URL, append(options, client.WithHTTPClient(listener.Client()), client.WithMaxRetries(0))...)
}

// textsByChoice returns the accumulated strings of a stream's first events by choice
// and path. It parses the stream independently of the code under test.
func textsByChoice(stream string, events int) map[int32]map[string]string {
	said := make(map[int32]map[string]string)
	add := func(index int32, path string, text any) {
		if said[index] == nil {
			said[index] = make(map[string]string)
		}
		if text, ok := text.(string); ok {
			said[index][path] += text
		}
	}
	for _, event := range dataOf(stream) {
		var chunk struct {
			Choices []struct {
				Index int32
				Delta map[string]any
			}
		}
		if events == 0 || json.Unmarshal([]byte(event), &chunk) != nil {
			continue
		}
		events--
		for _, choice := range chunk.Choices {
			for _, name := range []string{"content", "refusal", "reasoning_content", "reasoning"} {
				add(choice.Index, name, choice.Delta[name])
			}
			if function, ok := choice.Delta["function_call"].(map[string]any); ok {
				add(choice.Index, "function_call", function["arguments"])
			}
			calls, _ := choice.Delta["tool_calls"].([]any)
			for _, call := range calls {
				call, _ := call.(map[string]any)
				for kind, name := range map[string]string{"function": "arguments", "custom": "input"} {
					if function, ok := call[kind].(map[string]any); ok {
						add(choice.Index, fmt.Sprint(kind, call["index"]), function[name])
					}
				}
			}
		}
	}
	return said
}

// dataOf returns the data of a stream's events.
func dataOf(stream string) []string {
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\ufeff", "").Replace(stream)
	var events []string
	for block := range strings.SplitSeq(stream, "\n\n") {
		var data []string
		for line := range strings.SplitSeq(block, "\n") {
			if text, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, strings.TrimPrefix(text, " "))
			}
		}
		if data != nil {
			events = append(events, strings.Join(data, "\n"))
		}
	}
	return events
}

// stringsIn returns all strings of a JSON text.
func stringsIn(text []byte) []string {
	var value any
	_ = json.Unmarshal(text, &value)
	var collect func(any) []string
	collect = func(value any) (all []string) {
		switch value := value.(type) {
		case string:
			return []string{value}
		case []any:
			for _, item := range value {
				all = append(all, collect(item)...)
			}
		case map[string]any:
			for _, item := range value {
				all = append(all, collect(item)...)
			}
		}
		return all
	}
	return collect(value)
}
