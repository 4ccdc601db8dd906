package usage

import (
	"encoding/json"
	"math"
)

// maxTokens is more than any answer takes, and so little that sums don't overflow.
const maxTokens = 1 << 40

// count is a number of tokens. What isn't one, from an upstream that is only
// nearly OpenAI, is nil rather than an error.
type count struct{ known *int64 }

func (c *count) UnmarshalJSON(text []byte) error {
	var number float64
	if text[0] == 'n' || json.Unmarshal(text, &number) != nil || number < 0 {
		return nil //nolint:nilerr // see above
	}
	tokens := int64(math.Min(number, maxTokens))
	c.known = &tokens
	return nil
}

// or returns the first of the counts that is known, 0 if none is.
func (c count) or(others ...count) int64 {
	for _, each := range append([]count{c}, others...) {
		if each.known != nil {
			return *each.known
		}
	}
	return 0
}

// parts are the details of a count.
type parts struct {
	Cached    count `json:"cached_tokens"`
	Reasoning count `json:"reasoning_tokens"`
}

// UnmarshalJSON takes what is no object for one without members.
func (p *parts) UnmarshalJSON(text []byte) error {
	if text[0] != '{' {
		return nil
	}
	type plain parts
	return json.Unmarshal(text, (*plain)(p))
}

// report is a "usage" object, by any of its names: those of chat completions and
// embeddings, then those of all newer parts of the API.
type report struct {
	PromptTokens     count `json:"prompt_tokens"`
	CompletionTokens count `json:"completion_tokens"`
	InputTokens      count `json:"input_tokens"`
	OutputTokens     count `json:"output_tokens"`
	TotalTokens      count `json:"total_tokens"`

	PromptDetails     parts `json:"prompt_tokens_details"`
	CompletionDetails parts `json:"completion_tokens_details"`
	InputDetails      parts `json:"input_tokens_details"`
	OutputDetails     parts `json:"output_tokens_details"`
	RealtimeInput     parts `json:"input_token_details"`
	RealtimeOutput    parts `json:"output_token_details"`

	CacheHits count `json:"prompt_cache_hit_tokens"` // DeepSeek's
}

// parse reads a "usage" object, and reports whether it tells of tokens: that of a
// transcription may tell of seconds instead.
func parse(object []byte) (Usage, bool) {
	var r report
	if len(object) == 0 || json.Unmarshal(object, &r) != nil {
		return Usage{}, false
	}
	input, output := r.PromptTokens, r.CompletionTokens
	if input.known == nil {
		input = r.InputTokens
	}
	if output.known == nil {
		output = r.OutputTokens
	}
	if input.known == nil && output.known == nil && r.TotalTokens.known == nil {
		return Usage{}, false
	}
	u := Usage{
		Input: input.or(), Output: output.or(),
		CachedInput: r.PromptDetails.Cached.or(r.InputDetails.Cached, r.RealtimeInput.Cached, r.CacheHits),
		Reasoning:   r.CompletionDetails.Reasoning.or(r.OutputDetails.Reasoning, r.RealtimeOutput.Reasoning),
	}
	u.Total = u.Input + u.Output
	if r.TotalTokens.known != nil {
		u.Total = r.TotalTokens.or()
	}
	return u, true
}

// plus adds up.
func (u Usage) plus(v Usage) Usage {
	return Usage{
		Input:       u.Input + v.Input,
		Output:      u.Output + v.Output,
		Total:       u.Total + v.Total,
		CachedInput: u.CachedInput + v.CachedInput,
		Reasoning:   u.Reasoning + v.Reasoning,
		Estimated:   u.Estimated || v.Estimated,
	}
}
