package sandbox

import "encoding/json"

// The tokens of a prompt in addition to those of its text. The numbers are made up, but
// plausible.
const (
	tokensPerMessage    = 4
	tokensPerImage      = 85
	tokensPerFile       = 100
	base64PerAudioToken = 1000
	cachedBlock         = 16
)

// reasoningTokens returns the number of reasoning tokens per choice. It is zero without
// an explicit effort, so that a token limit leaves room for text.
func (r *request) reasoningTokens() int {
	return map[string]int{
		"minimal": 8,
		"low":     16,
		"medium":  32,
		"high":    64,
		"xhigh":   128,
		"max":     256,
	}[r.tree.str("reasoning_effort")]
}

// countUsage returns the usage of a request and its choices. reasoning is the number of
// reasoning tokens per choice.
func (r *request) countUsage(choices []choice, reasoning int) usage {
	result := usage{PromptDetails: r.countPromptTokens()}
	predicted := r.predicted()
	details := &result.CompletionDetails
	for _, each := range choices {
		details.Reasoning += reasoning
		details.Text += len(each.content) + len(each.refusal)
		for _, call := range each.calls {
			details.Text += len(call.tokens)
		}
		details.Audio += len(each.samples) / (sampleBytes * toneSamples)
		accepted := commonPrefix(each.content, predicted)
		details.AcceptedPrediction += accepted
		details.RejectedPrediction += len(predicted) - accepted
	}
	result.CompletionTokens = details.Text + details.Audio + details.Reasoning
	prompt := result.PromptDetails
	result.PromptTokens = prompt.Text + prompt.Image + prompt.Audio
	result.TotalTokens = result.PromptTokens + result.CompletionTokens
	return result
}

// countPromptTokens counts the tokens of a prompt. Messages up to the last cache
// breakpoint are written to the cache. With a cache key, the remaining prompt counts as
// cached, in whole blocks.
func (r *request) countPromptTokens() promptTokens {
	var result promptTokens
	for _, each := range r.messages {
		result.Text += tokensPerMessage + countTokens(each.text) + tokensPerFile*each.files
		for _, name := range []string{"tool_calls", "function_call"} {
			if calls := each.tree.get(name); !isEmpty(calls) {
				result.Text += countJSONTokens(calls)
			}
		}
		result.Image += tokensPerImage * each.images
		for _, audio := range each.audios {
			result.Audio += 1 + len(audio)/base64PerAudioToken
		}
		for _, part := range each.tree.list("content") {
			if obj, _ := part.(*object); obj.get("prompt_cache_breakpoint") != nil {
				result.CacheWrite = result.Text + result.Image + result.Audio
			}
		}
	}
	for _, name := range []string{"tools", "functions"} {
		if offered := r.tree.list(name); len(offered) > 0 {
			result.Text += countJSONTokens(offered)
		}
	}
	if r.tree.str("prompt_cache_key") != "" {
		rest := result.Text + result.Image + result.Audio - result.CacheWrite
		result.Cached = rest / cachedBlock * cachedBlock
	}
	return result
}

// countJSONTokens counts the tokens of a JSON value. Each string and name counts its
// tokens plus one. The order of an object's fields and empty fields make no difference.
func countJSONTokens(value any) int {
	switch value := value.(type) {
	case string:
		return 1 + countTokens(value)
	case json.Number:
		return countTokens(canonicalNumber(value.String()))
	case []any:
		total := 1
		for _, each := range value {
			total += countJSONTokens(each)
		}
		return total
	case *object:
		total := 1
		for _, name := range value.names {
			if field := value.get(name); !isEmptyField(name, field) {
				total += 1 + countTokens(name) + countJSONTokens(field)
			}
		}
		return total
	default:
		return 1
	}
}

func commonPrefix(first, second []string) int {
	for i := range min(len(first), len(second)) {
		if first[i] != second[i] {
			return i
		}
	}
	return min(len(first), len(second))
}
