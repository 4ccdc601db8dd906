package sandbox

import (
	"math"
	"regexp"
)

// Limits that OpenAI's specification states only in descriptions.
const (
	maxChoices       = 128
	maxTools         = 128
	maxStops         = 4
	maxTopLogprobs   = 20
	maxMetadata      = 16
	maxMetadataKey   = 64
	maxMetadataValue = 512
	maxIdentifier    = 64
	maxLogitBias     = 100
)

// completionValidator returns the validator for the body of POST /v1/chat/completions.
func completionValidator() objectValidator {
	return objectValidator{
		required: []field{
			{"messages", listOf(messageValidator(), 1, math.MaxInt)},
			{"model", isString},
		},
		optional: []field{
			{"audio", nullable(objectValidator{required: []field{
				{"voice", stringOr(objectValidator{required: []field{{"id", isString}}}.validate)},
				{"format", oneOf("wav", "aac", "mp3", "flac", "opus", "pcm16")},
			}}.validate)},
			{"frequency_penalty", nullable(numberIn(-2, 2))},
			{"function_call", functionCallValidator()},
			{"functions", listOf(objectValidator{required: functionName(), optional: []field{
				{"description", isString},
				{"parameters", isObject},
			}}.validate, 1, maxTools)},
			{"logit_bias", nullable(mapOf(anything, integerIn(-maxLogitBias, maxLogitBias), math.MaxInt))},
			{"logprobs", nullable(isBoolean)},
			{"max_completion_tokens", nullable(integerIn(1, math.MaxInt32))},
			{"max_tokens", nullable(integerIn(1, math.MaxInt32))},
			{"metadata", metadataValidator()},
			{"modalities", nullable(listOf(oneOf("text", "audio"), 0, math.MaxInt))},
			{"moderation", nullable(moderationValidator())},
			{"n", nullable(integerIn(1, maxChoices))},
			{"parallel_tool_calls", isBoolean},
			{"prediction", nullable(tagged("type", map[string]validator{
				"content": objectValidator{required: []field{{"type", anything}, {"content", contentOf(textPart())}}}.validate,
			}))},
			{"presence_penalty", nullable(numberIn(-2, 2))},
			{"prompt_cache_key", nullable(isString)},
			{"prompt_cache_options", objectValidator{optional: []field{
				{"ttl", oneOf("30m")},
				{"mode", oneOf("implicit", "explicit")},
			}}.validate},
			{"prompt_cache_retention", nullable(oneOf("in_memory", "24h"))},
			{"reasoning_effort", nullable(oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max"))},
			{"response_format", responseFormatValidator()},
			{"safety_identifier", nullable(stringUpTo(maxIdentifier))},
			{"seed", nullable(isInteger)},
			{"service_tier", nullable(oneOf("auto", "default", "flex", "scale", "priority", "fast"))},
			{"stop", nullable(stringOr(listOf(isString, 1, maxStops)))},
			{"store", nullable(isBoolean)},
			{"stream", nullable(isBoolean)},
			{"stream_options", nullable(objectValidator{optional: []field{
				{"include_usage", isBoolean},
				{"include_obfuscation", isBoolean},
			}}.validate)},
			{"temperature", nullable(numberIn(0, 2))},
			{"tool_choice", toolChoiceValidator()},
			{"tools", listOf(toolValidator(), 0, maxTools)},
			{"top_logprobs", nullable(integerIn(0, maxTopLogprobs))},
			{"top_p", nullable(numberIn(0, 1))},
			{"user", isString},
			{"verbosity", nullable(oneOf("low", "medium", "high"))},
			{"web_search_options", objectValidator{optional: []field{
				{"user_location", nullable(userLocationValidator())},
				{"search_context_size", oneOf("low", "medium", "high")},
			}}.validate},
		},
	}
}

// updateValidator returns the validator for the body of POST /v1/chat/completions/{completion_id}.
func updateValidator() objectValidator {
	return objectValidator{required: []field{{"metadata", metadataValidator()}}}
}

func metadataValidator() validator {
	return nullable(mapOf(stringUpTo(maxMetadataKey), stringUpTo(maxMetadataValue), maxMetadata))
}

func moderationValidator() validator {
	config := nullable(objectValidator{required: []field{{"mode", oneOf("score", "block")}}}.validate)
	return objectValidator{
		required: []field{{"model", isString}},
		optional: []field{{"policy", nullable(objectValidator{optional: []field{
			{"input", config},
			{"output", config},
		}}.validate)}},
	}.validate
}

func userLocationValidator() validator {
	return tagged("type", map[string]validator{
		"approximate": objectValidator{required: []field{
			{"type", anything},
			{"approximate", objectValidator{optional: []field{
				{"country", isString},
				{"region", isString},
				{"city", isString},
				{"timezone", isString},
			}}.validate},
		}}.validate,
	})
}

func responseFormatValidator() validator {
	bare := objectValidator{required: []field{{"type", anything}}}.validate
	return tagged("type", map[string]validator{
		"text":        bare,
		"json_object": bare,
		"json_schema": objectValidator{required: []field{
			{"type", anything},
			{"json_schema", objectValidator{required: functionName(), optional: []field{
				{"description", isString},
				{"schema", isObject},
				{"strict", nullable(isBoolean)},
			}}.validate},
		}}.validate,
	})
}

// functionName returns the name field of a function, a tool or a response format.
func functionName() []field {
	pattern := regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	return []field{{"name", stringMatching(pattern, "1 to 64 letters, digits, underscores and dashes")}}
}

func toolValidator() validator {
	format := tagged("type", map[string]validator{
		"text": objectValidator{required: []field{{"type", anything}}}.validate,
		"grammar": objectValidator{required: []field{
			{"type", anything},
			{"grammar", objectValidator{required: []field{
				{"definition", isString},
				{"syntax", oneOf("lark", "regex")},
			}}.validate},
		}}.validate,
	})
	return tagged("type", map[string]validator{
		"function": objectValidator{required: []field{
			{"type", anything},
			{"function", objectValidator{required: functionName(), optional: []field{
				{"description", isString},
				{"parameters", isObject},
				{"strict", nullable(isBoolean)},
			}}.validate},
		}}.validate,
		"custom": objectValidator{required: []field{
			{"type", anything},
			{"custom", objectValidator{required: functionName(), optional: []field{
				{"description", isString},
				{"format", format},
			}}.validate},
		}}.validate,
	})
}

// namedObject accepts an object that refers to a function or a custom tool.
func namedObject() validator { return objectValidator{required: []field{{"name", isString}}}.validate }

func toolChoiceValidator() validator {
	modes := oneOf("none", "auto", "required")
	choices := tagged("type", map[string]validator{
		"function": objectValidator{required: []field{{"type", anything}, {"function", namedObject()}}}.validate,
		"custom":   objectValidator{required: []field{{"type", anything}, {"custom", namedObject()}}}.validate,
		"allowed_tools": objectValidator{required: []field{
			{"type", anything},
			{"allowed_tools", objectValidator{required: []field{
				{"mode", oneOf("auto", "required")},
				{"tools", listOf(isObject, 0, maxTools)},
			}}.validate},
		}}.validate,
	})
	return modeOr(modes, choices)
}

func functionCallValidator() validator { return modeOr(oneOf("none", "auto"), namedObject()) }

// modeOr accepts a string that modes accepts, or another value that other accepts.
func modeOr(modes, other validator) validator {
	return func(s strictness, path string, value any) error {
		if _, ok := value.(string); ok {
			return modes(s, path, value)
		}
		return other(s, path, value)
	}
}

// messageValidator accepts a message of the conversation.
func messageValidator() validator {
	return tagged("role", map[string]validator{
		"developer": plainMessage(contentOf(textPart()), "name"),
		"system":    plainMessage(contentOf(textPart()), "name"),
		"user":      plainMessage(contentOf(userPart()), "name"),
		"assistant": assistantValidator(),
		"tool": objectValidator{
			required: []field{{"role", anything}, {"content", contentOf(textPart())}, {"tool_call_id", isString}},
			// The specification has no name here, but OpenAI's examples sent one.
			optional: []field{{"name", isString}},
		}.validate,
		"function": objectValidator{required: []field{
			{"role", anything},
			{"content", nullable(isString)},
			{"name", isString},
		}}.validate,
	})
}

func plainMessage(content validator, optionalTexts ...string) validator {
	result := objectValidator{required: []field{{"role", anything}, {"content", content}}}
	for _, name := range optionalTexts {
		result.optional = append(result.optional, field{name, isString})
	}
	return result.validate
}

func assistantValidator() validator {
	call := objectValidator{required: []field{{"name", isString}, {"arguments", isString}}}.validate
	return objectValidator{
		required: []field{{"role", anything}},
		optional: []field{
			{"content", nullable(contentOf(assistantPart()))},
			{"refusal", nullable(isString)},
			{"name", isString},
			// A client sends back the assistant message of a response. Its audio has
			// more fields than a request needs, and it may have annotations.
			{"audio", nullable(objectValidator{required: []field{{"id", isString}}, optional: []field{
				{"data", isString},
				{"transcript", isString},
				{"expires_at", isInteger},
			}}.validate)},
			{"annotations", nullable(listOf(isObject, 0, math.MaxInt))},
			{"tool_calls", nullable(listOf(tagged("type", map[string]validator{
				"function": objectValidator{required: []field{{"id", isString}, {"type", anything}, {"function", call}}}.validate,
				"custom": objectValidator{required: []field{{"id", isString}, {"type", anything}, {
					"custom",
					objectValidator{required: []field{{"name", isString}, {"input", isString}}}.validate,
				}}}.validate,
			}), 0, math.MaxInt))},
			{"function_call", nullable(call)},
		},
	}.validate
}

// contentOf accepts a string, or at least one part.
func contentOf(part validator) validator { return stringOr(listOf(part, 1, math.MaxInt)) }

func textPart() validator {
	return tagged("type", map[string]validator{"text": part("text", isString)})
}

func assistantPart() validator {
	return tagged("type", map[string]validator{
		"text":    part("text", isString),
		"refusal": objectValidator{required: []field{{"type", anything}, {"refusal", isString}}}.validate,
	})
}

func userPart() validator {
	return tagged("type", map[string]validator{
		"text": part("text", isString),
		"image_url": part("image_url", objectValidator{
			required: []field{{"url", isString}},
			optional: []field{{"detail", oneOf("auto", "low", "high")}},
		}.validate),
		"input_audio": part("input_audio", objectValidator{required: []field{
			{"data", isString},
			{"format", oneOf("wav", "mp3")},
		}}.validate),
		"file": part("file", objectValidator{optional: []field{
			{"filename", isString},
			{"file_data", isString},
			{"file_id", isString},
		}}.validate),
	})
}

// part accepts a content part. Its type is also the name of the field with the payload.
func part(kind string, payload validator) validator {
	return objectValidator{
		required: []field{{"type", anything}, {kind, payload}},
		optional: []field{{"prompt_cache_breakpoint", objectValidator{required: []field{
			{"mode", oneOf("explicit")},
		}}.validate}},
	}.validate
}
