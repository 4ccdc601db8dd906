package usage

import "bytes"

// role is what a member means, and what a container means to its members. The
// elements of an array mean what the array does.
type role uint8

const (
	roleNone         role = iota
	roleRoot              // the text itself, an object
	roleRoots             // the text itself, an array
	roleModel             // a string
	roleType              // a string: what an event is
	roleStream            // true or false
	roleDone              // true or false: whether a stream ends here
	roleNested            // an object, some of whose members count like those around it
	roleNestedOrText      // the same, or a text
	roleDelta             // an object that may tell the usage, or a text
	roleVendor            // an object of some vendor's, which may tell the usage
	roleVendorNested      // an object within it, or within a choice, which may too
	roleChoices           // an array of objects that may tell the usage
	roleUsage             // an object: what the answer took
	roleUsagePart         // an object within it, of the same members
	roleInputDetails
	roleOutputDetails

	// Strings that have tokens, or arrays of them, or containers that have some.
	// Those from roleReasoning on are a model's thoughts. Some servers tell the same
	// thought under more than one name.
	roleText
	roleReasoning
	roleReasoningContent
	roleThinking
	roleDetails
	roleSchema // an object all of whose names and strings have tokens
	roleInput  // a string that is to be spoken, in a request for speech

	// A number, or one as a string, of a counter: roleCount + role(counter).
	roleCount
)

const channels = int(roleSchema - roleText) // how many roles of texts are told apart

func (r role) isText() bool { return r >= roleText && r <= roleInput }

func (r role) isThought() bool { return r > roleText && r < roleSchema }

func countRole(c counter) role { return roleCount + role(c) }

// inherited returns what the elements of an array mean.
func (r role) ofElements() role {
	if r.isText() || r == roleRoots || r == roleChoices {
		return r
	}
	return roleNone
}

// answerRole tells what a member of an answer, or of an event of one, is for, by what
// is around it. The objects whose members count too are "response", of the events of
// the Responses API (https://platform.openai.com/docs/api-reference/responses-streaming)
// and of the Realtime API, "session", of the latter, and "message", of Anthropic's.
func answerRole(around role, name []byte) role {
	switch around {
	case roleUsage, roleUsagePart:
		return usageObjectRole(name)
	case roleInputDetails, roleOutputDetails:
		return detailRole(name)
	case roleRoot, roleRoots:
		return rootRole(name)
	case roleNested, roleNestedOrText:
		switch string(name) {
		case "model":
			return roleModel
		case "meta":
			return roleVendor
		}
		return usageOrTextRole(around, name)
	case roleVendor, roleChoices:
		if role := usageOrTextRole(around, name); role != roleNone || isFreeForm(name) {
			return role
		}
		return roleVendorNested
	case roleDelta, roleVendorNested:
		return usageOrTextRole(around, name)
	default:
		return textRole(around, name)
	}
}

func rootRole(name []byte) role {
	switch string(name) {
	case "model", "modelVersion": // the latter is Google's
		return roleModel
	case "type", "event_type": // the latter is Cohere's
		return roleType
	case "message", "session":
		return roleNested
	case "response": // a text is Ollama's
		return roleNestedOrText
	case "delta":
		return roleDelta
	case "choices":
		return roleChoices
	case "timings", "amazon-bedrock-invocationMetrics": // llama.cpp's, and Bedrock's
		return roleUsage
	case "prompt_eval_count", "tokens_evaluated": // Ollama's, and llama.cpp's
		return countRole(countPrompt)
	case "eval_count", "tokens_predicted":
		return countRole(countOutput)
	case "duration":
		return countRole(countSeconds)
	case "done": // Ollama's
		return roleDone
	}
	if role := usageOrTextRole(roleRoot, name); role != roleNone || isFreeForm(name) {
		return role
	}
	return roleVendor
}

// tellingRole is for the members of an object that may tell the usage.
func usageOrTextRole(around role, name []byte) role {
	switch string(name) {
	case "usage", "usageMetadata", "usage_metadata", "token_usage":
		return roleUsage
	case "tokens", "billed_units", "token_count": // Cohere's
		if around != roleRoot {
			return roleUsage
		}
	case "generated_tokens": // Hugging Face's
		if around == roleVendor {
			return countRole(countOutput)
		}
	case "delta":
		if around == roleChoices {
			return roleDelta
		}
	}
	return textRole(around, name)
}

// isFree reports whether an object of a name has members that users or models choose.
func isFreeForm(name []byte) bool {
	switch string(name) {
	case "metadata", "variables", "parameters", "schema", "properties", "args", "arguments", "input", "logprobs":
		return true
	default:
		return false
	}
}

