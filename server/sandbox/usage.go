package sandbox

import "encoding/json"

// What a prompt costs beside the tokens of its text. The figures are the
// sandbox's own, of the size that models have.
const (
	tokensPerMessage    = 4
	tokensPerImage      = 85
	tokensPerFile       = 100
	base64PerAudioToken = 1000
	cachedBlock         = 16
)

// reasoningTokens is how many a request's effort costs. Only a request that
// names an effort pays, so that a limit of tokens leaves room for the text.
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

// usageOf counts a request and its answer, each of whose choices reasoned.
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

// promptTokens counts what was sent. The messages to the last cache breakpoint
// are written to the cache; with a cache key, whole blocks of the rest were there.
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
			if given, _ := part.(*object); given.get("prompt_cache_breakpoint") != nil {
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

// weigh counts the tokens of a JSON value by what it means: those of its texts
// and names, and one more for each of them. In what order an object's members
// came makes no difference, nor do those that are empty.
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
			if member := value.get(name); !isEmptyField(name, member) {
				total += 1 + countTokens(name) + countJSONTokens(member)
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
