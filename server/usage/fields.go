package usage

import "bytes"

// role is the meaning of a field or a container. The elements of an array have its role.
type role uint8

const (
	roleNone         role = iota
	roleRoot              // the text, an object
	roleRoots             // the text, an array
	roleModel             // string: the name of the model
	roleType              // string: the type of the event
	roleStream            // bool: the response is a stream
	roleDone              // bool: the text is the last of a stream
	roleNested            // object some of whose fields count like those of the root
	roleNestedOrText      // the same, or a string with tokens
	roleDelta             // object that may contain usage, or a string with tokens
	roleVendor            // object of a vendor that may contain usage
	roleVendorNested      // object in roleVendor or roleChoices that may contain usage
	roleChoices           // array of objects that may contain usage
	roleUsage             // object: the usage
	roleUsagePart         // object in roleUsage with the same fields
	roleInputDetails
	roleOutputDetails

	// Strings with tokens, and their containers. Those from roleReasoning on are
	// reasoning, which some servers repeat under several names.
	roleText
	roleReasoning
	roleReasoningContent
	roleThinking
	roleDetails
	roleSchema // object all of whose names and strings have tokens
	roleInput  // string to be converted to speech

	// A number, or a string with one, of a counter: roleCount + role(counter).
	roleCount
)

const channels = int(roleSchema - roleText) // the number of channels of text

func (r role) isText() bool { return r >= roleText && r <= roleInput }

func (r role) isThought() bool { return r > roleText && r < roleSchema }

func countRole(c counter) role { return roleCount + role(c) }

// ofElements returns the role of the elements of an array.
func (r role) ofElements() role {
	if r.isText() || r == roleRoots || r == roleChoices {
		return r
	}
	return roleNone
}

// answerRole returns the role of a field of a response or of an event. Nested objects
// count, too: "response" of the Responses API
// (https://platform.openai.com/docs/api-reference/responses-streaming) and the Realtime
// API, "session" of the Realtime API, and "message" of Anthropic's API.
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
	case "model", "modelVersion": // "modelVersion" is Google's
		return roleModel
	case "type", "event_type": // "event_type" is Cohere's
		return roleType
	case "message", "session":
		return roleNested
	case "response": // a string is Ollama's
		return roleNestedOrText
	case "delta":
		return roleDelta
	case "choices":
		return roleChoices
	case "timings", "amazon-bedrock-invocationMetrics": // of llama.cpp and Bedrock
		return roleUsage
	case "prompt_eval_count", "tokens_evaluated": // of Ollama and llama.cpp
		return countRole(countPrompt)
	case "eval_count", "tokens_predicted":
		return countRole(countOutput)
	case "duration":
		return countRole(countSeconds)
	case "done": // of Ollama
		return roleDone
	}
	if role := usageOrTextRole(roleRoot, name); role != roleNone || isFreeForm(name) {
		return role
	}
	return roleVendor
}

// usageOrTextRole returns the role of a field of an object that may contain usage.
func usageOrTextRole(around role, name []byte) role {
	switch string(name) {
	case "usage", "usageMetadata", "usage_metadata", "token_usage":
		return roleUsage
	case "tokens", "billed_units", "token_count": // of Cohere
		if around != roleRoot {
			return roleUsage
		}
	case "generated_tokens": // of Hugging Face
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

// isFreeForm reports whether the fields of an object are chosen by users or models.
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

// usageObjectRole returns the role of a field of a usage object, by any of its names:
// those of chat completions and embeddings, of newer parts of OpenAI's API, and of other
// vendors.
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
	case "cached_tokens", "prompt_cache_hit_tokens", "cachedContentTokenCount", "cached_content_token_count": // of Moonshot, DeepSeek and Google
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
	case "tokens", "billed_units": // of Cohere
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

// requestRole returns the role of a field of a request. Models are found by a
// modelFinder. The name "stream" is compared without regard to case, as some servers do.
func requestRole(around role, name []byte) role {
	if around == roleRoot || around == roleNested {
		switch {
		case bytes.EqualFold(name, []byte("stream")):
			return roleStream
		case around == roleRoot && bytes.EqualFold(name, []byte("session")): // of a client secret for the Realtime API
			return roleNested
		}
	}
	switch string(name) {
	case "content", "text", "prompt", "suffix", "instructions", "arguments", "output", "name", "description",
		"system", "query", "documents", "texts", "title": // of Anthropic, and of embedding and reranking APIs
		return roleText
	case "input":
		if around == roleRoot {
			return roleInput
		}
		return roleText
	case "message":
		if around == roleRoot { // of Cohere
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

// isEchoType reports whether the text of an event is not new output. At the end of a
// response the Responses and Realtime APIs repeat the text of the deltas, and they send
// the user's messages back. An audio delta has no text.
func isEchoType(kind []byte) bool {
	return bytes.IndexByte(kind, '.') >= 0 &&
		(!bytes.HasSuffix(kind, []byte(".delta")) || bytes.HasSuffix(kind, []byte("audio.delta")) ||
			bytes.HasPrefix(kind, []byte("conversation.")))
}

// isLastType reports whether an event of the type is the last of its stream: of the
// Responses API, Anthropic, transcriptions, speech and Cohere.
func isLastType(kind []byte) bool {
	switch string(kind) {
	case "response.completed", "response.failed", "response.incomplete", "message_stop",
		"transcript.text.done", "speech.audio.done", "message-end", "stream-end":
		return true
	}
	return false
}
