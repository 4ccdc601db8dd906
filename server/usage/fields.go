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
	roleNested            // object with some of the fields of the root
	roleNestedOrText      // roleNested, or a string with tokens
	roleDelta             // object that may contain usage, or a string with tokens
	roleVendor            // object of a vendor that may contain usage
	roleVendorNested      // object in roleVendor or roleChoices that may contain usage
	roleChoices           // array of objects that may contain usage
	roleUsage             // object: the usage
	roleUsagePart         // object in roleUsage with the same fields
	roleInputDetails
	roleOutputDetails

	// Strings with tokens, and their containers. The roles between roleText and
	// roleSchema are reasoning, which some servers repeat under several names.
	roleText
	roleReasoning
	roleReasoningContent
	roleThinking
	roleDetails
	roleSchema // object whose names and strings all have tokens
	roleInput  // string to be converted to speech

	// A number, or a string with a number, for a counter: roleCount + role(counter).
	roleCount
)

const channels = int(roleSchema - roleText) // the number of channels: one for text, one for each role of reasoning

func (r role) isText() bool { return r >= roleText && r <= roleInput }

func (r role) isReasoning() bool { return r > roleText && r < roleSchema }

func countRole(c counter) role { return roleCount + role(c) }

// ofElements returns the role of the elements of an array.
func (r role) ofElements() role {
	if r.isText() || r == roleRoots || r == roleChoices {
		return r
	}
	return roleNone
}

// responseRole returns the role of a field of a response or of an event, also in these
// nested objects: "response" of the Responses API
// (https://platform.openai.com/docs/api-reference/responses-streaming) and the Realtime
// API, "session" of the Realtime API, and "message" of Anthropic's API.
func responseRole(parent role, name []byte) role {
	switch parent {
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
		return usageOrTextRole(parent, name)
	case roleVendor, roleChoices:
		if role := usageOrTextRole(parent, name); role != roleNone || isFreeForm(name) {
			return role
		}
		return roleVendorNested
	case roleDelta, roleVendorNested:
		return usageOrTextRole(parent, name)
	default:
		return textRole(parent, name)
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
	case "response": // in Ollama's API a string
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
func usageOrTextRole(parent role, name []byte) role {
	switch string(name) {
	case "usage", "usageMetadata", "usage_metadata", "token_usage":
		return roleUsage
	case "tokens", "billed_units", "token_count": // of Cohere
		if parent != roleRoot {
			return roleUsage
		}
	case "generated_tokens": // of Hugging Face
		if parent == roleVendor {
			return countRole(countOutput)
		}
	case "delta":
		if parent == roleChoices {
			return roleDelta
		}
	}
	return textRole(parent, name)
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

func textRole(parent role, name []byte) role {
	switch string(name) {
	case "content", "text", "delta", "arguments", "input", "refusal", "transcript", "partial_json", "generated_text", "completion":
		if parent.isReasoning() {
			return parent
		}
		return roleText
	case "reasoning":
		return roleReasoning
	case "reasoning_content", "reasoning_text":
		return roleReasoningContent
	case "thinking":
		if parent == roleDetails {
			return parent
		}
		return roleThinking
	case "reasoning_details", "thinking_blocks":
		return roleDetails
	case "summary":
		if parent.isReasoning() {
			return parent
		}
	}
	return roleNone
}

// usageObjectRole returns the role of a field of a usage object. A counter has different
// names in chat completions and embeddings, in newer parts of OpenAI's API, and in the
// APIs of other vendors.
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

// requestRole returns the role of a field of a request, except of those with models: see
// modelFinder. The name "stream" is compared without regard to case, as some servers do.
func requestRole(parent role, name []byte) role {
	if parent == roleRoot || parent == roleNested {
		switch {
		case bytes.EqualFold(name, []byte("stream")):
			return roleStream
		case parent == roleRoot && bytes.EqualFold(name, []byte("session")): // of a client secret for the Realtime API
			return roleNested
		}
	}
	switch string(name) {
	case "content", "text", "prompt", "suffix", "instructions", "arguments", "output", "name", "description",
		"system", "query", "documents", "texts", "title": // of Anthropic, and of embedding and reranking APIs
		return roleText
	case "input":
		if parent == roleRoot {
			return roleInput
		}
		return roleText
	case "message":
		if parent == roleRoot { // of Cohere
			return roleText
		}
	case "parameters", "input_schema", "schema":
		return roleSchema
	}
	if parent == roleSchema {
		return roleSchema
	}
	return roleNone
}

// isEchoType reports whether the text of an event of the type is not new output. At the
// end of a response the Responses and Realtime APIs repeat the text of the deltas, and
// they send the user's messages back. An audio delta has no text.
func isEchoType(kind []byte) bool {
	return bytes.IndexByte(kind, '.') >= 0 &&
		(!bytes.HasSuffix(kind, []byte(".delta")) || bytes.HasSuffix(kind, []byte("audio.delta")) ||
			bytes.HasPrefix(kind, []byte("conversation.")))
}

// isLastType reports whether an event of the type is the last of its stream, in the
// Responses API, Anthropic's API, transcriptions, speech and Cohere's API.
func isLastType(kind []byte) bool {
	switch string(kind) {
	case "response.completed", "response.failed", "response.incomplete", "message_stop",
		"transcript.text.done", "speech.audio.done", "message-end", "stream-end":
		return true
	}
	return false
}
