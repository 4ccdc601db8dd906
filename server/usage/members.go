package usage

import "bytes"

// answerRole tells what a member of an answer, or of an event of one, is for. The
// objects whose members count too are "response", of the events of the Responses
// API (https://platform.openai.com/docs/api-reference/responses-streaming) and of
// the Realtime API, and "session", of the latter.
func answerRole(depth int, nested bool, name []byte) role {
	switch string(name) {
	case "usage":
		if depth == 1 || nested && depth == 2 {
			return roleUsage
		}
	case "model":
		if depth == 1 || nested && depth == 2 {
			return roleModel
		}
	case "type":
		if depth == 1 {
			return roleType
		}
	case "response", "session":
		if depth == 1 {
			return roleNest
		}
	case "content", "text", "delta", "arguments", "input", "refusal", "reasoning", "reasoning_content", "transcript":
		return roleText
	}
	return roleNone
}

// requestRole tells what a member of a request is for. Names are compared as some
// servers do, without regard to case, so that a second model can't hide from who
// looks for the first: it is for the caller to refuse both.
func requestRole(depth int, nested bool, name []byte) role {
	if depth == 1 || nested && depth == 2 {
		switch {
		case bytes.EqualFold(name, []byte("model")), bytes.EqualFold(name, []byte("models")): // the latter is OpenRouter's
			return roleModel
		case bytes.EqualFold(name, []byte("stream")):
			return roleStream
		case depth == 1 && bytes.EqualFold(name, []byte("session")): // of a secret for the Realtime API
			return roleNest
		}
	}
	switch string(name) {
	case "content", "text", "input", "prompt", "suffix", "instructions", "arguments", "output", "name", "description":
		return roleText
	}
	return roleNone
}

// isEcho reports whether an event of a type has text that isn't new: those of the
// Responses and the Realtime API tell again at the end what they told in deltas,
// and tell what was said to the model. A delta of audio is no text at all.
func isEcho(kind []byte) bool {
	return bytes.IndexByte(kind, '.') >= 0 &&
		(!bytes.HasSuffix(kind, []byte(".delta")) || bytes.HasSuffix(kind, []byte("audio.delta")) ||
			bytes.HasPrefix(kind, []byte("conversation.")))
}
