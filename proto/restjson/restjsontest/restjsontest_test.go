package restjsontest

import (
	"strings"
	"testing"
)

func TestSame_ComparesValues(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, want, got, err string }{
		{"the order of members doesn't matter", `{"a":1,"b":[{"c":null}]}`, ` { "b" : [ {"c":null} ] , "a":1 } `, ""},
		{"the form of a number doesn't matter", `[1, 100]`, `[1.0, 1e2]`, ""},
		{"the form of a string doesn't matter", `"a/é"`, `"\u0061\/\u00e9"`, ""},
		{"an absent member is null", `{"a":null}`, `{}`, ""},
		{"the order of items matters", `[1,2]`, `[2,1]`, "[0]: want 1, got 2"},
		{"a list isn't as long", `{"a":[1,2]}`, `{"a":[1]}`, ".a: want [1,2], got [1]"},
		{"a member is missing", `{"a":{"b":""}}`, `{"a":{}}`, `.a.b: want "", got null`},
		{"a member is too many", `{}`, `{"a":0}`, ".a: want null, got 0"},
		{"another type", `{"a":"1"}`, `{"a":1}`, `.a: want "1", got 1`},
		{"an object for a string", `{"a":"1"}`, `{"a":{}}`, `.a: want "1", got {}`},
		{"a list for null", `{"a":null}`, `{"a":[]}`, ".a: want null, got []"},
		{"another text altogether", `1`, `2`, "the text: want 1, got 2"},
		{"numbers that only look alike as doubles are still one", `9007199254740993`, `9007199254740992`, ""},
		{"malformed", `{`, `{}`, "in {"},
		{"more than one value", `{}`, `{}{}`, "unexpected data"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkError(t, Same([]byte(row.want), []byte(row.got)), row.err)
		})
	}
}

func TestSameButEmpty_ComparesValues(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, want, got, err string }{
		{"zero values and absent members are one", `{}`, `{"a":"","b":0,"c":false,"d":[],"e":{"f":null}}`, ""},
		{"other values are not", `{}`, `{"a":{"b":1}}`, ".a: want null, got"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkError(t, SameButEmpty([]byte(row.want), []byte(row.got)), row.err)
			checkError(t, SameButEmpty([]byte(row.got), []byte(row.want)), strings.Split(row.err, "want")[0])
		})
	}
}

func TestKept_FindsLosses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, in, out, err string }{
		{"null, absent and empty are one", `{"a":null,"b":[],"c":{}}`, `{"d":null,"e":[]}`, ""},
		{"required zero values are added", `{}`, `{"id":"","index":0,"flag":false}`, ""},
		{"constants are added", `{"a":{}}`, `{"a":{"type":"x"},"object":"y","mode":"z"}`, ""},
		{"one stop is a list of one", `{"stop":"x"}`, `{"stop":["x"]}`, ""},
		{"a message's list has two names", `{"content":[1]}`, `{"content":null,"content_parts":[1]}`, ""},
		{"a member was lost", `{"a":{"b":1}}`, `{"a":{}}`, ".a.b: 1 was lost"},
		{"a zero was lost", `{"a":0}`, `{}`, ".a: 0 was lost"},
		{"a member was added", `{}`, `{"a":1}`, ".a: 1 was added"},
		{"a constant was changed", `{"object":"a"}`, `{"object":"b"}`, `.object: "a" became "b"`},
		{"a constant is not an object", `{}`, `{"type":{"a":1}}`, ".type: "},
		{"items were lost", `{"a":[1,2]}`, `{"a":[1]}`, ".a: [1,2] became [1]"},
		{"long values are cut", `{"a":"` + strings.Repeat("x", 1000) + `"}`, `{}`, "x… was lost"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkError(t, Kept([]byte(row.in), []byte(row.out)), row.err)
		})
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		want       bool
	}{
		{"no name twice", `{"a":{"a":1},"b":[{"a":1},{"a":1}]}`, false},
		{"a name twice, far down", `{"a":[{"b":1,"b":1}]}`, true},
		{"a name twice, escaped", `{"a":1,"\u0061":1}`, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := Repeats([]byte(row.text))
			if err != nil || got != row.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if _, err := Repeats([]byte(`{"a"`)); err == nil {
		t.Error("malformed JSON must be an error")
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("want an error with %q, got %v", want, err)
	}
}
