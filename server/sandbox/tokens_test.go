package sandbox

import (
	"slices"
	"strings"
	"testing"
)

func TestTokens_SplitText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                      nil,
		"Hello, world!":         {"Hello", ",", " world", "!"},
		"extraordinary":         {"extraord", "inary"},
		`{"a":"b c"}`:           {`{"`, "a", `":"`, "b", " c", `"}`},
		"one  two\n\nthree ":    {"one", "  ", "two", "\n\n", "three", " "},
		"Grüße an 你好":           {"Grüße", " an", " 你好"},
		"👋🏽 wave":               {"👋🏽", " wave"},
		"snake_case 12345678 9": {"snake_ca", "se", " 12345678", " 9"},
	} {
		if got := tokens(text); !slices.Equal(got, want) {
			t.Errorf("tokens of %q are %q, want %q", text, got, want)
		}
	}
}

func TestTextOfTokens_ReturnsExactCount(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "Hello", `You said: "Hi"`, "a b  ", "1 2 3"} {
		for _, count := range []int{1, 2, 3, 5, 100, 12345} {
			if got := tokens(strings.Join(textOfTokens(count, text), "")); len(got) != count {
				t.Errorf("want %d tokens of %q, got %d", count, text, len(got))
			}
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add("Hello, world!  \n")
	f.Add("\xff\xfe x")
	f.Fuzz(func(t *testing.T, text string) {
		got := tokens(text)
		if strings.Join(got, "") != text || slices.Contains(got, "") || len(got) != countTokens(text) {
			t.Errorf("tokens of %q are %q", text, got)
		}
	})
}
