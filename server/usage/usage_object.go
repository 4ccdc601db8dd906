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

// counter identifies a kind of number in a usage object.
type counter uint8

const (
	countPrompt     counter = iota // input, including cached tokens
	countInput                     // input; from Anthropic and Bedrock without cached tokens
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
	hasInputDetails bool   // the object has details of the input, which then includes cached tokens
	counts          [counterCount]int64
}

func (o *usageObject) has(c counter) bool { return o.seen>>c&1 != 0 }

// set sets a counter to the largest of its numbers.
func (o *usageObject) set(c counter, number []byte) {
	value, ok := parseNumber(number, c == countSeconds)
	if ok {
		o.seen |= 1 << c
		o.counts[c] = max(o.counts[c], value)
	}
}

// parseNumber parses a JSON number, in thousandths if milli is true. A negative number,
// or a value of another type, is ignored, because some upstreams are only nearly
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
func (o *usageObject) usage() Usage {
	n := &o.counts
	u := Usage{
		Input:       max(n[countPrompt], n[countInput]) + n[countToolInput],
		Output:      n[countOutput] + n[countThoughts],
		CachedInput: max(n[countCached], n[countCacheRead]),
		Reasoning:   max(n[countReasoning], n[countThoughts]),
		Characters:  n[countCharacters],
		Seconds:     float64(n[countSeconds]) / 1000,
	}
	total := n[countTotal]
	if o.excludesCached(u.Input + u.Output) {
		u.Input += n[countCacheRead] + n[countCacheWrite]
	}
	hasInput, hasOutput := o.has(countPrompt) || o.has(countInput), o.has(countOutput)
	switch {
	case hasOutput && !hasInput && total > u.Output:
		u.Input = total - u.Output
	case hasInput && !hasOutput && total > u.Input:
		u.Output = total - u.Input
	}
	u.Total = max(total, u.Input+u.Output)
	return u
}

// excludesCached reports whether the input excludes cached tokens, as in Anthropic's API
// (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching): the field is
// named input_tokens, and the object has no details of it and no total that equals sum,
// the sum of input and output.
func (o *usageObject) excludesCached(sum int64) bool {
	return o.has(countInput) && o.counts[countPrompt] == 0 && !o.hasInputDetails &&
		(!o.has(countTotal) || o.counts[countTotal] != sum)
}

// written returns the part of the total that may be output.
func (u Usage) written() int64 { return u.Total - u.Input }

// merge returns u updated by a later report, v. It takes the larger number of both,
// because some servers report zeros after running totals. It reports whether v has more
// output than u.
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

// add returns the sum of u and v.
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
