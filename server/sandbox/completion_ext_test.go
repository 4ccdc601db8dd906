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

func TestTheAnswerIsPlainToAPerson(t *testing.T) {
	t.Parallel()
	server := start(t)
	const call = `{"role":"assistant","tool_calls":[{"id":"a","type":"function",` +
		`"function":{"name":"weather","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"18 °C"}`
	for name, row := range map[string]struct{ body, want string }{
		"it says what it is and what it was told": {
			asking("Hello!"),
			`This is the sandbox: no model, no key, no network. You said: "Hello!"`,
		},
		"low verbosity leaves out what it is": {
			asking("Hello!", `"verbosity":"low"`),
			`You said: "Hello!"`,
		},
		"it counts what came with the text": {
			`{"model":"m","verbosity":"low","messages":[{"role":"user","content":[{"type":"text","text":"Look"},` +
				`{"type":"image_url","image_url":{"url":"data:,"}},{"type":"image_url","image_url":{"url":"data:,"}},` +
				`{"type":"file","file":{"file_id":"f"}},` +
				`{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]}]}`,
			`You said: "Look" With it came 2 images, 1 audio clip and 1 file.`,
		},
		"the last of several users is answered": {
			`{"model":"m","verbosity":"low","messages":[{"role":"user","content":"one"},` +
				`{"role":"assistant","content":"x"},{"role":"user","content":"two"}]}`,
			`You said: "two"`,
		},
		"the answer of a tool is told": {
			`{"model":"m","verbosity":"low","messages":[{"role":"user","content":"?"},` + call + `],` +
				`"tools":[{"type":"function","function":{"name":"weather"}}]}`,
			`The tool answered: "18 °C"`,
		},
		"no user at all is no error": {
			`{"model":"m","verbosity":"low","messages":[{"role":"system","content":"Be kind."}]}`,
			`There is no message of a user to answer.`,
		},
		"a long message is told in part": {
			asking(strings.Repeat("ä", 2000), `"verbosity":"low"`),
			`You said: "` + strings.Repeat("ä", 1000) + `…"`,
		},
		"a text ends before the first stop sequence in it": {
			asking("one two three", `"verbosity":"low"`, `"stop":["three","two","never"]`),
			`You said: "one `,
		},
		"a single stop sequence is a string": {
			asking("one two", `"verbosity":"low"`, `"stop":" two"`),
			`You said: "one`,
		},
		"a prediction comes true": {
			asking("?", `"verbosity":"low"`, `"prediction":{"type":"content","content":"As it was."}`),
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

// TestFinishReasons covers each of them, and that a limit counts tokens.
func TestFinishReasons(t *testing.T) {
	t.Parallel()
	server := start(t)
	const tools = `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object",` +
		`"properties":{"city":{"type":"string"}}}}}]`
	for name, row := range map[string]struct {
		body    string
		headers []string
		want    string
		tokens  string // completion_tokens, where the row is about them
	}{
		"stop at the end of the text":            {body: asking("Hi"), want: "stop"},
		"stop at a stop sequence":                {body: asking("Hi", `"stop":"sandbox"`), want: "stop", tokens: "4"},
		"length at max_completion_tokens":        {body: asking("Hi", `"max_completion_tokens":5`), want: "length", tokens: "5"},
		"length at max_tokens":                   {body: asking("Hi", `"max_tokens":1`), want: "length", tokens: "1"},
		"stop when the limit is not reached":     {body: asking("Hi", `"max_tokens":100`), want: "stop"},
		"reasoning counts against the limit":     {body: asking("Hi", `"max_tokens":20,"reasoning_effort":"low"`), want: "length", tokens: "20"},
		"reasoning can use up the limit":         {body: asking("Hi", `"max_tokens":9,"reasoning_effort":"high"`), want: "length", tokens: "9"},
		"tool_calls":                             {body: asking("Hi", tools), want: "tool_calls"},
		"length within the arguments of a tool":  {body: asking("Hi", tools, `"max_tokens":2`), want: "length", tokens: "2"},
		"function_call":                          {body: asking("Hi", `"functions":[{"name":"f"}]`), want: "function_call"},
		"content_filter on demand":               {body: asking("Hi"), headers: []string{"x-sandbox-answer", "content-filter"}, want: "content_filter"},
		"stop after a refusal":                   {body: asking("Hi"), headers: []string{"x-sandbox-answer", "refusal"}, want: "stop"},
		"length in a text of a demanded length":  {body: asking("Hi", `"max_tokens":50`), headers: []string{"x-sandbox-tokens", "99"}, want: "length", tokens: "50"},
		"stop at the end of the demanded length": {body: asking("Hi"), headers: []string{"x-sandbox-tokens", "5000"}, want: "stop", tokens: "5000"},
		"content_filter where the policy blocks the input": {
			body: asking("violence", `"moderation":{"model":"omni-moderation-latest","policy":{"input":{"mode":"block"}}}`),
			want: "content_filter", tokens: "0",
		},
		"stop where the policy only scores": {
			body: asking("violence", `"moderation":{"model":"omni-moderation-latest","policy":{"output":{"mode":"score"}}}`),
			want: "stop",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, row.body, row.headers...)
			content(t, r)
			got := decode(t, r.body)
			if reason := dig(t, got, "choices", 0, "finish_reason"); reason != row.want {
				t.Errorf("finish_reason %v, want %s", reason, row.want)
			}
			if count := fmt.Sprint(dig(t, got, "usage", "completion_tokens")); row.tokens != "" && count != row.tokens {
				t.Errorf("completion_tokens %s, want %s", count, row.tokens)
			}
		})
	}
}

// TestTools asks which tools are called, by name, in order.
func TestTools(t *testing.T) {
	t.Parallel()
	server := start(t)
	const (
		three = `"tools":[{"type":"function","function":{"name":"weather"}},` +
			`{"type":"custom","custom":{"name":"shell"}},{"type":"function","function":{"name":"clock"}}]`
		legacy = `"functions":[{"name":"weather"},{"name":"clock"}]`
	)
	for name, row := range map[string]struct {
		body string
		want []string
	}{
		"auto calls the first":                      {asking("Hi", three), []string{"weather"}},
		"auto calls the one that is mentioned":      {asking("run shell", three), []string{"shell"}},
		"auto calls all that are mentioned":         {asking("clock, weather", three), []string{"weather", "clock"}},
		"not parallel means one":                    {asking("clock, weather", three, `"parallel_tool_calls":false`), []string{"weather"}},
		"none calls none":                           {asking("weather", three, `"tool_choice":"none"`), nil},
		"required calls two":                        {asking("Hi", three, `"tool_choice":"required"`), []string{"weather", "shell"}},
		"required and not parallel calls one":       {asking("Hi", three, `"tool_choice":"required","parallel_tool_calls":false`), []string{"weather"}},
		"a named function is called":                {asking("weather", three, `"tool_choice":{"type":"function","function":{"name":"clock"}}`), []string{"clock"}},
		"a named custom tool is called":             {asking("Hi", three, `"tool_choice":{"type":"custom","custom":{"name":"shell"}}`), []string{"shell"}},
		"allowed tools in auto mode are the only":   {asking("weather", three, `"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"clock"}}]}}`), []string{"clock"}},
		"allowed tools may be required":             {asking("Hi", three, `"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"custom","custom":{"name":"shell"}},{"type":"function","function":{"name":"clock"}}]}}`), []string{"shell", "clock"}},
		"deprecated functions are called one only":  {asking("clock weather", legacy), []string{"weather"}},
		"a deprecated function can be named":        {asking("Hi", legacy, `"function_call":{"name":"clock"}`), []string{"clock"}},
		"deprecated functions can be switched off":  {asking("Hi", legacy, `"function_call":"none"`), nil},
		"a tool's answer is not answered by a call": {`{"model":"m",` + three + `,"messages":[{"role":"user","content":"weather"},{"role":"assistant","tool_calls":[{"id":"1","type":"custom","custom":{"name":"shell","input":""}}]},{"role":"tool","tool_call_id":"1","content":"ok"}]}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, row.body)
			content(t, r)
			message := dig(t, decode(t, r.body), "choices", 0, "message").(map[string]any)
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
				t.Errorf("%d calls share %d ids", len(calls), len(ids))
			}
			if hasText := message["content"] != nil; hasText != (row.want == nil) {
				t.Errorf("content is %v", message["content"])
			}
		})
	}
}

func TestStructuredOutputIsValidAndInTheOrderOfTheSchema(t *testing.T) {
	t.Parallel()
	server := start(t)
	format := func(schema string) string {
		return `"response_format":{"type":"json_schema","json_schema":{"name":"s","strict":true,"schema":` + schema + `}}`
	}
	for name, row := range map[string]struct{ body, want string }{
		"the properties come in their order": {
			asking("?", format(`{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"},`+
				`"m":{"type":"boolean"}},"required":["a","m","z"],"additionalProperties":false}`)),
			`{"z":"sample z","a":1,"m":true}`,
		},
		"references and recursion end": {
			asking("?", format(`{"type":"object","properties":{"head":{"$ref":"#/$defs/node"}},"$defs":{"node":{`+
				`"type":"object","properties":{"value":{"enum":["x","y"]},"next":{"anyOf":[{"$ref":"#/$defs/node"},`+
				`{"type":"null"}]}},"required":["value","next"]}}}`)),
			`{"head":{"value":"x","next":null}}`,
		},
		"a json_object has the answer": {
			asking("As JSON, please", `"verbosity":"low"`, `"response_format":{"type":"json_object"}`),
			`{"message":"You said: \"As JSON, please\""}`,
		},
		"no schema is an empty object": {
			asking("?", `"response_format":{"type":"json_schema","json_schema":{"name":"s"}}`),
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

func TestChoicesDiffer(t *testing.T) {
	t.Parallel()
	server := start(t)
	r := create(t, server, asking("Hi", `"n":128`))
	content(t, r)
	choices := dig(t, decode(t, r.body), "choices").([]any)
	texts := map[any]bool{}
	for i, each := range choices {
		if got := fmt.Sprint(dig(t, each, "index")); got != strconv.Itoa(i) {
			t.Errorf("choice %d has index %s", i, got)
		}
		texts[dig(t, each, "message", "content")] = true
	}
	if len(choices) != 128 || len(texts) != 128 {
		t.Errorf("%d choices with %d texts", len(choices), len(texts))
	}
}

func TestLogprobs(t *testing.T) {
	t.Parallel()
	server := start(t)
	r := create(t, server, asking("Grüße", `"logprobs":true,"top_logprobs":3`))
	text := content(t, r)
	list := dig(t, decode(t, r.body), "choices", 0, "logprobs", "content").([]any)
	var joined []byte
	for _, each := range list {
		top := dig(t, each, "top_logprobs").([]any)
		if len(top) != 3 || dig(t, top[0], "token") != dig(t, each, "token") {
			t.Errorf("the likeliest of %v is not the token", top)
		}
		for _, number := range dig(t, each, "bytes").([]any) {
			value, _ := number.(json.Number).Int64()
			joined = append(joined, byte(value))
		}
	}
	if string(joined) != text {
		t.Errorf("the tokens' bytes are %q, the text is %q", joined, text)
	}
	refused := create(t, server, asking("Hi", `"logprobs":true`), "x-sandbox-answer", "refusal")
	probabilities := dig(t, decode(t, refused.body), "choices", 0, "logprobs").(map[string]any)
	if probabilities["content"] != nil || probabilities["refusal"] == nil {
		t.Errorf("a refusal has the logprobs %v", probabilities)
	}
}

func TestUsageSaysWhatWasCounted(t *testing.T) {
	t.Parallel()
	server := start(t)
	r := create(t, server, `{"model":"m","verbosity":"low","prompt_cache_key":"k","reasoning_effort":"low","n":2,
		"prediction":{"type":"content","content":"one two"},"messages":[
		{"role":"system","content":[{"type":"text","text":"one two three","prompt_cache_breakpoint":{"mode":"explicit"}}]},
		{"role":"user","content":[{"type":"text","text":"four five six seven eight nine ten"},
			{"type":"image_url","image_url":{"url":"data:,"}},
			{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}]}]}`)
	content(t, r)
	got, err := json.Marshal(dig(t, decode(t, r.body), "usage"))
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

func TestAudioIsAWAVFile(t *testing.T) {
	t.Parallel()
	server := start(t)
	r := create(t, server, asking("Hi", `"modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"}`))
	if got := content(t, r); got != "" {
		t.Errorf("the content is %q, and not null", got)
	}
	audio := dig(t, decode(t, r.body), "choices", 0, "message", "audio")
	data, err := base64.StdEncoding.DecodeString(dig(t, audio, "data").(string))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("RIFF")) || string(data[8:16]) != "WAVEfmt " || string(data[36:40]) != "data" {
		t.Errorf("%q is no WAV file", data[:44])
	}
	for at, want := range map[int]int{4: len(data) - 8, 40: len(data) - 44} {
		got := int(data[at]) | int(data[at+1])<<8 | int(data[at+2])<<16
		if got != want {
			t.Errorf("the length at %d is %d, want %d", at, got, want)
		}
	}
	if text := dig(t, audio, "transcript"); !strings.Contains(text.(string), `"Hi"`) {
		t.Errorf("the transcript is %q", text)
	}
	if got := fmt.Sprint(dig(t, audio, "expires_at")); got != strconv.FormatInt(noon().Unix()+3600, 10) {
		t.Errorf("it expires at %s", got)
	}
}

func TestAnAnnotationPointsAtWhatIsCited(t *testing.T) {
	t.Parallel()
	server := start(t)
	r := create(t, server, asking("Grüße", `"web_search_options":{}`))
	text := []rune(content(t, r))
	citation := dig(t, decode(t, r.body), "choices", 0, "message", "annotations", 0, "url_citation").(map[string]any)
	start, _ := citation["start_index"].(json.Number).Int64()
	end, _ := citation["end_index"].(json.Number).Int64()
	want := fmt.Sprintf("[%s](%s)", citation["title"], citation["url"])
	if got := string(text[start:end]); got != want {
		t.Errorf("the annotation is about %q, want %q", got, want)
	}
	cut := create(t, server, asking("Hi", `"web_search_options":{},"max_tokens":3`))
	if got := dig(t, decode(t, cut.body), "choices", 0, "message", "annotations").([]any); len(got) > 0 {
		t.Errorf("a citation that was cut off is annotated: %v", got)
	}
}

func TestModeration(t *testing.T) {
	t.Parallel()
	server := start(t)
	for name, row := range map[string]struct{ body, kind, flagged string }{
		"harmless text is not flagged":    {asking("Hi", `"moderation":{"model":"omni-moderation-latest"}`), "moderation_results", "false"},
		"violence is":                     {asking("Violence!", `"moderation":{"model":"omni-moderation-latest"}`), "moderation_results", "true"},
		"another model is an error in it": {asking("Hi", `"moderation":{"model":"mine"}`), "error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := create(t, server, row.body)
			content(t, r)
			for _, side := range []string{"input", "output"} {
				got := dig(t, decode(t, r.body), "moderation", side)
				if dig(t, got, "type") != row.kind {
					t.Errorf("%s is %v", side, got)
				}
				if row.flagged != "" && fmt.Sprint(dig(t, got, "results", 0, "flagged")) != row.flagged {
					t.Errorf("%s is flagged: %v", side, got)
				}
			}
		})
	}
}

func TestServiceTier(t *testing.T) {
	t.Parallel()
	server := start(t)
	for asked, want := range map[string]string{
		"": "default", `"service_tier":null`: "default", `"service_tier":"auto"`: "default",
		`"service_tier":"flex"`: "flex", `"service_tier":"fast"`: "priority",
	} {
		body := asking("Hi")
		if asked != "" {
			body = asking("Hi", asked)
		}
		if got := dig(t, decode(t, create(t, server, body).body), "service_tier"); got != want {
			t.Errorf("%s is answered with %v, want %s", asked, got, want)
		}
	}
}

func TestTheSameRequestGetsTheSameBytes(t *testing.T) {
	t.Parallel()
	first, second := start(t), start(t)
	for _, body := range []string{
		asking("Hi", `"n":3,"logprobs":true,"metadata":{"b":"1","a":"2"}`),
		asking("Hi", `"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":true}`),
		asking("Hi", `"moderation":{"model":"omni-moderation-latest"}`),
	} {
		one, two := create(t, first, body), create(t, second, body)
		if one.body != two.body {
			t.Errorf("%s\nis not\n%s", one.body, two.body)
		}
		for name := range one.header {
			if name != "Date" && one.header.Get(name) != two.header.Get(name) {
				t.Errorf("%s is %s and %s", name, one.header.Get(name), two.header.Get(name))
			}
		}
	}
}

func TestRequestsThatMeanTheSameHaveOneID(t *testing.T) {
	t.Parallel()
	server := start(t)
	id := func(body string) string { return dig(t, decode(t, create(t, server, body).body), "id").(string) }
	want := id(`{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"]}`)
	for name, body := range map[string]string{
		"the order of members":     `{"stop":["x"],"temperature":1,"messages":[{"content":"Hi","role":"user"}],"model":"m"}`,
		"white space":              "{ \"model\":\"m\",\n\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"temperature\":1,\"stop\":[\"x\"]}",
		"null and absent":          `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"seed":null}`,
		"empty and absent":         `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"metadata":{},"tools":[]}`,
		"null inside, and empty":   `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"web_search_options":{"user_location":null}}`,
		"how a number is written":  `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1.0,"stop":["x"]}`,
		"how a string is escaped":  `{"model":"m","messages":[{"role":"user","content":"\u0048i"}],"temperature":1,"stop":["x"]}`,
		"one stop sequence or all": `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":"x"}`,
	} {
		if got := id(body); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	schema := func(properties string) string {
		return id(asking("Hi", `"response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{`+properties+`}},"name":"s"}}`))
	}
	if schema(`"a":{},"b":{}`) == schema(`"b":{},"a":{}`) {
		t.Error("the order of a schema's properties: the same id for another answer")
	}
	streamed := create(t, server, `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"stream":true}`)
	if got := dig(t, decode(t, events(t, streamed.body)[0]), "id"); got != want {
		t.Errorf("a stream: %v, want %s", got, want)
	}
	for name, body := range map[string]string{
		"another text":        `{"model":"m","messages":[{"role":"user","content":"Ho"}],"temperature":1,"stop":["x"]}`,
		"another number":      `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1.5,"stop":["x"]}`,
		"another member":      `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"seed":0}`,
		"a string, no number": `{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"stop":["x"],"user":"1"}`,
	} {
		if id(body) == want {
			t.Errorf("%s has the same id", name)
		}
	}
}

func TestRequestsThatMeanTheSameUseTheSame(t *testing.T) {
	t.Parallel()
	server := start(t)
	use := func(call, tool string) any {
		return dig(t, decode(t, create(t, server, `{"model":"m","messages":[{"role":"user","content":"Hi"},`+
			`{"role":"assistant","tool_calls":[`+call+`]},{"role":"tool","tool_call_id":"c","content":"4"}],"tools":[`+tool+`]}`).body), "usage", "prompt_tokens")
	}
	const (
		call = `{"id":"c","type":"function","function":{"name":"add","arguments":"{}"}}`
		tool = `{"type":"function","function":{"name":"add","description":"Adds.","parameters":{"type":"object","properties":{"a":{"minimum":1}}}}}`
	)
	want := use(call, tool)
	for name, got := range map[string]any{
		"the order of a call's members": use(`{"function":{"arguments":"{}","name":"add"},"type":"function","id":"c"}`, tool),
		"the order of a tool's members": use(call, `{"function":{"parameters":{"properties":{"a":{"minimum":1}},"type":"object"},"description":"Adds.","name":"add"},"type":"function"}`),
		"empty and absent":              use(call, `{"type":"function","function":{"name":"add","description":"Adds.","strict":null,"parameters":{"type":"object","properties":{"a":{"minimum":1}},"required":[]}}}`),
		"how a number is written":       use(call, `{"type":"function","function":{"name":"add","description":"Adds.","parameters":{"type":"object","properties":{"a":{"minimum":1.0}}}}}`),
	} {
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if longer := use(call, `{"type":"function","function":{"name":"add","description":"Adds two numbers.","parameters":{"type":"object","properties":{"a":{"minimum":1}}}}}`); longer == want {
		t.Error("a longer description uses the same")
	}
}

func TestUnknownMembersComeBackWhenAccepted(t *testing.T) {
	t.Parallel()
	server := start(t)
	body := asking("Hi", `"future":{"b":1e400,"a":[null,12345678901234567890]},"id":"mine","service_tier":"warp"`)
	if r := create(t, server, body); r.status != http.StatusBadRequest {
		t.Errorf("without the control: status %d", r.status)
	}
	const want = `"future":{"b":1e400,"a":[null,12345678901234567890]}}`
	accepted := create(t, server, body, "x-sandbox-unknown", "accept")
	if !strings.HasSuffix(accepted.body, want+"\n") || strings.Contains(accepted.body, "mine") {
		t.Errorf("the reply is %s", accepted.body)
	}
	streamed := create(t, server, strings.TrimSuffix(body, "}")+`,"stream":true}`, "x-sandbox-unknown", "accept")
	all := events(t, streamed.body)
	for _, each := range all[:len(all)-1] {
		if !strings.HasSuffix(each, want) {
			t.Errorf("the chunk is %s", each)
		}
	}
}

func TestAnswersAreNotMixedUp(t *testing.T) {
	t.Parallel()
	server := start(t)
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() {
			marker := fmt.Sprintf("marker-%d-of-many", i)
			unary := create(t, server, asking(marker, `"store":true`))
			if !strings.Contains(unary.body, marker) {
				t.Errorf("no %s in %s", marker, unary.body)
			}
			var text strings.Builder
			all := events(t, create(t, server, asking(marker, `"stream":true`)).body)
			for _, each := range all[:len(all)-1] {
				piece, _ := dig(t, decode(t, each), "choices", 0, "delta", "content").(string)
				text.WriteString(piece)
			}
			if !strings.Contains(text.String(), marker) {
				t.Errorf("no %s in the stream of %s", marker, text.String())
			}
		})
	}
	group.Wait()
}
