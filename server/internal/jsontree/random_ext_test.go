package jsontree_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

func TestRandom_ValuesAreJSON(t *testing.T) {
	t.Parallel()
	var kinds [jsontree.Object + 1]int
	for seed := range uint64(3000) {
		r := jsontree.Random{Rand: rand.New(rand.NewPCG(seed, 0))}
		text := r.Value(4).Append(nil, r.Space)
		v, err := jsontree.Parse(text)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		kinds[v.Kind]++
	}
	for kind, n := range kinds {
		if n == 0 {
			t.Errorf("got no value of kind %v", jsontree.Kind(kind))
		}
	}
}

func TestRandom_QuoteKeepsText(t *testing.T) {
	t.Parallel()
	want := map[string]bool{
		`\u0000`: false, `\ud83d\udc`: false, `\n`: false, `\/`: false, "世": false, "\u007f": false, "\ufffd": false,
	}
	for seed := range uint64(5000) {
		r := jsontree.Random{Rand: rand.New(rand.NewPCG(seed, 1))}
		text := r.Text()
		quoted := r.Quote(text).Text
		if !utf8.ValidString(quoted) || jsontree.Unquote(quoted) != text {
			t.Fatalf("got %q, want %q", quoted, text)
		}
		for part := range want {
			want[part] = want[part] || strings.Contains(strings.ToLower(quoted), part)
		}
	}
	for part, found := range want {
		if !found {
			t.Errorf("no string contains %s", part)
		}
	}
}

func TestRandom_LoneSurrogateIsNotUnicode(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := jsontree.Random{Rand: rand.New(rand.NewPCG(seed, 2))}
		v := r.LoneSurrogate()
		if _, err := jsontree.Parse([]byte(v.Text)); err != nil {
			t.Fatalf("%v: %s", err, v.Text)
		}
		if utf8.ValidString(jsontree.Unquote(v.Text)) {
			t.Errorf("got Unicode %s", v.Text)
		}
	}
}

func TestRandom_PlainNamesAreUnique(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		r := jsontree.Random{Rand: rand.New(rand.NewPCG(seed, 3)), Plain: true}
		seen := make(map[string]bool)
		for _, member := range r.Object(1).Members {
			if seen[member.Name] {
				t.Fatalf("got %s twice", member.Name)
			}
			seen[member.Name] = true
		}
	}
}
