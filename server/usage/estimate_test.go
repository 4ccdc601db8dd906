package usage

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// sample is a string with the token counts of real tokenizers.
type sample struct {
	Name, Kind, Text string
	O200k            int64 // by o200k_base, of OpenAI's models since GPT-4o
	Cl100k           int64 // by cl100k_base, of GPT-4's
}

func samples(tb testing.TB) []sample {
	tb.Helper()
	text, err := os.ReadFile("testdata/tokens.json")
	if err != nil {
		tb.Fatal(err)
	}
	var all []sample
	if err := json.Unmarshal(text, &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

// exact returns the maximum relative error of an estimate: 35 % for common kinds of text,
// and more for scripts of several languages, which the estimator does not distinguish.
func maxError(kind string) float64 {
	switch kind {
	case "english", "chinese", "code", "japanese", "numbers", "random", "russian", "arabic", "korean", "german", "french", "spanish":
		return 0.35
	default:
		return 0.5
	}
}

func TestEstimate_IsCloseToTheTokenizer(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			got := tokensOf(costOf(s.Text))
			ratio := float64(got) / float64(s.O200k)
			t.Logf("%d tokens, want %d: %.2f; %.2f of cl100k_base's", got, s.O200k, ratio, float64(got)/float64(s.Cl100k))
			if tolerance := maxError(s.Kind); ratio < 1-tolerance || ratio > 1+tolerance {
				t.Errorf("got an estimate of %d tokens, want %d with a relative error of at most %v", got, s.O200k, tolerance)
			}
		})
	}
}

// escape returns a JSON string in ASCII.
func escape(tb testing.TB, text string) string {
	tb.Helper()
	var escaped strings.Builder
	encoded, err := json.Marshal(text)
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range string(encoded) {
		switch {
		case r < 0x80:
			escaped.WriteRune(r)
		case r < 0x10000:
			escaped.WriteString(unit(r))
		default:
			escaped.WriteString(unit(0xd800+(r-0x10000)>>10) + unit(0xdc00+(r-0x10000)&0x3ff))
		}
	}
	return escaped.String()
}

func unit(code rune) string {
	const digits = "0123456789abcdef"
	return `\u` + string([]byte{digits[code>>12&15], digits[code>>8&15], digits[code>>4&15], digits[code&15]})
}

func TestEstimate_IsTheSameInPiecesAndEscaped(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		want := costOf(s.Text)
		encoded, err := json.Marshal(s.Text)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"plain": string(encoded), "escaped": escape(t, s.Text)} {
			for _, size := range []int{1, 2, 3, 7, 1000} {
				scanner := scanner{roleOf: responseRole}
				rest := `{"content":` + text + `}`
				for len(rest) > 0 {
					n := min(size, len(rest))
					scanner.write([]byte(rest[:n]))
					rest = rest[n:]
				}
				if got := scanner.cost(); got != want || !scanner.isComplete() {
					t.Errorf("%s, %s in pieces of %d bytes: got cost %d, want %d", s.Name, name, size, got, want)
				}
			}
		}
	}
}

func TestEstimate_DoesNotDependOnDeltas(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		want := tokensOf(costOf(s.Text))
		runes := []rune(s.Text)
		for _, size := range []int{1, 4, 30} {
			m := eventMeter()
			for from := 0; from < len(runes); from += size {
				piece, err := json.Marshal(string(runes[from:min(from+size, len(runes))]))
				if err != nil {
					t.Fatal(err)
				}
				m.write([]byte(`data: {"choices":[{"delta":{"content":` + string(piece) + "}}]}\n\n"))
			}
			if got := m.response().Usage.Output; got != want {
				t.Errorf("%s, in deltas of %d characters: got %d tokens, want %d", s.Name, size, got, want)
			}
		}
	}
}

// FuzzEstimate checks that the cost of a string does not depend on its pieces and is at
// most two tokens per byte.
func FuzzEstimate(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.Text[:min(len(s.Text), 200)], []byte{1, 3, 2})
	}
	f.Fuzz(func(t *testing.T, text string, sizes []byte) {
		want := costOf(text)
		var e estimator
		for _, piece := range cut(text, sizes) {
			e.write([]byte(piece))
		}
		if e.cost != want || want > 2*costUnit*int64(len(text)) {
			t.Fatalf("%q in pieces: got cost %d, want %d as in one piece", text, e.cost, want)
		}
	})
}

func BenchmarkEstimate(b *testing.B) {
	for _, s := range samples(b) {
		switch s.Name {
		case "english story", "chinese story", "code rust":
		default:
			continue
		}
		b.Run(strings.ReplaceAll(s.Name, " ", "-"), func(b *testing.B) {
			text := []byte(s.Text)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				var e estimator
				e.write(text)
			}
		})
	}
}
