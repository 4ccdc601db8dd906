package usage

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// scanResult holds the results of a scanner.
type scanResult struct {
	reported  Usage
	model     string
	models    int
	streaming bool
	isEcho    bool
	cost      int64
}

func scan(t *testing.T, roleOf func(role, []byte) role, pieces ...string) (result scanResult, complete bool) {
	t.Helper()
	s := scanner{roleOf: roleOf}
	if reflect.ValueOf(roleOf).Pointer() == reflect.ValueOf(requestRole).Pointer() {
		s.finder = &modelFinder{root: requestFields}
	}
	for _, piece := range pieces {
		s.write([]byte(piece))
	}
	if s.finder != nil {
		s.model, s.modelCount = []byte(s.finder.main), s.finder.mainCount
	}
	return scanResult{
		reported: s.reported, model: string(s.model), models: s.modelCount,
		streaming: s.streaming, isEcho: s.isEcho, cost: s.cost(),
	}, s.isComplete()
}

// costOf returns the cost of strings.
func costOf(texts ...string) (cost int64) {
	for _, text := range texts {
		var e estimator
		e.write([]byte(text))
		cost += e.cost
	}
	return cost
}

func total(tokens int64) Usage { return Usage{Total: tokens} }

func TestScanner_ReadsResponses(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 16<<10)
	for _, row := range []struct {
		name, text string
		want       scanResult
	}{
		{"usage and model at the top count", `{"model":"m","usage":{"total_tokens":5}}`, scanResult{reported: total(5), model: "m", models: 1}},
		{"space may stand anywhere", " {\n\"model\" :\t\"m\" , \"usage\" : { \"total_tokens\" : 5 , \"a\" : [ 1 , 2 ] } } ", scanResult{reported: total(5), model: "m", models: 1}},
		{"names may be escaped", `{"mo\u0064el":"m","\u0075sage":{"total_t\u006fkens":5}}`, scanResult{reported: total(5), model: "m", models: 1}},
		{"a model may be escaped", `{"model":"a\"\\\/\u00e9\ud83d\ude00\n"}`, scanResult{model: "a\"\\/é😀\n", models: 1}},
		{"half a surrogate pair is replaced", `{"model":"\ud83dx\ude00\ud83d"}`, scanResult{model: "�x��", models: 1}},
		{"the model of what isn't the root doesn't count", `{"a":{"model":"n"},"b":[{"model":"m"}]}`, scanResult{}},
		{"usage deep down doesn't count", `{"a":{"b":{"c":{"usage":{"total_tokens":5}}}},"b":[{"usage":{"total_tokens":5}}],"choices":[{"a":{"b":{"usage":{"total_tokens":5}}}}]}`, scanResult{}},
		{"usage in free JSON doesn't count", `{"metadata":{"usage":{"total_tokens":5}},"input":{"usage":{"total_tokens":5}},"content":[{"input":{"usage":{"total_tokens":5}}}],"arguments":{"usage":{"total_tokens":5}}}`, scanResult{}},
		{"usage in a field of a vendor", `{"x_groq":{"id":"r","usage":{"total_tokens":5}}}`, scanResult{reported: total(5)}},
		{"usage in a nested object of a vendor", `{"x_vendor":{"stats":{"usage":{"total_tokens":5}}}}`, scanResult{reported: total(5)}},
		{"usage in a vendor field of a choice", `{"choices":[{"x_vendor":{"usage":{"total_tokens":5}}}]}`, scanResult{reported: total(5)}},
		{"usage in a delta", `{"choices":[{"delta":{"content":"a","usage":{"total_tokens":5}}}]}`, scanResult{reported: total(5), cost: costOf("a")}},
		{"usage in free-form JSON of a vendor is ignored", `{"prompt":{"variables":{"usage":{"total_tokens":5}}},"choices":[{"metadata":{"usage":{"total_tokens":5}},"message":{"args":{"usage":{"total_tokens":5}}}}]}`, scanResult{}},
		{"usage in a choice", `{"choices":[{"index":0,"usage":{"total_tokens":5}}]}`, scanResult{reported: total(5)}},
		{"those within response do", `{"type":"response.completed","response":{"model":"m","usage":{"total_tokens":5}}}`, scanResult{reported: total(5), model: "m", models: 1, isEcho: true}},
		{"those deeper within response don't", `{"response":{"a":{"usage":{"total_tokens":5}},"output":[{"model":"m"}]}}`, scanResult{}},
		{"those of an array of responses don't", `{"response":[{"usage":{"total_tokens":5}}]}`, scanResult{}},
		{"the model of a session counts", `{"type":"session.created","session":{"model":"m"}}`, scanResult{model: "m", models: 1, isEcho: true}},
		{"an array has answers", `[{"usageMetadata":{"totalTokenCount":5},"modelVersion":"m"}]`, scanResult{reported: total(5), model: "m", models: 1}},
		{"names in strings are no members", `{"a":"\"usage\":{\"total_tokens\":1}","b":"{\"model\":\"m\"}"}`, scanResult{}},
		{"the largest usage counts", `{"usage":{"total_tokens":2},"usage":{"total_tokens":1}}`, scanResult{reported: total(2)}},
		{"a null leaves the one before", `{"usage":{"total_tokens":1},"usage":null}`, scanResult{reported: total(1)}},
		{"a usage that is not an object is ignored", `{"usage":[{"total_tokens":1}]}`, scanResult{}},
		{"a usage within usage is none", `{"usage":{"usage":{"total_tokens":1,"model":"m"}}}`, scanResult{}},
		{"a usage may be long", `{"usage":{"total_tokens":1,"b":"` + large + `"},"model":"m"}`, scanResult{reported: total(1), model: "m", models: 1}},
		{"numbers may be strings", `{"usage":{"prompt_tokens":" 12 ","completion_tokens":"3.0"}}`, scanResult{reported: Usage{Input: 12, Output: 3, Total: 15}}},
		{"other strings are no numbers", `{"usage":{"prompt_tokens":"12a","completion_tokens":"","total_tokens":"NaN"},"eval_count":"Infinity"}`, scanResult{}},
		{"a number that is too long is none", `{"usage":{"prompt_tokens":` + large[:0] + strings.Repeat("1", 40) + `,"total_tokens":7}}`, scanResult{reported: total(7)}},
		{"numbers at the root count", `{"model":"m","prompt_eval_count":26,"eval_count":298}`, scanResult{reported: Usage{Input: 26, Output: 298, Total: 324}, model: "m", models: 1}},
		{"a model that is not a string is empty", `{"model":"a","model":5}`, scanResult{models: 2}},
		{"a model that is too long is empty", `{"model":"` + large + `"}`, scanResult{models: 1}},
		{"text is counted without its escapes", `{"choices":[{"message":{"content":"a\u00e9\n\"€"}}]}`, scanResult{cost: costOf("aé\n\"€")}},
		{"text is counted in arrays", `{"content":["ab",["cd"],{"x":"ef","text":"gh"},"ij"]}`, scanResult{cost: costOf("ab", "cd", "gh", "ij")}},
		{"the types of deltas are told apart", `{"type":"response.output_text.delta","delta":"abc"}`, scanResult{cost: costOf("abc")}},
		{"what was told before is an echo", `{"type":"response.output_text.done","text":"abc"}`, scanResult{cost: costOf("abc"), isEcho: true}},
		{"a delta of audio is not text", `{"type":"response.output_audio.delta","delta":"AAAA"}`, scanResult{cost: costOf("AAAA"), isEcho: true}},
		{"deep down nothing is looked at", strings.Repeat(`{"content":`, 100) + `"abc"` + strings.Repeat("}", 100), scanResult{}},
		{"behind the deep it goes on", `{"a":` + strings.Repeat(`[{"content":`, 100) + `"abc"` + strings.Repeat("}]", 100) + `,"model":"m"}`, scanResult{model: "m", models: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			complete, ok := scan(t, responseRole, row.text)
			if complete != row.want || !ok {
				t.Errorf("got %+v, complete %v, want %+v", complete, ok, row.want)
			}
			if got, ok := scan(t, responseRole, strings.Split(row.text, "")...); got != row.want || !ok {
				t.Errorf("byte by byte: got %+v, complete %v", got, ok)
			}
			if len(row.text) > 1000 {
				return
			}
			for at := range row.text {
				if got, ok := scan(t, responseRole, row.text[:at], row.text[at:]); got != row.want || !ok {
					t.Errorf("split at %d: got %+v, complete %v", at, got, ok)
				}
			}
		})
	}
}

