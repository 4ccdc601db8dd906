package sdk_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// schemas returns JSON Schemas that the upstream can generate a response for. The
// members of the second are not in alphabetical order.
func schemas() []jsontree.Value {
	return []jsontree.Value{
		mustParse(`{"properties":{"city":{"type":"string"},"days":{"maximum":9,"minimum":2,"type":"integer"}},"required":["city"],"type":"object"}`),
		mustParse(`{"type":"object","properties":{"zone":{"enum":["ö","b"]},"at":{"type":"array","items":{"type":"number"}}}}`),
		mustParse(`{}`),
	}
}

// makeValid returns a request that usually satisfies the upstream's constraints beyond
// the schema, such as dependencies between members.
func makeValid(r jsontree.Random, v jsontree.Value) jsontree.Value {
	v = without(v, "stream")
	if stringField(v, "model") == "" {
		v = with(v, "model", stringValue("m"))
	}
	v = fixLimits(r, v)
	v = fixTools(r, v)
	v = fixAudio(r, v)
	v = edited(v, "messages", fixMessages)
	v = edited(v, "response_format", func(format jsontree.Value) jsontree.Value {
		return edited(format, "json_schema", func(v jsontree.Value) jsontree.Value { return fixDeclaration(r, "format", "schema", v) })
	})
	if format, _ := v.Find("response_format"); stringField(format, "type") == "json_object" {
		v = edited(v, "messages", func(list jsontree.Value) jsontree.Value {
			list.Items = append(slices.Clone(list.Items), mustParse(`{"role":"developer","content":"Answer in JSON."}`))
			return list
		})
	}
	if r.Chance(0.5) {
		v = edited(v, "moderation", func(v jsontree.Value) jsontree.Value {
			if v.Kind != jsontree.Object {
				return v
			}
			return with(v, "model", stringValue("omni-moderation-latest"))
		})
	}
	return v
}

// fixLimits makes a request satisfy the upstream's limits and bounds the size of the
// response.
func fixLimits(r jsontree.Random, v jsontree.Value) jsontree.Value {
	if n, _ := v.Find("n"); len(n.Text) > 1 && n.Kind == jsontree.Number {
		v = with(v, "n", numberValue(strconv.Itoa(1+r.IntN(3))))
	}
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		v = edited(v, name, func(limit jsontree.Value) jsontree.Value {
			if n, err := strconv.Atoi(limit.Text); err != nil || n < 1 || n > 10_000 {
				return numberValue(strconv.Itoa(1 + r.IntN(500)))
			}
			return limit
		})
	}
	if has(v, "max_completion_tokens") && has(v, "max_tokens") {
		v = without(v, jsontree.Pick(r, "max_tokens", "max_completion_tokens"))
	}
	if has(v, "top_logprobs") {
		v = with(v, "logprobs", jsontree.Scalar(jsontree.Bool, "true"))
	}
	v = edited(v, "logit_bias", func(bias jsontree.Value) jsontree.Value {
		bias.Members = slices.Clone(bias.Members)
		for i, m := range bias.Members {
			if n, err := strconv.Atoi(m.Value.Text); err != nil || n < -100 || n > 100 {
				bias.Members[i].Value = numberValue("-100")
			}
		}
		return bias
	})
	return edited(v, "metadata", func(pairs jsontree.Value) jsontree.Value {
		pairs.Members = slices.DeleteFunc(slices.Clone(pairs.Members), func(m jsontree.Member) bool {
			return utf8.RuneCountInString(jsontree.Unquote(m.Name)) > 64 || utf8.RuneCountInString(jsontree.Unquote(m.Value.Text)) > 512
		})
		pairs.Members = pairs.Members[:min(len(pairs.Members), 16)]
		return pairs
	})
}

// has reports whether a member is present and not null.
func has(v jsontree.Value, name string) bool {
	value, there := v.Find(name)
	return there && value.Kind != jsontree.Null
}

