// Package usage reads from the answers of OpenAI's API how many tokens they took,
// and from the requests which model is asked, while they pass, without changing or
// holding back a byte of them.
//
// [ReadRequest] reads a request, and [NewTap] the answer to it: JSON, event streams,
// JSON by lines and WebSockets, compressed or not, under any Content-Type. What an
// answer tells in a "usage" member counts, by the names that OpenAI, Anthropic,
// Google, Cohere, Ollama, llama.cpp and others have. Where it tells nothing, as
// streams that weren't asked to, and those that were cut or cancelled, there is an
// estimate by the text. So there is of what came since an answer told last.
package usage

// Usage is what a call took, in tokens.
type Usage struct {
	// Total is at least the sum of Input and Output. It is more where an upstream
	// tells a total alone, or counts what is neither.
	Input, Output, Total int64
	// CachedInput and Reasoning are parts of Input and Output.
	CachedInput, Reasoning int64
	// Seconds is how long the recording was that was transcribed, if the answer tells.
	Seconds float64
	// Characters is how many the text had that was spoken.
	Characters int64
	// Estimated says that the answer didn't tell all of the tokens, and that the
	// rest is an estimate by the text.
	Estimated bool
}

// tokensPerSecond is how many tokens a second of a recording has, as OpenAI's models
// of transcription count them.
const tokensPerSecond = 10

// Charge returns how many tokens the call counts for where tokens are limited: the
// total, and for a recording whose tokens weren't told ten a second.
func (u Usage) Charge() int64 {
	if !u.Estimated {
		return u.Total
	}
	return u.Total + int64(u.Seconds*tokensPerSecond)
}

// estimate returns what an answer took, of which it told what is in told. Input is the
// estimate of what the model had to read, and written of what it wrote since, in
// tokens.
func estimate(told Usage, input, written int64) Usage {
	u := told
	silent := u.Total == 0
	if silent || u.Input == 0 && u.Total == u.Output {
		u.Input = input
		u.Estimated = silent || u.Input > 0
	}
	if written > 0 {
		u.Output += written
		u.Estimated = true
	}
	u.Total += u.Input - told.Input + u.Output - told.Output
	return u
}
