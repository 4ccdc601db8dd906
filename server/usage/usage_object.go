package usage

import (
	"math"
	"strconv"
)

const (
	// maxTokens is more than any answer takes, and so little that sums don't overflow.
	maxTokens = 1 << 40

	// maxSeconds is more than any recording has.
	maxSeconds = 1 << 30

	// maxNumber bounds, in bytes, a number that is read. A longer one is not known.
	maxNumber = 32
)

// counter is one of the numbers of a usage object.
type counter uint8

const (
	countPrompt     counter = iota // what the model read, with what was cached
	countInput                     // the same, or at Anthropic and Bedrock without what was cached
	countOutput                    // what it wrote
	countThoughts                  // what it thought, if that isn't a part of countOutput
	countToolInput                 // what it read of tools, if that isn't a part of countPrompt
	countTotal                     // all together
	countCacheRead                 // of what it read, what came from a cache
	countCacheWrite                // of what it read, what was put into a cache
	countCached                    // the same as countCacheRead, always a part of what it read
	countReasoning                 // of what it wrote, what it thought
	countCharacters                // of a text that was spoken
	countSeconds                   // of a recording that was transcribed, in milliseconds
	counterCount
)

// report is what a usage object says.
type usageObject struct {
	seen            uint16 // bit c: counter c was there
	hasInputDetails bool   // there are details of the input, as only those have who count it whole
	counts          [counterCount]int64
}

func (r *usageObject) has(c counter) bool { return r.seen>>c&1 != 0 }

// set notes a number. Of several for the same counter the largest counts.
func (r *usageObject) set(c counter, number []byte) {
	value, ok := parseNumber(number, c == countSeconds)
	if ok {
		r.seen |= 1 << c
		r.counts[c] = max(r.counts[c], value)
	}
}

// parseNumber reads a number of JSON, in thousandths if milli says so. What isn't
// one, or is negative, from an upstream that is only nearly OpenAI, is unknown rather
// than an error.
func parseNumber(text []byte, milli bool) (value int64, ok bool) {
	if len(text) == 0 || len(text) > maxNumber {
		return 0, false
	}
	if len(text) <= 12 && !milli { // most are short and whole
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

// usage returns what the report says in the terms of OpenAI's: cached tokens are a
// part of the input, and thoughts a part of the output. A zero Usage says nothing.
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

// beside reports whether the cached tokens stand beside the input rather than in it:
// as at Anthropic (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching),
// which calls the input input_tokens, and tells neither its details nor a total. Whole
// is the sum without them.
func (r *usageObject) excludesCached(whole int64) bool {
	return r.has(countInput) && r.counts[countPrompt] == 0 && !r.hasInputDetails &&
		(!r.has(countTotal) || r.counts[countTotal] != whole)
}

// written is how much of a total the model wrote, or may have.
func (u Usage) written() int64 { return u.Total - u.Input }

// merge returns u with what an answer told later. Of running totals the largest counts,
// for some tell zeros, or nothing, behind them. It reports whether v tells more of what
// was written than u did.
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

// plus adds up.
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
