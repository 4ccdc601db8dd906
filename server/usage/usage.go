// Package usage reads from the answers of OpenAI's API how many tokens they took,
// and from the requests which model is asked, while they pass, without changing or
// holding back a byte of them.
//
// [ReadRequest] reads a request, and [NewTap] the answer to it: JSON, event streams
// and WebSockets, compressed or not. What an answer tells in a "usage" member
// counts. Where it tells nothing, as streams that weren't asked to, and those that
// were cut or cancelled, there is an estimate by length: of a token for four bytes
// of text. The text of an answer is that of its strings called content, text,
// delta, arguments, input, refusal, reasoning, reasoning_content and transcript,
// and a stream has at least a token in each event with text.
package usage

// Usage is what a call took, in tokens.
type Usage struct {
	Input, Output, Total int64
	// CachedInput and Reasoning are parts of Input and Output.
	CachedInput, Reasoning int64
	// Estimated says that the answer told nothing, and that the numbers are a guess
	// by its length.
	Estimated bool
}

// bytesPerToken is how much text makes a token, as a rule of thumb for English:
// https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them
const bytesPerToken = 4

// estimate is the guess for so many bytes of text.
func estimate(input, output int64) Usage {
	u := Usage{Input: tokensOf(input), Output: tokensOf(output), Estimated: true}
	u.Total = u.Input + u.Output
	return u
}

func tokensOf(length int64) int64 { return (length + bytesPerToken - 1) / bytesPerToken }
