package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/respjson"
	"github.com/openai/openai-go/v3/shared"
)

// checkKnownFields checks for unknown fields and values of the wrong type, which the SDK's
// decoder accepts.
func checkKnownFields(t *testing.T, path string, value reflect.Value) {
	t.Helper()
	switch value.Kind() { //nolint:exhaustive // other kinds have no fields
	case reflect.Slice:
		for i := range value.Len() {
			checkKnownFields(t, fmt.Sprintf("%s[%d]", path, i), value.Index(i))
		}
	case reflect.Struct:
		metadata := value.FieldByName("JSON")
		if !metadata.IsValid() {
			return
		}
		if extra := metadata.FieldByName("ExtraFields"); extra.IsValid() {
			for _, name := range extra.MapKeys() {
				t.Errorf("%s has the unknown field %s", path, name)
			}
		}
		for i := range value.NumField() {
			name := value.Type().Field(i).Name
			if name == "JSON" {
				continue
			}
			if value.Type().Field(i).Anonymous {
				checkKnownFields(t, path, value.Field(i))
				continue
			}
			described := metadata.FieldByName(name)
			if !described.IsValid() {
				continue
			}
			field := described.Interface().(respjson.Field)
			if field.Raw() != "" && field.Raw() != respjson.Null && !field.Valid() {
				t.Errorf("%s.%s has the invalid value %s", path, name, field.Raw())
			}
			if field.Valid() {
				checkKnownFields(t, path+"."+name, value.Field(i))
			}
		}
	}
}

// TestSDK_AccumulatesStreamToUnaryResponse covers every kind of response that the SDK's
// accumulator supports.
func TestSDK_AccumulatesStreamToUnaryResponse(t *testing.T) {
	t.Parallel()
	client := newSDKClient(startSandbox(t))
	ask := func(change func(*openai.ChatCompletionNewParams)) openai.ChatCompletionNewParams {
		result := openai.ChatCompletionNewParams{
			Model:         "gpt-5.4-mini",
			Messages:      []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Tell clock and weather 👋")},
			StreamOptions: openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)},
		}
		change(&result)
		return result
	}
	function := func(name string) openai.ChatCompletionToolUnionParam {
		return openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name: name,
			Parameters: shared.FunctionParameters{
				"type":       "object",
				"properties": map[string]any{"city": map[string]any{"type": "string"}, "days": map[string]any{"type": "integer"}},
				"required":   []string{"city"},
			},
		})
	}
	for name, row := range map[string]struct {
		change  func(*openai.ChatCompletionNewParams)
		options []option.RequestOption
	}{
		"text":            {change: func(*openai.ChatCompletionNewParams) {}},
		"several choices": {change: func(p *openai.ChatCompletionNewParams) { p.N = openai.Int(5) }},
		"a token limit":   {change: func(p *openai.ChatCompletionNewParams) { p.MaxCompletionTokens = openai.Int(7) }},
		"a stop sequence": {change: func(p *openai.ChatCompletionNewParams) {
			p.Stop.OfStringArray = []string{"key", "network"}
		}},
		"log probabilities": {change: func(p *openai.ChatCompletionNewParams) {
			p.Logprobs, p.TopLogprobs, p.N = openai.Bool(true), openai.Int(4), openai.Int(2)
		}},
		"a tool call": {change: func(p *openai.ChatCompletionNewParams) {
			p.Tools = []openai.ChatCompletionToolUnionParam{function("translate")}
		}},
		"parallel tool calls of several choices": {change: func(p *openai.ChatCompletionNewParams) {
			p.Tools, p.N = []openai.ChatCompletionToolUnionParam{function("weather"), function("clock")}, openai.Int(2)
		}},
		"structured output": {change: func(p *openai.ChatCompletionNewParams) {
			p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{
				JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
					Name: "answer", Strict: openai.Bool(true),
					Schema: json.RawMessage(`{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"number"}},"required":["z","a"]}`),
				},
			}
		}},
		"only the text modality": {change: func(p *openai.ChatCompletionNewParams) {
			p.Modalities = []string{"text"}
		}},
		"a refusal": {
			change:  func(p *openai.ChatCompletionNewParams) { p.Logprobs = openai.Bool(true) },
			options: []option.RequestOption{option.WithHeader("x-sandbox-answer", "refusal")},
		},
		"filtered text": {
			change:  func(*openai.ChatCompletionNewParams) {},
			options: []option.RequestOption{option.WithHeader("x-sandbox-answer", "content-filter")},
		},
		"long text": {
			change:  func(*openai.ChatCompletionNewParams) {},
			options: []option.RequestOption{option.WithHeader("x-sandbox-tokens", "3000")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params := ask(row.change)
			stream := client.Chat.Completions.NewStreaming(t.Context(), params, row.options...)
			var streamed openai.ChatCompletionAccumulator
			for stream.Next() {
				chunk := stream.Current()
				checkKnownFields(t, "chunk", reflect.ValueOf(chunk))
				if !streamed.AddChunk(chunk) {
					t.Fatalf("the accumulator rejects %s", chunk.RawJSON())
				}
			}
			if err := stream.Err(); err != nil {
				t.Fatal(err)
			}
			params.StreamOptions = openai.ChatCompletionStreamOptionsParam{}
			whole, err := client.Chat.Completions.New(t.Context(), params, row.options...)
			if err != nil {
				t.Fatal(err)
			}
			checkKnownFields(t, "completion", reflect.ValueOf(*whole))
			if got, want := comparableCompletion(t, streamed.ChatCompletion), comparableCompletion(t, *whole); got != want {
				t.Errorf("streamed %s\nwhole    %s", got, want)
			}
		})
	}
}

