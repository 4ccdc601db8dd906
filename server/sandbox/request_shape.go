package sandbox

import (
	"math"
	"regexp"
)

// Limits of OpenAI's that their specification tells in words.
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

// completionShape is the body of POST /v1/chat/completions.
func completionShape() record {
	return record{
		required: []field{
			{"messages", listOf(messageShape(), 1, math.MaxInt)},
			{"model", isText},
		},
		optional: []field{
			{"audio", nullable(record{required: []field{
				{"voice", textOr(record{required: []field{{"id", isText}}}.check)},
				{"format", oneOf("wav", "aac", "mp3", "flac", "opus", "pcm16")},
			}}.check)},
			{"frequency_penalty", nullable(numberIn(-2, 2))},
			{"function_call", functionCallShape()},
			{"functions", listOf(record{required: functionName(), optional: []field{
				{"description", isText},
				{"parameters", isObject},
			}}.check, 1, maxTools)},
			{"logit_bias", nullable(mapOf(anything, integerIn(-maxLogitBias, maxLogitBias), math.MaxInt))},
			{"logprobs", nullable(isBoolean)},
			{"max_completion_tokens", nullable(integerIn(1, math.MaxInt32))},
			{"max_tokens", nullable(integerIn(1, math.MaxInt32))},
			{"metadata", metadataShape()},
			{"modalities", nullable(listOf(oneOf("text", "audio"), 0, math.MaxInt))},
			{"moderation", nullable(moderationShape())},
			{"n", nullable(integerIn(1, maxChoices))},
			{"parallel_tool_calls", isBoolean},
			{"prediction", nullable(tagged("type", map[string]shape{
				"content": record{required: []field{{"type", anything}, {"content", contentOf(textPart())}}}.check,
			}))},
			{"presence_penalty", nullable(numberIn(-2, 2))},
			{"prompt_cache_key", nullable(isText)},
			{"prompt_cache_options", record{optional: []field{
				{"ttl", oneOf("30m")},
				{"mode", oneOf("implicit", "explicit")},
			}}.check},
			{"prompt_cache_retention", nullable(oneOf("in_memory", "24h"))},
			{"reasoning_effort", nullable(oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max"))},
			{"response_format", responseFormatShape()},
			{"safety_identifier", nullable(textUpTo(maxIdentifier))},
			{"seed", nullable(isInteger)},
			{"service_tier", nullable(oneOf("auto", "default", "flex", "scale", "priority", "fast"))},
			{"stop", nullable(textOr(listOf(isText, 1, maxStops)))},
			{"store", nullable(isBoolean)},
			{"stream", nullable(isBoolean)},
			{"stream_options", nullable(record{optional: []field{
				{"include_usage", isBoolean},
				{"include_obfuscation", isBoolean},
			}}.check)},
			{"temperature", nullable(numberIn(0, 2))},
			{"tool_choice", toolChoiceShape()},
			{"tools", listOf(toolShape(), 0, maxTools)},
			{"top_logprobs", nullable(integerIn(0, maxTopLogprobs))},
			{"top_p", nullable(numberIn(0, 1))},
			{"user", isText},
			{"verbosity", nullable(oneOf("low", "medium", "high"))},
			{"web_search_options", record{optional: []field{
				{"user_location", nullable(userLocationShape())},
				{"search_context_size", oneOf("low", "medium", "high")},
			}}.check},
		},
	}
}

// updateShape is the body of POST /v1/chat/completions/{completion_id}.
func updateShape() record {
	return record{required: []field{{"metadata", metadataShape()}}}
}

func metadataShape() shape {
	return nullable(mapOf(textUpTo(maxMetadataKey), textUpTo(maxMetadataValue), maxMetadata))
}

func moderationShape() shape {
	config := nullable(record{required: []field{{"mode", oneOf("score", "block")}}}.check)
	return record{
		required: []field{{"model", isText}},
		optional: []field{{"policy", nullable(record{optional: []field{
			{"input", config},
			{"output", config},
		}}.check)}},
	}.check
}

func userLocationShape() shape {
	return tagged("type", map[string]shape{
		"approximate": record{required: []field{
			{"type", anything},
			{"approximate", record{optional: []field{
				{"country", isText},
				{"region", isText},
				{"city", isText},
				{"timezone", isText},
			}}.check},
		}}.check,
	})
}

func responseFormatShape() shape {
	bare := record{required: []field{{"type", anything}}}.check
	return tagged("type", map[string]shape{
		"text":        bare,
		"json_object": bare,
		"json_schema": record{required: []field{
			{"type", anything},
			{"json_schema", record{required: functionName(), optional: []field{
				{"description", isText},
				{"schema", isObject},
				{"strict", nullable(isBoolean)},
			}}.check},
		}}.check,
	})
}

// functionName is the name of a function, a tool or a response format.
func functionName() []field {
	pattern := regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	return []field{{"name", textLike(pattern, "1 to 64 letters, digits, underscores and dashes")}}
}

func toolShape() shape {
	format := tagged("type", map[string]shape{
		"text": record{required: []field{{"type", anything}}}.check,
		"grammar": record{required: []field{
			{"type", anything},
			{"grammar", record{required: []field{
				{"definition", isText},
				{"syntax", oneOf("lark", "regex")},
			}}.check},
		}}.check,
	})
	return tagged("type", map[string]shape{
		"function": record{required: []field{
			{"type", anything},
			{"function", record{required: functionName(), optional: []field{
				{"description", isText},
				{"parameters", isObject},
				{"strict", nullable(isBoolean)},
			}}.check},
		}}.check,
		"custom": record{required: []field{
			{"type", anything},
			{"custom", record{required: functionName(), optional: []field{
				{"description", isText},
				{"format", format},
			}}.check},
		}}.check,
	})
}

// named is the object that names a function or a custom tool.
func named() shape { return record{required: []field{{"name", isText}}}.check }

func toolChoiceShape() shape {
	modes := oneOf("none", "auto", "required")
	choices := tagged("type", map[string]shape{
		"function": record{required: []field{{"type", anything}, {"function", named()}}}.check,
		"custom":   record{required: []field{{"type", anything}, {"custom", named()}}}.check,
		"allowed_tools": record{required: []field{
			{"type", anything},
			{"allowed_tools", record{required: []field{
				{"mode", oneOf("auto", "required")},
				{"tools", listOf(isObject, 0, maxTools)},
			}}.check},
		}}.check,
	})
	return modeOr(modes, choices)
}

func functionCallShape() shape { return modeOr(oneOf("none", "auto"), named()) }

// modeOr is a string out of a closed set, or else a shape.
func modeOr(modes, other shape) shape {
	return func(c check, path string, value any) error {
		if _, ok := value.(string); ok {
			return modes(c, path, value)
		}
		return other(c, path, value)
	}
}

// messageShape is one message of the conversation.
func messageShape() shape {
	return tagged("role", map[string]shape{
		"developer": plainMessage(contentOf(textPart()), "name"),
		"system":    plainMessage(contentOf(textPart()), "name"),
		"user":      plainMessage(contentOf(userPart()), "name"),
		"assistant": assistantShape(),
		"tool": record{
			required: []field{{"role", anything}, {"content", contentOf(textPart())}, {"tool_call_id", isText}},
			// The specification has no name here; OpenAI's own examples sent one.
			optional: []field{{"name", isText}},
		}.check,
		"function": record{required: []field{
			{"role", anything},
			{"content", nullable(isText)},
			{"name", isText},
		}}.check,
	})
}

func plainMessage(content shape, optionalTexts ...string) shape {
	result := record{required: []field{{"role", anything}, {"content", content}}}
	for _, name := range optionalTexts {
		result.optional = append(result.optional, field{name, isText})
	}
	return result.check
}

func assistantShape() shape {
	call := record{required: []field{{"name", isText}, {"arguments", isText}}}.check
	return record{
		required: []field{{"role", anything}},
		optional: []field{
			{"content", nullable(contentOf(assistantPart()))},
			{"refusal", nullable(isText)},
			{"name", isText},
			// A reply's audio has more members than a request needs, and
			// annotations are a reply's alone: both go back up with it.
			{"audio", nullable(record{required: []field{{"id", isText}}, optional: []field{
				{"data", isText},
				{"transcript", isText},
				{"expires_at", isInteger},
			}}.check)},
			{"annotations", nullable(listOf(isObject, 0, math.MaxInt))},
			{"tool_calls", nullable(listOf(tagged("type", map[string]shape{
				"function": record{required: []field{{"id", isText}, {"type", anything}, {"function", call}}}.check,
				"custom": record{required: []field{{"id", isText}, {"type", anything}, {
					"custom",
					record{required: []field{{"name", isText}, {"input", isText}}}.check,
				}}}.check,
			}), 0, math.MaxInt))},
			{"function_call", nullable(call)},
		},
	}.check
}

// contentOf is text, or at least one part.
func contentOf(part shape) shape { return textOr(listOf(part, 1, math.MaxInt)) }

func textPart() shape { return tagged("type", map[string]shape{"text": part("text", isText)}) }

func assistantPart() shape {
	return tagged("type", map[string]shape{
		"text":    part("text", isText),
		"refusal": record{required: []field{{"type", anything}, {"refusal", isText}}}.check,
	})
}

func userPart() shape {
	return tagged("type", map[string]shape{
		"text": part("text", isText),
		"image_url": part("image_url", record{
			required: []field{{"url", isText}},
			optional: []field{{"detail", oneOf("auto", "low", "high")}},
		}.check),
		"input_audio": part("input_audio", record{required: []field{
			{"data", isText},
			{"format", oneOf("wav", "mp3")},
		}}.check),
		"file": part("file", record{optional: []field{
			{"filename", isText},
			{"file_data", isText},
			{"file_id", isText},
		}}.check),
	})
}

// part is a content part, whose type is also the name of the member with its payload.
func part(kind string, payload shape) shape {
	return record{
		required: []field{{"type", anything}, {kind, payload}},
		optional: []field{{"prompt_cache_breakpoint", record{required: []field{
			{"mode", oneOf("explicit")},
		}}.check}},
	}.check
}