func textRole(around role, name []byte) role {
	switch string(name) {
	case "content", "text", "delta", "arguments", "input", "refusal", "transcript", "partial_json", "generated_text", "completion":
		if around.isThought() {
			return around
		}
		return roleText
	case "reasoning":
		return roleReasoning
	case "reasoning_content", "reasoning_text":
		return roleReasoningContent
	case "thinking":
		if around == roleDetails {
			return around
		}
		return roleThinking
	case "reasoning_details", "thinking_blocks":
		return roleDetails
	case "summary":
		if around.isThought() {
			return around
		}
	}
	return roleNone
}

// usageRole is for the members of a usage object, by any of their names: those of
// chat completions and embeddings, those of all newer parts of OpenAI's API, and
// those of other vendors.
func usageObjectRole(name []byte) role {
	switch string(name) {
	case "prompt_tokens", "promptTokens", "promptTokenCount", "prompt_token_count", "input_token_count":
		return countRole(countPrompt)
	case "input_tokens", "inputTokens", "inputTokenCount", "prompt_n":
		return countRole(countInput)
	case "completion_tokens", "completionTokens", "output_tokens", "outputTokens", "outputTokenCount", "output_token_count",
		"candidatesTokenCount", "candidates_token_count", "response_tokens", "predicted_n":
		return countRole(countOutput)
	case "thoughtsTokenCount", "thoughts_token_count":
		return countRole(countThoughts)
	case "toolUsePromptTokenCount", "tool_use_prompt_token_count":
		return countRole(countToolInput)
	case "total_tokens", "totalTokens", "totalTokenCount", "total_token_count":
		return countRole(countTotal)
	case "cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount", "cache_n":
		return countRole(countCacheRead)
	case "cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount":
		return countRole(countCacheWrite)
	case "cached_tokens", "prompt_cache_hit_tokens", "cachedContentTokenCount", "cached_content_token_count": // Moonshot's, DeepSeek's, Google's
		return countRole(countCached)
	case "reasoning_tokens":
		return countRole(countReasoning)
	case "seconds":
		return countRole(countSeconds)
	case "characters":
		return countRole(countCharacters)
	case "prompt_tokens_details", "input_tokens_details", "input_token_details":
		return roleInputDetails
	case "completion_tokens_details", "output_tokens_details", "output_token_details":
		return roleOutputDetails
	case "tokens", "billed_units": // Cohere's
		return roleUsagePart
	}
	return roleNone
}

func detailRole(name []byte) role {
	switch string(name) {
	case "cached_tokens":
		return countRole(countCached)
	case "reasoning_tokens":
		return countRole(countReasoning)
	}
	return roleNone
}

// requestRole tells what a member of a request is for, but for models, which a
// modelFinder finds. The name "stream" is compared as some servers do, without regard
// to case.
func requestRole(around role, name []byte) role {
	if around == roleRoot || around == roleNested {
		switch {
		case bytes.EqualFold(name, []byte("stream")):
			return roleStream
		case around == roleRoot && bytes.EqualFold(name, []byte("session")): // of a secret for the Realtime API
			return roleNested
		}
	}
	switch string(name) {
	case "content", "text", "prompt", "suffix", "instructions", "arguments", "output", "name", "description",
		"system", "query", "documents", "texts", "title": // Anthropic's, and those who embed or rank texts
		return roleText
	case "input":
		if around == roleRoot {
			return roleInput
		}
		return roleText
	case "message":
		if around == roleRoot { // Cohere's
			return roleText
		}
	case "parameters", "input_schema", "schema":
		return roleSchema
	}
	if around == roleSchema {
		return roleSchema
	}
	return roleNone
}

// isEcho reports whether an event of a type has text that isn't new: those of the
// Responses and the Realtime API tell again at the end what they told in deltas,
// and tell what was said to the model. A delta of audio is no text at all.
func isEchoType(kind []byte) bool {
	return bytes.IndexByte(kind, '.') >= 0 &&
		(!bytes.HasSuffix(kind, []byte(".delta")) || bytes.HasSuffix(kind, []byte("audio.delta")) ||
			bytes.HasPrefix(kind, []byte("conversation.")))
}

// isLast reports whether an event of a type is the last of its stream: of the
// Responses API, Anthropic's, those of transcriptions and speech, and Cohere's.
func isLastType(kind []byte) bool {
	switch string(kind) {
	case "response.completed", "response.failed", "response.incomplete", "message_stop",
		"transcript.text.done", "speech.audio.done", "message-end", "stream-end":
		return true
	}
	return false
}