func TestScanner_ReadsRequests(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		want       scanResult
	}{
		{"a stream is asked for", `{"model":"m","stream":true}`, scanResult{model: "m", models: 1, streaming: true}},
		{"a stream isn't asked for", `{"stream":false,"model":"m"}`, scanResult{model: "m", models: 1}},
		{"any true of several counts", `{"stream":true,"stream":false}`, scanResult{streaming: true}},
		{"a string is not true", `{"stream":"true"}`, scanResult{}},
		{"every model counts", `{"model":"a","model":"b"}`, scanResult{model: "b", models: 2}},
		{"a model by another case counts", `{"model":"a","MODEL":"b"}`, scanResult{model: "b", models: 2}},
		{"a session has a model", `{"session":{"type":"realtime","model":"a"}}`, scanResult{model: "a", models: 1}},
		{"the models of messages are none", `{"messages":[{"model":"a"}],"metadata":{"model":"b","stream":true}}`, scanResult{}},
		{"what a model reads counts", `{"messages":[{"role":"user","content":"abc"},{"content":[{"type":"text","text":"de"},{"image_url":{"url":"data:…"}}]}]}`, scanResult{cost: costOf("abc", "de")}},
		{"inputs count", `{"input":["abc","de"],"instructions":"f"}`, scanResult{cost: costOf("abc", "de", "f")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for at := range row.text {
				if got, ok := scan(t, requestRole, row.text[:at], row.text[at:]); got != row.want || !ok {
					t.Errorf("split at %d: got %+v, complete %v, want %+v", at, got, ok, row.want)
				}
			}
		})
	}
}

