package jsontree_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

func parse(t *testing.T, text string) jsontree.Value {
	t.Helper()
	v, err := jsontree.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestParse_KeepsSpelling(t *testing.T) {
	t.Parallel()
	v := parse(t, ` {"b" : 1.50, "a":[ null ,true,{} ], "b": "\u0041\/" } `)
	want := []struct{ name, text string }{
		{`"b"`, `"b" : 1.50`},
		{`"a"`, `"a":[ null ,true,{} ]`},
		{`"b"`, `"b": "\u0041\/"`},
	}
	if len(v.Members) != len(want) {
		t.Fatalf("want %d members, got %+v", len(want), v.Members)
	}
	for i, m := range v.Members {
		if m.Name != want[i].name || m.Text != want[i].text || !strings.HasSuffix(m.Text, m.Value.Text) {
			t.Errorf("got %+[2]v, want %+[1]v", want[i], m)
		}
	}
	kinds := []jsontree.Kind{jsontree.Null, jsontree.Bool, jsontree.Object}
	for i, item := range v.Members[1].Value.Items {
		if item.Kind != kinds[i] {
			t.Errorf("got %[2]v, want %[1]v", kinds[i], item.Kind)
		}
	}
	if first, ok := v.Find("b"); !ok || first.Text != "1.50" {
		t.Errorf("got %+v, want the first b", first)
	}
	if _, ok := v.Find("c"); ok {
		t.Error("found a missing member")
	}
	if got := string(v.Append(nil, nil)); got != `{"b":1.50,"a":[null,true,{}],"b":"\u0041\/"}` {
		t.Errorf("got %s", got)
	}
	if got := string(v.Members[1].Value.Append(nil, func() string { return " " })); got != `[ null , true , {} ]` {
		t.Errorf("got %s", got)
	}
}

func TestParse_RejectsInvalidJSON(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text string }{
		{"nothing", ``},
		{"two values", `1 2`},
		{"a comma too many", `[1,]`},
		{"a member without a value", `{"a"}`},
		{"an unknown escape", `"\x"`},
		{"an object that does not end", `{"a":1`},
		{"a number with a zero before it", `01`},
		{"text that is not UTF-8", "\"\xff\""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if v, err := jsontree.Parse([]byte(row.text)); err == nil {
				t.Errorf("got %+v, want an error", v)
			}
		})
	}
}

func TestUnquote(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, want string }{
		{"a plain string", `"abc"`, "abc"},
		{"every escape", `"\"\\\/\b\f\n\r\t\u00e9"`, "\"\\/\b\f\n\r\té"},
		{"a pair of surrogates", `"\ud83d\uDE00!"`, "😀!"},
		{"a high surrogate alone", `"\ud83d!"`, "\xed\xa0\xbd!"},
		{"a low surrogate alone", `"\ude00"`, "\xed\xb8\x80"},
		{"two high surrogates and a low one", `"\ud83d\ud83d\ude00"`, "\xed\xa0\xbd😀"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := jsontree.Unquote(row.text); got != row.want {
				t.Errorf("got %[2]q, want %[1]q", row.want, got)
			}
		})
	}
	if got := jsontree.Unquote(jsontree.Quote("<a>\x00\"\u2028")); got != "<a>\x00\"\u2028" {
		t.Errorf("got %q", got)
	}
}

func TestShrink(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, culprit, want string }{
		{"a member among many", `{"a":[1,2],"b":{"c":"x","d":[{"bad":7},8]},"e":null}`, `"bad"`, `{"b":{"d":[{"bad":0}]}}`},
		{"a character of a long string", `{"text":"` + strings.Repeat("é", 5000) + `☃` + strings.Repeat("e", 5000) + `"}`, "☃", `{"text":"☃"}`},
		{"an escape", `["abc\u0000def"]`, `\u0000`, `["\u0000"]`},
		{"a pair of surrogates", `["\ud83d\ude00\ud83d\ude01"]`, `\ude01`, `["\ud83d\ude01"]`},
		{"an item of a long list", `[` + strings.Repeat(`{"a":1},`, 500) + `13]`, `13`, `[13]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := jsontree.Shrink(parse(t, row.text), 1000, func(v jsontree.Value) bool {
				return strings.Contains(string(v.Append(nil, nil)), row.culprit)
			})
			if text := string(got.Append(nil, nil)); text != row.want {
				t.Errorf("got %[2]s, want %[1]s", row.want, text)
			}
		})
	}
}

func TestShrink_LimitsTries(t *testing.T) {
	t.Parallel()
	tried := 0
	v := parse(t, `[`+strings.TrimSuffix(strings.Repeat("1,", 1000), ",")+`]`)
	jsontree.Shrink(v, 10, func(jsontree.Value) bool {
		tried++
		return tried%2 == 0
	})
	if tried != 10 {
		t.Errorf("got %d tries, want 10", tried)
	}
}

func TestShrink_KeepsOriginalValue(t *testing.T) {
	t.Parallel()
	v := parse(t, `{"a":[1,2,{"b":"c"}]}`)
	before := string(v.Append(nil, nil))
	for i := range 20 {
		jsontree.Shrink(v, i, func(jsontree.Value) bool { return true })
		if after := string(v.Append(nil, nil)); after != before {
			t.Fatal("after " + strconv.Itoa(i) + " tries: " + after)
		}
	}
}
