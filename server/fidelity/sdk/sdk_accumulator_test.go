package sdk_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/openai/openai-go/v3"
)

// checkSDKAccumulator compares the chunks, accumulated by the SDK, with the unary
// response. It ignores what the SDK does not accumulate: audio, citations, custom
// tools, function_call and moderation.
func checkSDKAccumulator(chunks [][]byte, response []byte) error {
	var want openai.ChatCompletion
	if err := json.Unmarshal(response, &want); err != nil {
		return err
	}
	var got openai.ChatCompletionAccumulator
	for _, text := range chunks {
		var chunk openai.ChatCompletionChunk
		if err := json.Unmarshal(text, &chunk); err != nil {
			return err
		}
		if !got.AddChunk(chunk) {
			return fmt.Errorf("the SDK rejected chunk %s", text)
		}
	}
	differ := func(what string, a, b any) error {
		if reflect.DeepEqual(a, b) {
			return nil
		}
		return fmt.Errorf("got accumulated %s %v, want %v", what, a, b)
	}
	errs := []error{
		differ("id", got.ID, want.ID),
		differ("time", got.Created, want.Created),
		differ("model", got.Model, want.Model),
		differ("tier", got.ServiceTier, want.ServiceTier),
		differ("number of choices", len(got.Choices), len(want.Choices)),
	}
	if got.Usage.TotalTokens != 0 { // The stream includes usage only on request.
		errs = append(errs,
			differ("prompt tokens", got.Usage.PromptTokens, want.Usage.PromptTokens),
			differ("completion tokens", got.Usage.CompletionTokens, want.Usage.CompletionTokens),
			differ("usage", got.Usage.TotalTokens, want.Usage.TotalTokens),
		)
	}
	for i := range min(len(got.Choices), len(want.Choices)) {
		x, y := got.Choices[i], want.Choices[i]
		errs = append(errs,
			differ("index", x.Index, y.Index),
			differ("reason", x.FinishReason, y.FinishReason),
			differ("role", x.Message.Role, y.Message.Role),
			differ("content", x.Message.Content, y.Message.Content),
			differ("refusal", x.Message.Refusal, y.Message.Refusal),
			differ("functions", functionsOf(x), functionsOf(y)),
			differ("log probabilities", logprobsOf(x), logprobsOf(y)),
		)
	}
	return errors.Join(errs...)
}

// functionsOf returns the function calls of a choice.
func functionsOf(choice openai.ChatCompletionChoice) (calls []string) {
	for _, call := range choice.Message.ToolCalls {
		if call.Type == "function" {
			calls = append(calls, fmt.Sprintf("%s: %s(%s)", call.ID, call.Function.Name, call.Function.Arguments))
		}
	}
	return calls
}

func logprobsOf(choice openai.ChatCompletionChoice) (tokens []string) {
	for _, list := range [][]openai.ChatCompletionTokenLogprob{choice.Logprobs.Content, choice.Logprobs.Refusal} {
		for _, token := range list {
			tokens = append(tokens, fmt.Sprint(token.Token, token.Logprob, token.Bytes, len(token.TopLogprobs)))
		}
		tokens = append(tokens, "")
	}
	return tokens
}