// comparableCompletion returns the fields of a completion that the accumulator supports, as JSON.
func comparableCompletion(t *testing.T, c openai.ChatCompletion) string {
	t.Helper()
	result, err := json.Marshal([]any{
		c.ID, c.Model, c.ServiceTier, c.SystemFingerprint, //nolint:staticcheck // deprecated, but sent
		c.Created,
		[]int64{
			c.Usage.PromptTokens, c.Usage.CompletionTokens, c.Usage.TotalTokens,
			c.Usage.PromptTokensDetails.AudioTokens, c.Usage.PromptTokensDetails.CachedTokens,
			c.Usage.CompletionTokensDetails.ReasoningTokens, c.Usage.CompletionTokensDetails.RejectedPredictionTokens,
		},
		comparableChoices(c),
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(result)
}

func comparableChoices(c openai.ChatCompletion) []any {
	var result []any
	for _, each := range c.Choices {
		var calls []any
		for _, call := range each.Message.ToolCalls {
			calls = append(calls, []any{call.ID, call.Type, call.Function.Name, call.Function.Arguments})
		}
		var likelihoods []any
		for _, token := range append(each.Logprobs.Content, each.Logprobs.Refusal...) {
			for _, top := range token.TopLogprobs {
				likelihoods = append(likelihoods, top.Token, top.Logprob, top.Bytes)
			}
			likelihoods = append(likelihoods, token.Token, token.Logprob, token.Bytes)
		}
		result = append(result, []any{
			each.Index, each.FinishReason, each.Message.Role, each.Message.Content, each.Message.Refusal, calls, likelihoods,
		})
	}
	return result
}

func TestSDK_ContinuesConversationWithTools(t *testing.T) {
	t.Parallel()
	client := newSDKClient(startSandbox(t))
	params := openai.ChatCompletionNewParams{
		Model:    "any",
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("weather and clock, please")},
		Tools: []openai.ChatCompletionToolUnionParam{
			openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "weather"}),
			openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "clock"}),
		},
	}
	first, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	params.Messages = append(params.Messages, first.Choices[0].Message.ToParam())
	for _, call := range first.Choices[0].Message.ToolCalls {
		params.Messages = append(params.Messages, openai.ToolMessage("fine "+call.Function.Name, call.ID))
	}
	second, err := client.Chat.Completions.New(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}
	want := `This is the sandbox: no model, no key, no network. ` +
		`The tool answered: "fine weather" The tool answered: "fine clock"`
	if got := second.Choices[0].Message.Content; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSDK_PagesThroughStoredCompletions(t *testing.T) {
	t.Parallel()
	client := newSDKClient(startSandbox(t))
	var made []string
	for i := range 45 {
		stored, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
			Model:    "any",
			Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("the same text each time")},
			Store:    openai.Bool(true),
			Metadata: shared.Metadata{"third": strconv.FormatBool(i%3 == 0)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			made = append(made, stored.ID)
		}
	}
	pages := client.Chat.Completions.ListAutoPaging(t.Context(), openai.ChatCompletionListParams{
		Model:    openai.String("sandbox"),
		Limit:    openai.Int(4),
		Order:    openai.ChatCompletionListParamsOrderAsc,
		Metadata: shared.Metadata{"third": "true"},
	})
	var listed []string
	for pages.Next() {
		checkKnownFields(t, "completion", reflect.ValueOf(pages.Current()))
		listed = append(listed, pages.Current().ID)
	}
	if err := pages.Err(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(listed, made) {
		t.Errorf("listed %q, made %q", listed, made)
	}
}

