package sdk_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// schemas are JSON Schemas that answers can be made for, whose members stand in
// no order of the alphabet in the second.
func schemas() []jsontree.Value {
	return []jsontree.Value{
		parsed(`{"properties":{"city":{"type":"string"},"days":{"maximum":9,"minimum":2,"type":"integer"}},"required":["city"],"type":"object"}`),
		parsed(`{"type":"object","properties":{"zone":{"enum":["ö","b"]},"at":{"type":"array","items":{"type":"number"}}}}`),
		parsed(`{}`),
	}
}

// obeying returns a request that keeps what the upstream asks of a request
// beyond the specification's schema, mostly: how members go together.
func obeying(r jsontree.Random, v jsontree.Value) jsontree.Value {
	v = without(v, "stream")
	if textOf(v, "model") == "" {
		v = with(v, "model", text("m"))
	}
	v = limited(r, v)
	v = tooled(r, v)
	v = spoken(r, v)
	v = edited(v, "messages", conversation)
	v = edited(v, "response_format", func(format jsontree.Value) jsontree.Value {
		return edited(format, "json_schema", func(v jsontree.Value) jsontree.Value { return declared(r, "format", "schema", v) })
	})
	if format, _ := v.Find("response_format"); textOf(format, "type") == "json_object" {
		v = edited(v, "messages", func(list jsontree.Value) jsontree.Value {
			list.Items = append(slices.Clone(list.Items), parsed(`{"role":"developer","content":"Answer in JSON."}`))
			return list
		})
	}
	if r.Chance(0.5) {
		v = edited(v, "moderation", func(v jsontree.Value) jsontree.Value {
			if v.Kind != jsontree.Object {
				return v
			}
			return with(v, "model", text("omni-moderation-latest"))
		})
	}
	return v
}

// limited keeps to the upstream's limits, and makes its answer no longer than it
// takes.
func limited(r jsontree.Random, v jsontree.Value) jsontree.Value {
	if n, _ := v.Find("n"); len(n.Text) > 1 && n.Kind == jsontree.Number {
		v = with(v, "n", number(strconv.Itoa(1+r.IntN(3))))
	}
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		v = edited(v, name, func(limit jsontree.Value) jsontree.Value {
			if n, err := strconv.Atoi(limit.Text); err != nil || n < 1 || n > 10_000 {
				return number(strconv.Itoa(1 + r.IntN(500)))
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
				bias.Members[i].Value = number("-100")
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

// has reports whether a member is there and not null.
func has(v jsontree.Value, name string) bool {
	value, there := v.Find(name)
	return there && value.Kind != jsontree.Null
}

// declared gives a function, or what is declared like one, a name and a schema
// that the upstream takes.
func declared(r jsontree.Random, name, schema string, v jsontree.Value) jsontree.Value {
	v = with(v, "name", text(name))
	if r.Chance(0.5) {
		return edited(v, schema, func(jsontree.Value) jsontree.Value { return jsontree.Pick(r, schemas()...) })
	}
	return v
}

// tooled lets what is said of tools and functions be of those that are there.
func tooled(r jsontree.Random, v jsontree.Value) jsontree.Value {
	tools, _ := v.Find("tools")
	if len(tools.Items) > 0 {
		v = without(v, "functions", "function_call")
	} else {
		v = without(v, "tool_choice", "parallel_tool_calls")
	}
	var references []jsontree.Value
	v = edited(v, "tools", eachItem(func(i int, tool jsontree.Value) jsontree.Value {
		kind, name := textOf(tool, "type"), fmt.Sprintf("tool-%d", i)
		references = append(references, parsed(fmt.Sprintf(`{"type":%q,%q:{"name":%q}}`, kind, kind, name)))
		return edited(tool, kind, func(v jsontree.Value) jsontree.Value { return declared(r, name, "parameters", v) })
	}))
	v = edited(v, "functions", eachItem(func(i int, function jsontree.Value) jsontree.Value {
		return declared(r, fmt.Sprintf("function_%d", i), "parameters", function)
	}))
	if functions, _ := v.Find("functions"); len(functions.Items) == 0 {
		v = without(v, "functions", "function_call")
	}
	v = edited(v, "function_call", func(choice jsontree.Value) jsontree.Value {
		if choice.Kind == jsontree.Object {
			return with(choice, "name", text("function_0"))
		}
		return choice
	})
	return edited(v, "tool_choice", func(choice jsontree.Value) jsontree.Value {
		switch {
		case choice.Kind != jsontree.Object:
			return choice
		case textOf(choice, "type") == "allowed_tools":
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

// spoken lets there be speech where it is described, and only there.
func spoken(r jsontree.Random, v jsontree.Value) jsontree.Value {
	if !has(v, "audio") {
		return edited(v, "modalities", func(jsontree.Value) jsontree.Value { return parsed(`["text"]`) })
	}
	v = with(v, "modalities", parsed(jsontree.Pick(r, `["audio"]`, `["text","audio"]`)))
	return edited(v, "audio", func(audio jsontree.Value) jsontree.Value {
		return with(audio, "format", text(jsontree.Pick(r, "pcm16", "pcm16", "pcm16", "wav")))
	})
}

// conversation lets each tool call be answered, and each answer be one of a
// call, and everyone say something.
func conversation(list jsontree.Value) jsontree.Value {
	var messages []jsontree.Value
	for _, message := range list.Items {
		role := textOf(message, "role")
		if role == "tool" {
			continue // Those of the calls come below.
		}
		calls, _ := message.Find("tool_calls")
		if role == "assistant" && len(calls.Items) == 0 &&
			!has(message, "content") && !has(message, "refusal") && !has(message, "audio") && !has(message, "function_call") {
			message = with(message, "content", text("Yes."))
		}
		messages = append(messages, message)
		var answered []string
		for _, call := range calls.Items {
			id := textOf(call, "id")
			if role != "assistant" || slices.Contains(answered, id) {
				continue
			}
			answered = append(answered, id)
			answer := parsed(`{"role":"tool","content":"` + strings.Repeat("It is so. ", len(answered)) + `"}`)
			messages = append(messages, with(answer, "tool_call_id", text(id)))
		}
	}
	if len(messages) == 0 {
		messages = append(messages, parsed(`{"role":"user","content":"Hello!"}`))
	}
	list.Items = messages
	return list
}