// fixDeclaration gives a function or a similar declaration a valid name and schema.
func fixDeclaration(r jsontree.Random, name, schema string, v jsontree.Value) jsontree.Value {
	v = with(v, "name", stringValue(name))
	if r.Chance(0.5) {
		return edited(v, schema, func(jsontree.Value) jsontree.Value { return jsontree.Pick(r, schemas()...) })
	}
	return v
}

// fixTools makes references to tools and functions valid.
func fixTools(r jsontree.Random, v jsontree.Value) jsontree.Value {
	tools, _ := v.Find("tools")
	if len(tools.Items) > 0 {
		v = without(v, "functions", "function_call")
	} else {
		v = without(v, "tool_choice", "parallel_tool_calls")
	}
	var references []jsontree.Value
	v = edited(v, "tools", eachItem(func(i int, tool jsontree.Value) jsontree.Value {
		kind, name := stringField(tool, "type"), fmt.Sprintf("tool-%d", i)
		references = append(references, mustParse(fmt.Sprintf(`{"type":%q,%q:{"name":%q}}`, kind, kind, name)))
		return edited(tool, kind, func(v jsontree.Value) jsontree.Value { return fixDeclaration(r, name, "parameters", v) })
	}))
	v = edited(v, "functions", eachItem(func(i int, function jsontree.Value) jsontree.Value {
		return fixDeclaration(r, fmt.Sprintf("function_%d", i), "parameters", function)
	}))
	if functions, _ := v.Find("functions"); len(functions.Items) == 0 {
		v = without(v, "functions", "function_call")
	}
	v = edited(v, "function_call", func(choice jsontree.Value) jsontree.Value {
		if choice.Kind == jsontree.Object {
			return with(choice, "name", stringValue("function_0"))
		}
		return choice
	})
	return edited(v, "tool_choice", func(choice jsontree.Value) jsontree.Value {
		switch {
		case choice.Kind != jsontree.Object:
			return choice
		case stringField(choice, "type") == "allowed_tools":
			return edited(choice, "allowed_tools", func(v jsontree.Value) jsontree.Value {
				return edited(v, "tools", func(list jsontree.Value) jsontree.Value {
					list.Items = references[:1+r.IntN(len(references))]
					return list
				})
			})
		default:
			return jsontree.Pick(r, references...)
		}
	})
}

// fixAudio makes the modalities match the presence of the audio parameters.
func fixAudio(r jsontree.Random, v jsontree.Value) jsontree.Value {
	if !has(v, "audio") {
		return edited(v, "modalities", func(jsontree.Value) jsontree.Value { return mustParse(`["text"]`) })
	}
	v = with(v, "modalities", mustParse(jsontree.Pick(r, `["audio"]`, `["text","audio"]`)))
	return edited(v, "audio", func(audio jsontree.Value) jsontree.Value {
		return with(audio, "format", stringValue(jsontree.Pick(r, "pcm16", "pcm16", "pcm16", "wav")))
	})
}

// fixMessages adds a tool message for each tool call, removes other tool messages and
// fills empty assistant messages.
func fixMessages(list jsontree.Value) jsontree.Value {
	var messages []jsontree.Value
	for _, message := range list.Items {
		role := stringField(message, "role")
		if role == "tool" {
			continue // Matching tool messages are added below.
		}
		calls, _ := message.Find("tool_calls")
		if role == "assistant" && len(calls.Items) == 0 &&
			!has(message, "content") && !has(message, "refusal") && !has(message, "audio") && !has(message, "function_call") {
			message = with(message, "content", stringValue("Yes."))
		}
		messages = append(messages, message)
		var answered []string
		for _, call := range calls.Items {
			id := stringField(call, "id")
			if role != "assistant" || slices.Contains(answered, id) {
				continue
			}
			answered = append(answered, id)
			response := mustParse(`{"role":"tool","content":"` + strings.Repeat("It is so. ", len(answered)) + `"}`)
			messages = append(messages, with(response, "tool_call_id", stringValue(id)))
		}
	}
	if len(messages) == 0 {
		messages = append(messages, mustParse(`{"role":"user","content":"Hello!"}`))
	}
	list.Items = messages
	return list
}