func TestSDK_UpdatesAndDeletesStoredCompletion(t *testing.T) {
	t.Parallel()
	client := newSDKClient(startSandbox(t))
	made, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Model: "any",
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.SystemMessage("Be kind."),
			openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{openai.TextContentPart("Hello")}),
		},
		Store: openai.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	updated, err := client.Chat.Completions.Update(t.Context(), made.ID, openai.ChatCompletionUpdateParams{
		Metadata: shared.Metadata{"seen": "yes"},
	})
	if err != nil || updated.ID != made.ID {
		t.Fatal(updated, err)
	}
	got, err := client.Chat.Completions.Get(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	checkKnownFields(t, "completion", reflect.ValueOf(*got))
	if got.RawJSON() != updated.RawJSON() || got.Metadata["seen"] != "yes" {
		t.Errorf("got %s, updated %s", got.RawJSON(), updated.RawJSON())
	}
	messages, err := client.Chat.Completions.Messages.List(t.Context(), made.ID, openai.ChatCompletionMessageListParams{})
	if err != nil {
		t.Fatal(err)
	}
	if len(messages.Data) != 2 || messages.Data[0].Content != "Be kind." || messages.Data[1].ContentParts[0].Text != "Hello" {
		t.Errorf("the messages are %s", messages.RawJSON())
	}
	deleted, err := client.Chat.Completions.Delete(t.Context(), made.ID)
	if err != nil || !deleted.Deleted || deleted.ID != made.ID {
		t.Fatal(deleted, err)
	}
	var failed *openai.Error
	if _, err = client.Chat.Completions.Get(t.Context(), made.ID); !errors.As(err, &failed) || failed.StatusCode != http.StatusNotFound {
		t.Errorf("a deleted completion: %v", err)
	}
}

func TestSDK_FindsModel(t *testing.T) {
	t.Parallel()
	client := newSDKClient(startSandbox(t))
	page, err := client.Models.List(t.Context())
	if err != nil || len(page.Data) != 1 || page.Data[0].ID != "sandbox" {
		t.Fatal(page, err)
	}
	model, err := client.Models.Get(t.Context(), "sandbox")
	if err != nil {
		t.Fatal(err)
	}
	checkKnownFields(t, "model", reflect.ValueOf(*model))
	var failed *openai.Error
	if _, err = client.Models.Get(t.Context(), "gpt-5"); !errors.As(err, &failed) || failed.Code != "model_not_found" {
		t.Errorf("an unknown model: %v", err)
	}
}

func TestSDK_ParsesErrors(t *testing.T) {
	t.Parallel()
	client := newSDKClient(startSandbox(t))
	for status, want := range map[int]string{
		400: "invalid_request_error", 401: "invalid_request_error", 402: "insufficient_quota",
		403: "request_forbidden", 404: "invalid_request_error", 409: "invalid_request_error",
		422: "invalid_request_error", 429: "requests", 500: "server_error", 502: "server_error",
		503: "server_error", 529: "overloaded_error",
	} {
		_, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
			Model:    "any",
			Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")},
		}, option.WithHeader("x-sandbox-status", strconv.Itoa(status)))
		var failed *openai.Error
		if !errors.As(err, &failed) || failed.StatusCode != status || failed.Type != want || failed.Message == "" {
			t.Errorf("status %d: %v", status, err)
			continue
		}
		hasRetryAfter := failed.Response.Header.Get("Retry-After") != ""
		if retry := status == 429 || status == 503 || status == 529; hasRetryAfter != retry {
			t.Errorf("status %d has Retry-After: %v", status, hasRetryAfter)
		}
	}
	_, err := client.Chat.Completions.New(t.Context(), openai.ChatCompletionNewParams{
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")},
		Model:    "any",
		N:        param.NewOpt[int64](0),
	})
	var failed *openai.Error
	if !errors.As(err, &failed) || failed.Param != "n" || failed.Code != "integer_below_min_value" {
		t.Errorf("n is 0: %v", err)
	}
}
