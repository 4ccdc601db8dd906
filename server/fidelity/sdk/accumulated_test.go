package sdk_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/openai/openai-go/v3"
)

// accumulates returns in what the chunks, put together by the SDK, are not the
// answer. It doesn't look at what the SDK doesn't put together: speech,
// citations, custom tools, function_call, and moderation.
func accumulates(chunks [][]byte, answer []byte) error {
	var want openai.ChatCompletion
	if err := json.Unmarshal(answer, &want); err != nil {
		return err
	}
	var got openai.ChatCompletionAccumulator
	for _, text := range chunks {
		var chunk openai.ChatCompletionChunk
		if err := json.Unmarshal(text, &chunk); err != nil {
			return err
		}
		if !got.AddChunk(chunk) {
			return fmt.Errorf("the SDK can't add %s", text)
		}
	}
	differ := func(what string, a, b any) error {
		if reflect.DeepEqual(a, b) {
			return nil
		}
		return fmt.Errorf("the accumulated %s is %v, not %v", what, a, b)
	}
	errs := []error{
		differ("id", got.ID, want.ID),
		differ("time", got.Created, want.Created),
		differ("model", got.Model, want.Model),
		differ("tier", got.ServiceTier, want.ServiceTier),
		differ("number of choices", len(got.Choices), len(want.Choices)),
	}
	if got.Usage.TotalTokens != 0 { // Otherwise the stream wasn't asked for it.
		errs = append(errs,
			differ("usage of the prompt", got.Usage.PromptTokens, want.Usage.PromptTokens),
			differ("usage of the answer", got.Usage.CompletionTokens, want.Usage.CompletionTokens),
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

// functionsOf are the functions that a choice calls.
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
