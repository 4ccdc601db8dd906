package usage

import (
	"math"
	"strconv"
)

const (
	// maxTokens is larger than any usage, and small enough that sums do not overflow.
	maxTokens = 1 << 40

	// maxSeconds is larger than the duration of any recording.
	maxSeconds = 1 << 30

	// maxNumber is the maximum length of a number in bytes. Longer ones are ignored.
	maxNumber = 32
)

// counter identifies a number of a usage object.
type counter uint8

const (
	countPrompt     counter = iota // input, including cached tokens
	countInput                     // input, without cached tokens at Anthropic and Bedrock
	countOutput                    // output
	countThoughts                  // reasoning that is not part of countOutput
	countToolInput                 // input from tools that is not part of countPrompt
	countTotal                     // total
	countCacheRead                 // input read from a cache
	countCacheWrite                // input written to a cache
	countCached                    // like countCacheRead, but always part of the input
	countReasoning                 // reasoning that is part of the output
	countCharacters                // text converted to speech
	countSeconds                   // transcribed audio, in milliseconds
	counterCount
)

// usageObject holds the numbers of a usage object.
type usageObject struct {
	seen            uint16 // bit c: counter c was seen
	hasInputDetails bool   // It has details of the input. Then the input includes cached tokens.
	counts          [counterCount]int64
}

func (r *usageObject) has(c counter) bool { return r.seen>>c&1 != 0 }

// set sets a counter. Of several numbers for it the largest counts.
func (r *usageObject) set(c counter, number []byte) {
	value, ok := parseNumber(number, c == countSeconds)
	if ok {
		r.seen |= 1 << c
		r.counts[c] = max(r.counts[c], value)
	}
}

// parseNumber parses a JSON number, in thousandths if milli is true. A value that is not
// a number, or is negative, is ignored, because some upstreams are only nearly
// compatible.
func parseNumber(text []byte, milli bool) (value int64, ok bool) {
	if len(text) == 0 || len(text) > maxNumber {
		return 0, false
	}
	if len(text) <= 12 && !milli { // the common case
		for _, c := range text {
			if c < '0' || c > '9' {
				value = -1
				break
			}
			value = value*10 + int64(c-'0')
		}
		if value >= 0 {
			return min(value, maxTokens), true
		}
	}
	number, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !math.IsInf(number, 1) || number < 0 || math.IsNaN(number) || !isDigit(text[0]) {
		return 0, false
	}
	if milli {
		return int64(min(number, maxSeconds) * 1000), true
	}
	return int64(min(number, maxTokens)), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// usage returns the usage in OpenAI's terms: cached tokens are a part of the input, and
// reasoning is a part of the output.
func (r *usageObject) usage() Usage {
	n := &r.counts
	u := Usage{
		Input:       max(n[countPrompt], n[countInput]) + n[countToolInput],
		Output:      n[countOutput] + n[countThoughts],
		CachedInput: max(n[countCached], n[countCacheRead]),
		Reasoning:   max(n[countReasoning], n[countThoughts]),
		Characters:  n[countCharacters],
		Seconds:     float64(n[countSeconds]) / 1000,
	}
	total := n[countTotal]
	if r.excludesCached(u.Input + u.Output) {
		u.Input += n[countCacheRead] + n[countCacheWrite]
	}
	hasInput, hasOutput := r.has(countPrompt) || r.has(countInput), r.has(countOutput)
	switch {
	case hasOutput && !hasInput && total > u.Output:
		u.Input = total - u.Output
	case hasInput && !hasOutput && total > u.Input:
		u.Output = total - u.Input
	}
	u.Total = max(total, u.Input+u.Output)
	return u
}

// excludesCached reports whether the input excludes cached tokens, as at Anthropic
// (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching): it is named
// input_tokens and comes without details, and without a total. sum is the sum of input
// and output.
func (r *usageObject) excludesCached(whole int64) bool {
	return r.has(countInput) && r.counts[countPrompt] == 0 && !r.hasInputDetails &&
		(!r.has(countTotal) || r.counts[countTotal] != whole)
}

// written returns the part of the total that may be output.
func (u Usage) written() int64 { return u.Total - u.Input }

// merge returns u updated by a later report. Of running totals the largest counts,
// because some servers report zeros afterwards. It reports whether v has more output than
// u.
func (u Usage) merge(v Usage) (merged Usage, more bool) {
	more = v.written() > 0 && (v.Output > u.Output || v.Total > u.Total)
	u.Input = max(u.Input, v.Input)
	u.Output = max(u.Output, v.Output)
	u.Total = max(u.Total, v.Total, u.Input+u.Output)
	u.CachedInput = max(u.CachedInput, v.CachedInput)
	u.Reasoning = max(u.Reasoning, v.Reasoning)
	u.Seconds = max(u.Seconds, v.Seconds)
	u.Characters = max(u.Characters, v.Characters)
	return u, more
}

// add returns the sum of both.
func (u Usage) add(v Usage) Usage {
	return Usage{
		Input:       u.Input + v.Input,
		Output:      u.Output + v.Output,
		Total:       u.Total + v.Total,
		CachedInput: u.CachedInput + v.CachedInput,
		Reasoning:   u.Reasoning + v.Reasoning,
		Seconds:     u.Seconds + v.Seconds,
		Characters:  u.Characters + v.Characters,
		Estimated:   u.Estimated || v.Estimated,
	}
}
