// Package usage determines the model that a request names, and the tokens that its
// response consumed, while both are forwarded. It neither changes nor delays them.
//
// [ReadRequest] reads a request. [NewTap] reads the response: JSON, event streams,
// several JSON values, and WebSockets, compressed or not, of any Content-Type. The usage
// is read from the usage objects of OpenAI, Anthropic, Google, Cohere, Ollama, llama.cpp
// and others. Tokens that a response does not report are estimated from its text, as are
// those of a stream that was canceled or truncated.
package usage

// Usage is the usage of a request.
type Usage struct {
	// Total is at least the sum of Input and Output. It is larger if the upstream reports
	// only a total, or counts further tokens.
	Input, Output, Total int64
	// CachedInput and Reasoning are parts of Input and Output.
	CachedInput, Reasoning int64
	// Seconds is the duration of the transcribed recording, if the response reports it.
	Seconds float64
	// Characters is the length of the text that was converted to speech.
	Characters int64
	// Estimated reports whether some of the tokens are an estimate.
	Estimated bool
}

// tokensPerSecond is the number of tokens that OpenAI's transcription models count for a
// second of audio.
const tokensPerSecond = 10

// Charge returns the tokens that count against limits: the total, and for a recording
// without reported tokens ten per second.
func (u Usage) Charge() int64 {
	if !u.Estimated {
		return u.Total
	}
	return u.Total + int64(u.Seconds*tokensPerSecond)
}

// estimate adds the estimated tokens to the reported usage of a response: input if no
// input was reported, and output since the last report.
func estimate(reported Usage, input, output int64) Usage {
	u := reported
	unreported := u.Total == 0
	if unreported || u.Input == 0 && u.Total == u.Output {
		u.Input = input
		u.Estimated = unreported || u.Input > 0
	}
	if output > 0 {
		u.Output += output
		u.Estimated = true
	}
	u.Total += u.Input - reported.Input + u.Output - reported.Output
	return u
}