func TestScanner_StopsAtInvalidJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `"a`, `"\u00`, "[", "[1", "[1,", // cut short
		"}", "]", ",", ":", "{]", "[}", "{,}", "[,]", `{"a"}`, `{"a":}`, `{"a":1,}`, "[1,]", `{1:2}`, `{"a" 1}`, `{"a":1 2}`, "[1 2]",
		`{"a":"b" "c":1}`, `{"a":"b":1}`, "{} {}", "1 2", `"a" "b"`, "{'a':1}", `{"a":1}//`, `{/**/"a":1}`, "{\x00}", `"\u00g0"`, "\ufeff{}",
		"{\x00\"\x00m\x00",
	} {
		if got, complete := scan(t, requestRole, text); complete {
			t.Errorf("%q: got a complete text, want an invalid one: %+v", text, got)
		}
	}
}

// FuzzScanner compares the scanner with encoding/json.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		`{"model":"m","usage":{"total_tokens":5}}`,
		`{"mo\u0064el":"\ud83d\ude00\ud83d","usage":null,"usage":{"a":[1,{"b":"}"}]}}`,
		`{"response":{"usage":{"a":1},"model":"x"},"response":{"usage":{"b":-1.5e3}},"type":"response.done"}`,
		`{"session":{"model":"x"},"usage":[],"choices":[{"delta":{"content":"a\"b\\"}}]}`,
		`{"x":{"usage":{"input_tokens":"5","cache_read_input_tokens":2e1,"input_tokens_details":{"cached_tokens":3}}},"eval_count":3.5}`,
		`[{"usage":{"tokens":{"input_tokens":5},"billed_units":{"input_tokens":4}},"choices":[{"usage":{"seconds":1.5}}]}]`,
		`[[[[]]],{"usage":{}}]`, `"usage"`, `12`, strings.Repeat("[", 70) + strings.Repeat("]", 70),
		strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70),
	} {
		f.Add([]byte(text), []byte{3, 1, 200})
	}
	f.Fuzz(func(t *testing.T, text, sizes []byte) {
		pieces := cut(string(text), sizes)
		got, complete := scan(t, responseRole, pieces...)
		if again, wholeAgain := scan(t, responseRole, string(text)); again != got || complete != wholeAgain {
			t.Fatalf("%q in pieces: got %+v, complete %v, want %+v, complete %v as in one piece", text, got, complete, again, wholeAgain)
		}
		if !json.Valid(text) {
			return
		}
		if !complete {
			t.Fatalf("%q: got an invalid text, want a valid one", text)
		}
		if !utf8.Valid(text) {
			return
		}
		var want scanResult
		oracle(t, text, roleRoot, 1, &want, nil)
		if got.reported != want.reported || got.models != want.models || len(want.model) <= maxName && got.model != want.model {
			t.Fatalf("%q: got %+v, want %+v", text, got, want)
		}
	})
}

// oracle computes the models and the reported usage of a response with encoding/json.
// usage is the enclosing usage object.
func oracle(t *testing.T, text []byte, parent role, depth int, result *scanResult, usage *usageObject) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	first, err := decoder.Token()
	if err != nil || first != json.Delim('{') && first != json.Delim('[') || depth > maxRoleDepth {
		return
	}
	switch {
	case depth == 1 && first == json.Delim('['):
		parent = roleRoots
	case first == json.Delim('['):
		parent = parent.ofElements()
	case parent == roleUsage:
		usage = &usageObject{}
		defer func() { result.reported, _ = result.reported.merge(usage.usage()) }()
	case parent == roleInputDetails:
		usage.hasInputDetails = true
	case parent >= roleCount:
		parent = roleNone
	}
	for decoder.More() {
		role := parent
		if first == json.Delim('{') {
			name, err := decoder.Token()
			if err != nil {
				t.Fatal(err)
			}
			role = roleNone
			if len(name.(string)) <= maxName {
				role = responseRole(parent, []byte(name.(string)))
			}
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		switch {
		case role == roleModel:
			result.models++
			result.model = ""
			if value[0] == '"' {
				if err := json.Unmarshal(value, &result.model); err != nil {
					t.Fatal(err)
				}
			}
		case role >= roleCount && value[0] != '{' && value[0] != '[':
			number := []byte(value)
			if value[0] == '"' {
				var word string
				if err := json.Unmarshal(value, &word); err != nil {
					t.Fatal(err)
				}
				if len(word) > maxName {
					continue
				}
				number = bytes.TrimSpace([]byte(word))
			}
			if parent >= roleUsage {
				usage.set(counter(role-roleCount), number)
				continue
			}
			var single usageObject
			single.set(counter(role-roleCount), number)
			result.reported, _ = result.reported.merge(single.usage())
		default:
			oracle(t, value, role, depth+1, result, usage)
		}
	}
}

// cut splits a string into pieces of the given sizes, and the rest.
func cut(text string, sizes []byte) []string {
	var pieces []string
	for _, size := range sizes {
		n := min(int(size), len(text))
		pieces = append(pieces, text[:n])
		text = text[n:]
	}
	return append(pieces, text)
}
