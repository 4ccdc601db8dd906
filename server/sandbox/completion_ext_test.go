package sandbox_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestSandbox_QuotesConversation(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	const call = `{"role":"assistant","tool_calls":[{"id":"a","type":"function",` +
		`"function":{"name":"weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"18 °C"}`
	for name, row := range map[string]struct{ body, want string }{
		"the reply has an introduction and a quotation": {
			userRequest("Hello!"),
			`This is the sandbox: no model, no key, no network. You said: "Hello!"`,
		},
		"low verbosity omits the introduction": {
			userRequest("Hello!", `"verbosity":"low"`),
			`You said: "Hello!"`,
		},
		"attachments are counted": {
			`{"model":"m","verbosity":"low","messages":[{"role":"user","content":[{"type":"text","text":"Look"},` +
				`{"type":"image_url","image_url":{"url":"data:,"}},{"type":"image_url","image_url":{"url":"data:,"}},` +
				`{"type":"file","file":{"file_id":"f"}},` +
				`{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]}`,
			`You said: "Look" With it came 2 images, 1 audio clip and 1 file.`,
		},
		"the last user message is quoted": {
			`{"model":"m","verbosity":"low","messages":[{"role":"user","content":"one"},` +
				`{"role":"assistant","content":"x"},{"role":"user","content":"two"}]}`,
			`You said: "two"`,
		},
		"tool messages are quoted": {
			`{"model":"m","verbosity":"low","messages":[{"role":"user","content":"?"},` + call + `],` +
				`"tools":[{"type":"function","function":{"name":"weather"}}]}`,
			`The tool answered: "18 °C"`,
		},
		"a conversation without a user message is valid": {
			`{"model":"m","verbosity":"low","messages":[{"role":"system","content":"Be kind."}]}`,
			`There is no user message to answer.`,
		},
		"a long message is truncated": {
			userRequest(strings.Repeat("ä", 2000), `"verbosity":"low"`),
			`You said: "` + strings.Repeat("ä", 1000) + `…"`,
		},
		"text ends before its first stop sequence": {
			userRequest("one two three", `"verbosity":"low"`, `"stop":["three","two","never"]`),
			`You said: "one `,
		},
		"a stop sequence can be a string": {
			userRequest("one two", `"verbosity":"low"`, `"stop":" two"`),
			`You said: "one`,
		},
		"a prediction is repeated": {
			userRequest("?", `"verbosity":"low"`, `"prediction":{"type":"content","content":"As it was."}`),
			"As it was.\n\nYou said: \"?\"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := content(t, create(t, server, row.body)); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// TestSandbox_SetsFinishReason covers each finish reason, and how tokens count towards
// limits.
func TestSandbox_SetsFinishReason(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	const tools = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object",` +
		`"properties":{"city":{"type":"string"}}}}}]`
	for name, row := range map[string]struct {
		body    string
		headers []string
		want    string
		tokens  string // completion_tokens, or empty
	}{
		"stop at the end of the text":             {body: userRequest("Hi"), want: "stop"},
		"stop at a stop sequence":                 {body: userRequest("Hi", `"stop":"sandbox"`), want: "stop", tokens: "4"},
		"length at max_completion_tokens":         {body: userRequest("Hi", `"max_completion_tokens":5`), want: "length", tokens: "5"},
		"length at max_tokens":                    {body: userRequest("Hi", `"max_tokens":1`), want: "length", tokens: "1"},
		"stop within the limit":                   {body: userRequest("Hi", `"max_tokens":100`), want: "stop"},
		"reasoning counts against the limit":      {body: userRequest("Hi", `"max_tokens":20,"reasoning_effort":"low"`), want: "length", tokens: "20"},
		"reasoning can reach the limit":           {body: userRequest("Hi", `"max_tokens":9,"reasoning_effort":"high"`), want: "length", tokens: "9"},
		"tool_calls":                              {body: userRequest("Hi", tools), want: "tool_calls"},
		"length within tool arguments":            {body: userRequest("Hi", tools, `"max_tokens":2`), want: "length", tokens: "2"},
		"function_call":                           {body: userRequest("Hi", `"functions":[{"name":"f"}]`), want: "function_call"},
		"content_filter on request":               {body: userRequest("Hi"), headers: []string{"x-sandbox-answer", "content-filter"}, want: "content_filter"},
		"stop after a refusal":                    {body: userRequest("Hi"), headers: []string{"x-sandbox-answer", "refusal"}, want: "stop"},
		"length in text of a requested length":    {body: userRequest("Hi", `"max_tokens":50`), headers: []string{"x-sandbox-tokens", "99"}, want: "length", tokens: "50"},
		"stop at the end of the requested length": {body: userRequest("Hi"), headers: []string{"x-sandbox-tokens", "5000"}, want: "stop", tokens: "5000"},
		"content_filter for blocked input": {
			body: userRequest("violence", `"moderation":{"model":"omni-moderation-latest","policy":{"input":{"mode":"block"}}}`),
			want: "content_filter", tokens: "0",
		},
		"stop with a policy that only scores": {
			body: userRequest("violence", `"moderation":{"model":"omni-moderation-latest","policy":{"output":{"mode":"score"}}}`),
			want: "stop",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, row.body, row.headers...)
			content(t, r)
			got := decode(t, r.body)
			if reason := lookup(t, got, "choices", 0, "finish_reason"); reason != row.want {
				t.Errorf("finish_reason %v, want %s", reason, row.want)
			}
			if count := fmt.Sprint(lookup(t, got, "usage", "completion_tokens")); row.tokens != "" && count != row.tokens {
				t.Errorf("completion_tokens %s, want %s", count, row.tokens)
			}
		})
	}
}

// TestSandbox_CallsTools checks which tools are called, and in which order.
func TestSandbox_CallsTools(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	const (
		three = `"tools":[{"type":"function","function":{"name":"weather"}},` +
			`{"type":"custom","custom":{"name":"shell"}},{"type":"function","function":{"name":"clock"}}]`
		legacy = `"functions":[{"name":"weather"},{"name":"clock"}]`
	)
	for name, row := range map[string]struct {
		body string
		want []string
	}{
		"auto calls the first":                      {userRequest("Hi", three), []string{"weather"}},
		"auto calls a mentioned tool":               {userRequest("run shell", three), []string{"shell"}},
		"auto calls all mentioned tools":            {userRequest("clock, weather", three), []string{"weather", "clock"}},
		"one call without parallel calls":           {userRequest("clock, weather", three, `"parallel_tool_calls":false`), []string{"weather"}},
		"none calls none":                           {userRequest("weather", three, `"tool_choice":"none"`), nil},
		"required calls two":                        {userRequest("Hi", three, `"tool_choice":"required"`), []string{"weather", "shell"}},
		"required without parallel calls calls one": {userRequest("Hi", three, `"tool_choice":"required","parallel_tool_calls":false`), []string{"weather"}},
		"a named function is called":                {userRequest("weather", three, `"tool_choice":{"type":"function","function":{"name":"clock"}}`), []string{"clock"}},
		"a named custom tool is called":             {userRequest("Hi", three, `"tool_choice":{"type":"custom","custom":{"name":"shell"}}`), []string{"shell"}},
		"auto calls only allowed tools":             {userRequest("weather", three, `"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"clock"}}]}}`), []string{"clock"}},
		"required calls only allowed tools":         {userRequest("Hi", three, `"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"custom","custom":{"name":"shell"}},{"type":"function","function":{"name":"clock"}}]}}`), []string{"shell", "clock"}},
		"only one deprecated function is called":    {userRequest("clock weather", legacy), []string{"weather"}},
		"a deprecated function can be named":        {userRequest("Hi", legacy, `"function_call":{"name":"clock"}`), []string{"clock"}},
		"none calls no deprecated function":         {userRequest("Hi", legacy, `"function_call":"none"`), nil},
		"no call follows a tool message":            {`{"model":"m",` + three + `,"messages":[{"role":"user","content":"weather"},{"role":"assistant","tool_calls":[{"id":"1","type":"custom","custom":{"name":"shell","input":""}}]},{"role":"tool","tool_call_id":"1","content":"ok"}]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, row.body)
			content(t, r)
			message := lookup(t, decode(t, r.body), "choices", 0, "message").(map[string]any)
			var got []string
			if one, ok := message["function_call"].(map[string]any); ok {
				got = append(got, one["name"].(string))
			}
			calls, _ := message["tool_calls"].([]any)
			ids := map[any]bool{}
			for _, each := range calls {
				call := each.(map[string]any)
				payload := call[call["type"].(string)].(map[string]any)
				got = append(got, payload["name"].(string))
				ids[call["id"]] = true
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("called %q, want %q", got, row.want)
			}
			if len(ids) != len(calls) {
				t.Errorf("%d calls have %d different IDs", len(calls), len(ids))
			}
			if hasText := message["content"] != nil; hasText != (row.want == nil) {
				t.Errorf("content is %v", message["content"])
			}
		})
	}
}

func TestSandbox_PreservesSchemaOrderInStructuredOutput(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	format := func(schema string) string {
		return `"response_format":{"type":"json_schema","json_schema":{"name":"s","strict":true,"schema":` + schema + `}}`
	}
	for name, row := range map[string]struct{ body, want string }{
		"properties keep their order": {
			userRequest("?", format(`{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"},`+
				`"m":{"type":"boolean"}},"required":["a","m","z"],"additionalProperties":false}`)),
			`{"z":"sample z","a":1,"m":true}`,
		},
		"recursive references end": {
			userRequest("?", format(`{"type":"object","properties":{"head":{"$ref":"#/$defs/node"}},"$defs":{"node":{`+
				`"type":"object","properties":{"value":{"enum":["x","y"]},"next":{"anyOf":[{"$ref":"#/$defs/node"},`+
				`{"type":"null"}]}},"required":["value","next"]}}}`)),
			`{"head":{"value":"x","next":null}}`,
		},
		"a json_object contains the reply": {
			userRequest("As JSON, please", `"verbosity":"low"`, `"response_format":{"type":"json_object"}`),
			`{"message":"You said: \"As JSON, please\""}`,
		},
		"the default schema yields an empty object": {
			userRequest("?", `"response_format":{"type":"json_schema","json_schema":{"name":"s"}}`),
			`{}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := content(t, create(t, server, row.body)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestSandbox_ReturnsDistinctChoices(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	r := create(t, server, userRequest("Hi", `"n":128`))
	content(t, r)
	choices := lookup(t, decode(t, r.body), "choices").([]any)
	texts := map[any]bool{}
	for i, each := range choices {
		if got := fmt.Sprint(lookup(t, each, "index")); got != strconv.Itoa(i) {
			t.Errorf("choice %d has index %s", i, got)
		}
		texts[lookup(t, each, "message", "content")] = true
	}
	if len(choices) != 128 || len(texts) != 128 {
		t.Errorf("got %d choices with %d different texts", len(choices), len(texts))
	}
}

func TestSandbox_ReturnsLogprobs(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	r := create(t, server, userRequest("Grüße", `"logprobs":true,"top_logprobs":3`))
	text := content(t, r)
	list := lookup(t, decode(t, r.body), "choices", 0, "logprobs", "content").([]any)
	var joined []byte
	for _, each := range list {
		top := lookup(t, each, "top_logprobs").([]any)
		if len(top) != 3 || lookup(t, top[0], "token") != lookup(t, each, "token") {
			t.Errorf("the first of %v is not the token", top)
		}
		for _, number := range lookup(t, each, "bytes").([]any) {
			value, _ := number.(json.Number).Int64()
			joined = append(joined, byte(value))
		}
	}
	if string(joined) != text {
		t.Errorf("the tokens' bytes are %q, the text is %q", joined, text)
	}
	refused := create(t, server, userRequest("Hi", `"logprobs":true`), "x-sandbox-answer", "refusal")
	probabilities := lookup(t, decode(t, refused.body), "choices", 0, "logprobs").(map[string]any)
	if probabilities["content"] != nil || probabilities["refusal"] == nil {
		t.Errorf("the logprobs of a refusal are %v", probabilities)
	}
}

func TestSandbox_CountsUsage(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	r := create(t, server, `{"model":"m","verbosity":"low","prompt_cache_key":"k","reasoning_effort":"low","n":2,
		"prediction":{"type":"content","content":"one two"},"messages":[
		{"role":"system","content":[{"type":"text","text":"one two three","prompt_cache_breakpoint":{"mode":"explicit"}}]},
		{"role":"user","content":[{"type":"text","text":"four five six seven eight nine ten"},
			{"type":"image_url","image_url":{"url":"data:,"}},
			{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}]}]}`)
	content(t, r)
	got, err := json.Marshal(lookup(t, decode(t, r.body), "usage"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"completion_tokens":92,"completion_tokens_details":{"accepted_prediction_tokens":4,"audio_tokens":0,` +
		`"reasoning_tokens":32,"rejected_prediction_tokens":0,"text_tokens":60},"prompt_tokens":104,` +
		`"prompt_tokens_details":{"audio_tokens":1,"cache_write_tokens":7,"cached_tokens":96,"image_tokens":85,` +
		`"text_tokens":18},"total_tokens":196}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSandbox_EncodesAudioAsWAV(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	r := create(t, server, userRequest("Hi", `"modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"}`))
	if got := content(t, r); got != "" {
		t.Errorf("the content is %q, want null", got)
	}
	audio := lookup(t, decode(t, r.body), "choices", 0, "message", "audio")
	data, err := base64.StdEncoding.DecodeString(lookup(t, audio, "data").(string))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("RIFF")) || string(data[8:16]) != "WAVEfmt " || string(data[36:40]) != "data" {
		t.Errorf("%q is not the header of a WAV file", data[:44])
	}
	for at, want := range map[int]int{4: len(data) - 8, 40: len(data) - 44} {
		got := int(data[at]) | int(data[at+1])<<8 | int(data[at+2])<<16
		if got != want {
			t.Errorf("the length at %d is %d, want %d", at, got, want)
		}
	}
	if text := lookup(t, audio, "transcript"); !strings.Contains(text.(string), `"Hi"`) {
		t.Errorf("the transcript is %q", text)
	}
	if got := fmt.Sprint(lookup(t, audio, "expires_at")); got != strconv.FormatInt(fixedTime().Unix()+3600, 10) {
		t.Errorf("the audio expires at %s", got)
	}
}

func TestSandbox_AnnotatesCitation(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	r := create(t, server, userRequest("Grüße", `"web_search_options":{}`))
	text := []rune(content(t, r))
	citation := lookup(t, decode(t, r.body), "choices", 0, "message", "annotations", 0, "url_citation").(map[string]any)
	start, _ := citation["start_index"].(json.Number).Int64()
	end, _ := citation["end_index"].(json.Number).Int64()
	want := fmt.Sprintf("[%s](%s)", citation["title"], citation["url"])
	if got := string(text[start:end]); got != want {
		t.Errorf("the annotation refers to %q, want %q", got, want)
	}
	cut := create(t, server, userRequest("Hi", `"web_search_options":{},"max_tokens":3`))
	if got := lookup(t, decode(t, cut.body), "choices", 0, "message", "annotations").([]any); len(got) > 0 {
		t.Errorf("a truncated citation has annotations: %v", got)
	}
}

func TestSandbox_ModeratesText(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for name, row := range map[string]struct{ body, kind, flagged string }{
		"harmless text is not flagged":        {userRequest("Hi", `"moderation":{"model":"omni-moderation-latest"}`), "moderation_results", "false"},
		"violence is flagged":                 {userRequest("Violence!", `"moderation":{"model":"omni-moderation-latest"}`), "moderation_results", "true"},
		"an unknown model is reported inside": {userRequest("Hi", `"moderation":{"model":"mine"}`), "error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, row.body)
			content(t, r)
			for _, side := range []string{"input", "output"} {
				got := lookup(t, decode(t, r.body), "moderation", side)
				if lookup(t, got, "type") != row.kind {
					t.Errorf("%s is %v", side, got)
				}
				if row.flagged != "" && fmt.Sprint(lookup(t, got, "results", 0, "flagged")) != row.flagged {
					t.Errorf("%s is flagged: %v", side, got)
				}
			}
		})
	}
}

func TestSandbox_ReportsServiceTier(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for tier, want := range map[string]string{
		"": "default", `"service_tier":null`: "default", `"service_tier":"auto"`: "default",
		`"service_tier":"flex"`: "flex", `"service_tier":"fast"`: "priority",
	} {
		body := userRequest("Hi")
		if tier != "" {
			body = userRequest("Hi", tier)
		}
		if got := lookup(t, decode(t, create(t, server, body).body), "service_tier"); got != want {
			t.Errorf("%s: service_tier is %v, want %s", tier, got, want)
		}
	}
}

func TestSandbox_IsDeterministic(t *testing.T) {
	t.Parallel()
	first, second := startSandbox(t), startSandbox(t)
	for _, body := range []string{
		userRequest("Hi", `"n":3,"logprobs":true,"metadata":{"b":"1","a":"2"}`),
		userRequest("Hi", `"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":true}`),
		userRequest("Hi", `"moderation":{"model":"omni-moderation-latest"}`),
	} {
		one, two := create(t, first, body), create(t, second, body)
		if one.body != two.body {
			t.Errorf("got %s\nand %s", one.body, two.body)
		}
		for name := range one.header {
			if name != "Date" && one.header.Get(name) != two.header.Get(name) {
				t.Errorf("%s is %s and %s", name, one.header.Get(name), two.header.Get(name))
			}
		}
	}
}

func TestSandbox_DerivesIDFromMeaningOfRequest(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	id := func(body string) string { return lookup(t, decode(t, create(t, server, body).body), "id").(string) }
	want := id(`{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"]}`)
	for name, body := range map[string]string{
		"the order of fields":          `{"stop":["x"],"temperature":1,"messages":[{"content":"Hi","role":"user"}],"model":"m"}`,
		"white space":                  "{ \"model\":\"m\",\n\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"temperature\":1,\"stop\":[\"x\"]}",
		"null and absent":              `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"seed":null}`,
		"empty and absent":             `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"metadata":{},"tools":[]}`,
		"nested null, and empty":       `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"web_search_options":{"user_location":null}}`,
		"number format":                `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1.0,"stop":["x"]}`,
		"string escapes":               `{"model":"m","messages":[{"role":"user","content":"\u0048i"}],"temperature":1,"stop":["x"]}`,
		"stop as a string or an array": `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":"x"}`,
	} {
		if got := id(body); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	schema := func(properties string) string {
		return id(userRequest("Hi", `"response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{`+properties+`}},"name":"s"}}`))
	}
	if schema(`"a":{},"b":{}`) == schema(`"b":{},"a":{}`) {
		t.Error("schemas with a different order of properties have the same ID")
	}
	streamed := create(t, server, `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"stream":true}`)
	if got := lookup(t, decode(t, events(t, streamed.body)[0]), "id"); got != want {
		t.Errorf("a stream: %v, want %s", got, want)
	}
	for name, body := range map[string]string{
		"different text":               `{"model":"m","messages":[{"role":"user","content":"Ho"}],"temperature":1,"stop":["x"]}`,
		"a different number":           `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1.5,"stop":["x"]}`,
		"an additional field":          `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"seed":0}`,
		"a string instead of a number": `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"user":"1"}`,
	} {
		if id(body) == want {
			t.Errorf("%s: the ID is the same", name)
		}
	}
}

func TestSandbox_CountsEquivalentRequestsAlike(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	use := func(call, tool string) any {
		return lookup(t, decode(t, create(t, server, `{"model":"m","messages":[{"role":"user","content":"Hi"},`+
			`{"role":"assistant","tool_calls":[`+call+`]},{"role":"tool","tool_call_id":"c","content":"4"}],"tools":[`+tool+`]}`).body), "usage", "prompt_tokens")
	}
	const (
		call = `{"id":"c","type":"function","function":{"name":"add","arguments":"{}"}}`
		tool = `{"type":"function","function":{"name":"add","description":"Adds.","parameters":{"type":"object","properties":{"a":{"minimum":1}}}}}`
	)
	want := use(call, tool)
	for name, got := range map[string]any{
		"the order of a call's fields": use(`{"function":{"arguments":"{}","name":"add"},"type":"function","id":"c"}`, tool),
		"the order of a tool's fields": use(call, `{"function":{"parameters":{"properties":{"a":{"minimum":1}},"type":"object"},"description":"Adds.","name":"add"},"type":"function"}`),
		"empty and absent":             use(call, `{"type":"function","function":{"name":"add","description":"Adds.","strict":null,"parameters":{"type":"object","properties":{"a":{"minimum":1}},"required":[]}}}`),
		"number format":                use(call, `{"type":"function","function":{"name":"add","description":"Adds.","parameters":{"type":"object","properties":{"a":{"minimum":1.0}}}}}`),
	} {
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if longer := use(call, `{"type":"function","function":{"name":"add","description":"Adds two numbers.","parameters":{"type":"object","properties":{"a":{"minimum":1}}}}}`); longer == want {
		t.Error("a longer description counts as many tokens")
	}
}

func TestSandbox_ReturnsAcceptedUnknownFields(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	body := userRequest("Hi", `"future":{"b":1e400,"a":[null,12345678901234567890]},"id":"mine","service_tier":"warp"`)
	if r := create(t, server, body); r.status != http.StatusBadRequest {
		t.Errorf("without the control: status %d", r.status)
	}
	const want = `"future":{"b":1e400,"a":[null,12345678901234567890]}}`
	accepted := create(t, server, body, "x-sandbox-unknown", "accept")
	if !strings.HasSuffix(accepted.body, want+"\n") || strings.Contains(accepted.body, "mine") {
		t.Errorf("the response is %s", accepted.body)
	}
	streamed := create(t, server, strings.TrimSuffix(body, "}")+`,"stream":true}`, "x-sandbox-unknown", "accept")
	all := events(t, streamed.body)
	for _, each := range all[:len(all)-1] {
		if !strings.HasSuffix(each, want) {
			t.Errorf("the chunk is %s", each)
		}
	}
}

func TestSandbox_SeparatesConcurrentRequests(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			marker := fmt.Sprintf("marker-%d-of-many", i)
			unary := create(t, server, userRequest(marker, `"store":true`))
			if !strings.Contains(unary.body, marker) {
				t.Errorf("no %s in %s", marker, unary.body)
			}
			var text strings.Builder
			all := events(t, create(t, server, userRequest(marker, `"stream":true`)).body)
			for _, each := range all[:len(all)-1] {
				piece, _ := lookup(t, decode(t, each), "choices", 0, "delta", "content").(string)
				text.WriteString(piece)
			}
			if !strings.Contains(text.String(), marker) {
				t.Errorf("no %s in the stream of %s", marker, text.String())
			}
		})
	}
	group.Wait()
}
