package client_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// startEcho starts a server on an upstream that records the last request.
func startEcho(tb testing.TB) (echo *client.Client, received func() []byte) {
	tb.Helper()
	bodies := make(chan []byte, 1)
	echo = startUpstream(tb, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- body
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"a","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}`)
	})
	return echo, func() []byte {
		select {
		case body := <-bodies:
			return body
		default:
			return []byte("null")
		}
	}
}

// A message split at any position, even within a character, and mixed with empty
// deltas, is reassembled and sent unchanged.
func TestAccumulator_ReassemblesAnyMessage(t *testing.T) {
	t.Parallel()
	echo, received := startEcho(t)
	for seed := range uint64(300) {
		g := &deltaGenerator{rand.New(rand.NewPCG(seed, 1))}
		message, deltas := g.message()
		var whole client.Accumulator
		var shown strings.Builder
		for _, delta := range deltas {
			whole.Add(decoded(t, `{"choices":[{"index":0,"delta":`+delta+`}]}`, new(chatv1.ChatCompletionChunk)))
			shown.WriteString(whole.Added())
		}
		completion := whole.Completion()
		want := decoded(t, message, new(chatv1.Message))
		if got, want := asJSON(t, completion.GetChoices()[0].GetMessage()), asJSON(t, want); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got\n%s\nwant\n%s\nfor the deltas\n%s", seed, indent(t, got), indent(t, want), strings.Join(deltas, "\n"))
		}
		if got := client.TextOf(completion.GetChoices()[0].GetMessage()); got != strings.TrimSuffix(shown.String(), g.refusal(message)) {
			t.Errorf("seed %d: got displayed text %q, want %q", seed, &shown, got)
		}
		if _, err := echo.Chat.Create(t.Context(), ask(completion.GetChoices()[0].GetMessage())); err != nil {
			t.Fatalf("seed %d: %v: %s", seed, err, message)
		}
		sent, _ := values(t, received()).(map[string]any)
		messages, _ := sent["messages"].([]any)
		if want := values(t, []byte(message)); len(messages) != 1 || !reflect.DeepEqual(messages[0], want) {
			t.Fatalf("seed %d: got request messages\n%s\nwant\n%s", seed, indent(t, messages), indent(t, want))
		}
	}
}

// deltaGenerator generates messages and the deltas of a stream of each.
type deltaGenerator struct{ *rand.Rand }

