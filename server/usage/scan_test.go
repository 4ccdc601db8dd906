package usage

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// found is what a scanner is asked for.
type found struct {
	usage   string
	model   string
	models  int
	streams bool
	echoes  bool
	text    int64
}

func scan(t *testing.T, roleOf func(int, bool, []byte) role, pieces ...string) (result found, whole bool) {
	t.Helper()
	s := scanner{roleOf: roleOf}
	for _, piece := range pieces {
		s.write([]byte(piece))
	}
	return found{
		usage: string(s.usage), model: string(s.model), models: s.models,
		streams: s.streams, echoes: s.echoes, text: s.text,
	}, s.whole()
}

func TestScannerReadsAnswers(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", maxCapture)
	for _, row := range []struct {
		name, text string
		want       found
	}{
		{"usage and model at the top count", `{"model":"m","usage":{"total_tokens":5}}`, found{usage: `{"total_tokens":5}`, model: "m", models: 1}},
		{"space may stand anywhere", " {\n\"model\" :\t\"m\" , \"usage\" : { \"a\" : [ 1 , 2 ] } } ", found{usage: `{ "a" : [ 1 , 2 ] }`, model: "m", models: 1}},
		{"names may be escaped", `{"mo\u0064el":"m","\u0075sage":{"a":1}}`, found{usage: `{"a":1}`, model: "m", models: 1}},
		{"a model may be escaped", `{"model":"a\"\\\/\u00e9\ud83d\ude00\n"}`, found{model: "a\"\\/é😀\n", models: 1}},
		{"half a surrogate pair is replaced", `{"model":"\ud83dx\ude00\ud83d"}`, found{model: "�x��", models: 1}},
		{"members deeper down don't count", `{"a":{"usage":{"b":1},"model":"n"},"b":[{"usage":{}}]}`, found{}},
		{"those within response do", `{"type":"response.completed","response":{"model":"m","usage":{"b":1}}}`, found{usage: `{"b":1}`, model: "m", models: 1, echoes: true}},
		{"those deeper within response don't", `{"response":{"a":{"usage":{"b":1}},"output":[{"model":"m"}]}}`, found{}},
		{"those of an array of responses don't", `{"response":[{"usage":{"b":1}}]}`, found{}},
		{"the model of a session counts", `{"type":"session.created","session":{"model":"m"}}`, found{model: "m", models: 1, echoes: true}},
		{"an array has no members", `[{"usage":{"b":1},"model":"m"}]`, found{}},
		{"names in strings are no members", `{"a":"\"usage\":{\"b\":1}","b":"{\"model\":\"m\"}"}`, found{}},
		{"the last usage counts", `{"usage":{"b":1},"usage":{"b":2}}`, found{usage: `{"b":2}`}},
		{"a null leaves the one before", `{"usage":{"b":1},"usage":null}`, found{usage: `{"b":1}`}},
		{"a usage that is no object is none", `{"usage":[{"b":1}]}`, found{}},
		{"a usage within usage is a part of it", `{"usage":{"usage":{"model":"m"}}}`, found{usage: `{"usage":{"model":"m"}}`}},
		{"a usage that is too large is passed over", `{"usage":{"b":1},"usage":{"b":"` + large + `"},"model":"m"}`, found{usage: `{"b":1}`, model: "m", models: 1}},
		{"a model that is no string is empty", `{"model":"a","model":5}`, found{models: 2}},
		{"a model that is too long is empty", `{"model":"` + large + `"}`, found{models: 1}},
		{"text is counted by its bytes", `{"choices":[{"message":{"content":"a\u00e9\n\"€"}}]}`, found{text: 8}},
		{"text is counted in arrays", `{"content":["ab",["cd"],{"x":"ef","text":"gh"},"ij"]}`, found{text: 8}},
		{"the types of deltas are told apart", `{"type":"response.output_text.delta","delta":"abc"}`, found{text: 3}},
		{"what was told before is an echo", `{"type":"response.output_text.done","text":"abc"}`, found{text: 3, echoes: true}},
		{"a delta of audio is no text", `{"type":"response.output_audio.delta","delta":"AAAA"}`, found{text: 4, echoes: true}},
		{"deep down nothing is looked at", strings.Repeat(`{"content":`, 100) + `"abc"` + strings.Repeat("}", 100), found{}},
		{"behind the deep it goes on", `{"a":` + strings.Repeat(`[{"content":`, 100) + `"abc"` + strings.Repeat("}]", 100) + `,"model":"m"}`, found{model: "m", models: 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			whole, ok := scan(t, answerRole, row.text)
			if whole != row.want || !ok {
				t.Errorf("found %+v, whole %v, want %+v", whole, ok, row.want)
			}
			if got, ok := scan(t, answerRole, strings.Split(row.text, "")...); got != row.want || !ok {
				t.Errorf("byte by byte it found %+v, whole %v", got, ok)
			}
			if len(row.text) > 1000 {
				return
			}
			for at := range row.text {
				if got, ok := scan(t, answerRole, row.text[:at], row.text[at:]); got != row.want || !ok {
					t.Errorf("split at %d it found %+v, whole %v", at, got, ok)
				}
			}
		})
	}
}

