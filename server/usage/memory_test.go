package usage

import (
	"strings"
	"testing"
)

// compareMemory compares what two scanners find in texts that come one after another, one
// of which remembers how they begin.
func compareMemory(t *testing.T, texts []string, sizes []byte) {
	t.Helper()
	with, without := scanner{roleOf: answerRole, memory: &memory{}}, scanner{roleOf: answerRole}
	var model, modelWithout string
	for _, text := range texts {
		for _, piece := range cut(text, sizes) {
			with.write([]byte(piece))
			without.write([]byte(piece))
		}
		got := found{told: with.told, models: with.models, echoes: with.echoes, streams: with.last, cost: with.cost()}
		want := found{told: without.told, models: without.models, echoes: without.echoes, streams: without.last, cost: without.cost()}
		if got != want || with.whole() != without.whole() {
			t.Fatalf("of %q it finds %+v, whole %v, want %+v, %v", texts, got, with.whole(), want, without.whole())
		}
		if model == "" {
			model = string(with.model)
		}
		if modelWithout == "" {
			modelWithout = string(without.model)
		}
		if model != modelWithout {
			t.Fatalf("of %q the model is %q, want %q", texts, model, modelWithout)
		}
		with.reset()
		without.reset()
	}
}

// sequences are texts that come one after another, parted by NUL.
var sequences = []string{
	`{"model":"m","delta":{"content":"a"}}` + "\x00" + `{"model":"m","delta":{"content":"bc"},"usage":{}}` + "\x00" + `{"model":"m","delta":5}`,
	`{"usage":{"a":1},"text":"a"}` + "\x00" + `{"usage":{"a":2},"text":"a"}` + "\x00" + `{"usage":{"a":1},"text":"b"}`,
	`{"type":"x.done","text":"a"}` + "\x00" + `{"type":"x.delta","text":"a"}` + "\x00" + `{"type":"x.done","text":"b"}`,
	`{"model":"","text":"a"}` + "\x00" + `{"model":"","text":"a","model":"m"}` + "\x00" + ` {"model":"","text":"a"`,
	`{"text":"a"}` + "\x00" + ` "text":"b"`,
	`{"eval_count":5,"text":"a"}` + "\x00" + `{"eval_count":6,"text":"a"}` + "\x00" + `{"eval_count":7,"text":"b"}`,
	`{"type":"message_stop","text":"a"}` + "\x00" + `{"type":"message_stop","text":"b"}` + "\x00" + `{"type":"x","text":"b"}`,
	`{"done":true,"text":"a"}` + "\x00" + `{"done":true,"text":"b"}` + "\x00" + `{"done":false,"text":"b"}`,
	`{"delta":{"reasoning":"a","reasoning_content":"a"}}` + "\x00" + `{"delta":{"reasoning":"b","reasoning_content":"b"}}`,
	`{"choices":[{"usage":{"total_tokens":1},"text":"a"}]}` + "\x00" + `{"choices":[{"usage":{"total_tokens":2},"text":"a"}]}`,
	`{"text":["a"]}` + "\x00" + `{"text":["b",["c"]],"response":{"text":"d"}}` + "\x00" + `{"text"`,
	`{"a":[{"text":"a"}]}` + "\x00" + `{"a":[{"text":"a"}]]` + "\x00" + `{"a":[{"text":}]}` + "\x00" + `{"a":[{"text":"a"}]}`,
	`{"a":"` + strings.Repeat("x", maxRemembered) + `","text":"a"}` + "\x00" + `{"a":"` + strings.Repeat("x", maxRemembered) + `","text":"b"}`,
}

func TestWhatIsRememberedIsAsIfItWasRead(t *testing.T) {
	t.Parallel()
	for _, sequence := range sequences {
		texts := strings.Split(sequence, "\x00")
		compareMemory(t, texts, nil)
		for size := range 40 {
			compareMemory(t, texts, []byte{byte(size)})
		}
	}
}

// FuzzMemory compares a scanner that remembers with one that doesn't.
func FuzzMemory(f *testing.F) {
	for _, sequence := range sequences {
		f.Add(sequence, []byte{})
		f.Add(sequence, []byte{1, 20})
	}
	f.Fuzz(func(t *testing.T, sequence string, sizes []byte) {
		compareMemory(t, strings.Split(sequence, "\x00"), sizes)
	})
}