// text returns a string of random characters.
func (g *deltaGenerator) text() string {
	var text strings.Builder
	for range 1 + g.IntN(8) {
		text.WriteString([]string{"a", " ", "\n", `"`, `\`, "\x00", "é", "世", "😀", "🙂", `\ud83d`, "/", "\u2028"}[g.IntN(13)])
	}
	return text.String()
}

// cut splits text into JSON strings. Some characters are escaped.
func (g *deltaGenerator) cut(text string) []string {
	units := utf16.Encode([]rune(text))
	pieces := []string{`"`}
	for i, unit := range units {
		last := &pieces[len(pieces)-1]
		isPairs := utf16.IsSurrogate(rune(unit)) && unit < 0xdc00
		next := g.IntN(3) == 0
		switch {
		case isPairs && !next && g.IntN(2) == 0: // a whole surrogate pair
			*last += string(utf16.DecodeRune(rune(unit), rune(units[i+1])))
			units[i+1] = 0xffff // a code unit that occurs nowhere else
		case unit == 0xffff:
		case utf16.IsSurrogate(rune(unit)) || g.IntN(4) == 0:
			*last += fmt.Sprintf(`\u%04x`, unit)
		default:
			quoted := jsonOf(string(rune(unit)))
			*last += quoted[1 : len(quoted)-1]
		}
		if next {
			*last += `"`
			pieces = append(pieces, `"`)
		}
	}
	pieces[len(pieces)-1] += `"`
	return pieces
}

// message returns a message of the model and deltas that it may arrive in.
func (g *deltaGenerator) message() (message string, deltas []string) {
	members := []string{`"role":"assistant"`}
	if g.IntN(2) == 0 {
		deltas = append(deltas, g.one(`{"role":"assistant","content":null}`, `{"role":"assistant"}`, `{"role":"","content":null}`))
	}
	members, deltas = g.add(members, deltas, "reasoning_content", "reasoning", "reasoning_text")
	if g.IntN(3) == 0 {
		parts, more := g.parts()
		members, deltas = append(members, `"content":`+parts), append(deltas, more...)
	} else {
		members, deltas = g.add(members, deltas, "content")
	}
	if g.IntN(4) == 0 {
		members, deltas = g.add(members, deltas, "refusal")
	}
	if g.IntN(2) == 0 {
		calls, more := g.calls()
		members, deltas = append(members, `"tool_calls":`+calls), append(deltas, more...)
	}
	return "{" + strings.Join(members, ",") + "}", append(deltas, "{}")
}

// add adds a random text with one of the names.
func (g *deltaGenerator) add(members, deltas []string, names ...string) ([]string, []string) {
	name, text := g.one(names...), g.text()
	quoted := jsonOf(text)
	for _, piece := range g.cut(text) {
		deltas = append(deltas, fmt.Sprintf(`{%q:%s%s}`, name, piece, g.one("", `,"role":""`, `,"role":"assistant"`, `,"refusal":null`, `,"tool_calls":[]`, `,"tool_calls":null`)))
	}
	return append(members, fmt.Sprintf("%q:%s", name, quoted)), deltas
}

// parts returns content in parts without consecutive text parts.
func (g *deltaGenerator) parts() (parts string, deltas []string) {
	var all []string
	kinds := []string{"text", "thinking"}
	for i := range 1 + g.IntN(4) {
		kind, text := kinds[i%2], g.text()
		quoted := jsonOf(text)
		all = append(all, fmt.Sprintf(`{"type":%q,%q:%s}`, kind, kind, quoted))
		for _, piece := range g.cut(text) {
			if kind == "text" && i > 0 && g.IntN(2) == 0 {
				deltas = append(deltas, `{"content":`+piece+`}`)
			} else {
				deltas = append(deltas, fmt.Sprintf(`{"content":[{"type":%q,%q:%s}]}`, kind, kind, piece))
			}
		}
	}
	return "[" + strings.Join(all, ",") + "]", deltas
}

// calls returns parallel tool calls in the style of one of several upstreams.
func (g *deltaGenerator) calls() (calls string, deltas []string) {
	var all []string
	var byCall [][]string
	manner := g.IntN(5)
	for i := range 1 + g.IntN(3) {
		arguments := map[string]string{g.text(): g.text()}
		text := jsonOf(arguments)
		quoted := jsonOf(text)
		name, id := fmt.Sprintf("read_file_%d", i), fmt.Sprintf("call_%d", i)
		all = append(all, fmt.Sprintf(`{"id":%q,"type":"function","function":{"name":%q,"arguments":%s}}`, id, name, quoted))
		var pieces []string
		for j, piece := range g.cut(text) {
			head := fmt.Sprintf(`"index":%d,`, []int{i, i, 0, 0, i}[manner])
			if manner == 2 { // ids instead of indexes
				head = ""
			}
			switch {
			case j == 0:
				pieces = append(pieces, fmt.Sprintf(`{%s"id":%q,"type":%s,"function":{"name":%q,"arguments":%s}}`, head, id, g.one(`"function"`, `""`, "null"), name, g.one(`""`, "{}", "null")))
			case manner == 4:
				head += fmt.Sprintf(`"id":%q,`, id)
			}
			repeated := g.one("", fmt.Sprintf(`"name":%q,`, name), `"name":"",`)
			pieces = append(pieces, fmt.Sprintf(`{%s"type":%s,"function":{%s"arguments":%s}}`, head, g.one(`""`, "null", `"function"`), repeated, piece))
		}
		byCall = append(byCall, pieces)
	}
	interleaved := manner == 0 || manner == 4
	for len(byCall) > 0 {
		i := 0
		if interleaved {
			i = g.IntN(len(byCall))
			if len(byCall[i]) > 0 && strings.Contains(byCall[i][0], `"name":"read_file`) {
				i = 0
			}
		}
		if len(byCall[i]) == 0 {
			byCall = slices.Delete(byCall, i, i+1)
			continue
		}
		deltas = append(deltas, `{"tool_calls":[`+byCall[i][0]+`]}`)
		byCall[i] = byCall[i][1:]
	}
	return "[" + strings.Join(all, ",") + "]", deltas
}

// jsonOf returns the JSON of a message.
func jsonOf(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (g *deltaGenerator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g *deltaGenerator) refusal(message string) string {
	var parsed struct{ Refusal string }
	_ = json.Unmarshal([]byte(message), &parsed)
	return parsed.Refusal
}

// hostileStreams returns the i-th small chunk of an endless stream, by kind.
var hostileStreams = map[string]func(i int) string{
	"text":   func(int) string { return `{"content":"x"}` },
	"halves": func(i int) string { return []string{`{"content":"\ud83d"}`, `{"content":"\ude00"}`}[i%2] },
	"parts": func(i int) string {
		return fmt.Sprintf(`{"content":[{"type":%q,"text":"x"}]}`, []string{"text", "a"}[i%2])
	},
	"calls":             func(i int) string { return fmt.Sprintf(`{"tool_calls":[{"id":"call%d","function":{"name":"f"}}]}`, i) },
	"calls of an index": func(i int) string { return fmt.Sprintf(`{"tool_calls":[{"index":%d}]}`, i) },
	"ids":               func(i int) string { return fmt.Sprintf(`{"tool_calls":[{"index":0,"id":"call%d"}]}`, i) },
	"names":             func(i int) string { return fmt.Sprintf(`{"tool_calls":[{"index":0,"function":{"name":"%d"}}]}`, i) },
	"arguments": func(int) string {
		return `{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}`
	},
	"arguments in chunks": func(int) string { return `{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}` },
	"objects":             func(int) string { return `{"tool_calls":[{"index":0,"function":{"arguments":{}}}]}` },
	"members":             func(i int) string { return fmt.Sprintf(`{"k%d":"v"}`, i) },
	"members of a member": func(i int) string { return fmt.Sprintf(`{"k":{"k%d":"v"}}`, i) },
	"unknown text":        func(int) string { return `{"reasoning":"v"}` },
	"lists":               func(i int) string { return fmt.Sprintf(`{"l":[{"index":%d,"text":"v"}]}`, i) },
	"lists of one item":   func(int) string { return `{"l":[{"index":0,"text":"v"}]}` },
	"lists without index": func(int) string { return `{"l":[{"type":"text","text":"v"}]}` },
	"audio":               func(int) string { return `{"audio":{"data":"AA==","transcript":"x"}}` },
}

// hostileChunks returns a stream of n chunks.
func hostileChunks(tb testing.TB, delta func(int) string, n int) []*chatv1.ChatCompletionChunk {
	tb.Helper()
	chunks := make([]*chatv1.ChatCompletionChunk, n)
	for i := range chunks {
		chunks[i] = decoded(tb, `{"choices":[{"index":0,"delta":`+delta(i)+`}]}`, new(chatv1.ChatCompletionChunk))
	}
	return chunks
}

// The time is linear in the number of chunks of any kind. Quadratic time would grow
// 256-fold for 16 times as many chunks.
func TestAccumulator_TakesLinearTime(t *testing.T) {
	const few, many, allowed = 500, 16 * 500, 80
	for name, delta := range hostileStreams {
		t.Run(name, func(t *testing.T) {
			fewer, more := hostileChunks(t, delta, few), hostileChunks(t, delta, many)
			for attempt := 1; ; attempt++ {
				base, took := timeOf(fewer), timeOf(more)
				if took <= allowed*max(base, 100*time.Microsecond) {
					return
				}
				if attempt == 5 {
					t.Fatalf("%d chunks took %v, %d took %v; want linear growth", few, base, many, took)
				}
			}
		})
	}
}

// timeOf returns the time to accumulate chunks.
func timeOf(chunks []*chatv1.ChatCompletionChunk) time.Duration {
	begin := time.Now()
	accumulated(chunks)
	return time.Since(begin)
}

func BenchmarkAccumulator(b *testing.B) {
	for name, delta := range hostileStreams {
		for _, pieces := range []int{1000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, pieces), func(b *testing.B) {
				chunks := hostileChunks(b, delta, pieces)
				b.ReportAllocs()
				for b.Loop() {
					accumulated(chunks)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pieces), "ns/piece")
			})
		}
	}
}