func TestScannerReadsRequests(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		want       found
	}{
		{"a stream is asked for", `{"model":"m","stream":true}`, found{model: "m", models: 1, streams: true}},
		{"a stream isn't asked for", `{"stream":false,"model":"m"}`, found{model: "m", models: 1}},
		{"any true of several counts", `{"stream":true,"stream":false}`, found{streams: true}},
		{"a string is not true", `{"stream":"true"}`, found{}},
		{"every model counts", `{"model":"a","model":"b"}`, found{model: "b", models: 2}},
		{"a model by another case counts", `{"model":"a","MODEL":"b"}`, found{model: "b", models: 2}},
		{"a session has a model", `{"session":{"type":"realtime","model":"a"}}`, found{model: "a", models: 1}},
		{"the models of messages are none", `{"messages":[{"model":"a"}],"metadata":{"model":"b","stream":true}}`, found{}},
		{"what a model reads counts", `{"messages":[{"role":"user","content":"abc"},{"content":[{"type":"text","text":"de"},{"image_url":{"url":"data:…"}}]}]}`, found{text: 5}},
		{"inputs count", `{"input":["abc","de"],"instructions":"f"}`, found{text: 6}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for at := range row.text {
				if got, ok := scan(t, requestRole, row.text[:at], row.text[at:]); got != row.want || !ok {
					t.Errorf("split at %d it found %+v, whole %v, want %+v", at, got, ok, row.want)
				}
			}
		})
	}
}

func TestScannerStopsAtWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `"a`, `"\u00`, "[", "[1", "[1,", // cut short
		"}", "]", ",", ":", "{]", "[}", "{,}", "[,]", `{"a"}`, `{"a":}`, `{"a":1,}`, "[1,]", `{1:2}`, `{"a" 1}`, `{"a":1 2}`, "[1 2]",
		`{"a":"b" "c":1}`, `{"a":"b":1}`, "{} {}", "1 2", `"a" "b"`, "{'a':1}", `{"a":1}//`, `{/**/"a":1}`, "{\x00}", `"\u00g0"`, "\ufeff{}",
		"{\x00\"\x00m\x00",
	} {
		if got, whole := scan(t, requestRole, text); whole {
			t.Errorf("%q is whole: %+v", text, got)
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
		`[[[[]]],{"usage":{}}]`, `"usage"`, `12`, strings.Repeat("[", 70) + strings.Repeat("]", 70),
		strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70),
	} {
		f.Add([]byte(text), []byte{3, 1, 200})
	}
	f.Fuzz(func(t *testing.T, text, sizes []byte) {
		pieces := cut(string(text), sizes)
		got, whole := scan(t, answerRole, pieces...)
		if again, wholeAgain := scan(t, answerRole, string(text)); again != got || whole != wholeAgain {
			t.Fatalf("%q in pieces gives %+v, %v, at once %+v, %v", text, got, whole, again, wholeAgain)
		}
		if !json.Valid(text) {
			return
		}
		if !whole {
			t.Fatalf("%q is valid", text)
		}
		if !utf8.Valid(text) || len(text) > maxCapture {
			return
		}
		var want found
		oracle(t, text, true, &want)
		if got.usage != want.usage || got.models != want.models || len(want.model) <= maxWord && got.model != want.model {
			t.Fatalf("%q gives %+v, want %+v", text, got, want)
		}
	})
}

// oracle finds the members of an answer by encoding/json.
func oracle(t *testing.T, text []byte, top bool, into *found) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		switch {
		case name == "usage" && value[0] == '{':
			into.usage = string(value)
		case name == "model":
			into.models++
			into.model = ""
			if value[0] == '"' {
				if err := json.Unmarshal(value, &into.model); err != nil {
					t.Fatal(err)
				}
			}
		case top && (name == "response" || name == "session"):
			oracle(t, value, false, into)
		}
	}
}

// cut cuts a text into pieces of the sizes, and what they leave.
func cut(text string, sizes []byte) []string {
	var pieces []string
	for _, size := range sizes {
		n := min(int(size), len(text))
		pieces = append(pieces, text[:n])
		text = text[n:]
	}
	return append(pieces, text)
}
