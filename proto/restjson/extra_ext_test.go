package restjson_test

import (
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// known returns the number of the members `a` and `b`.
func known(name string) int {
	switch name {
	case "a":
		return 0
	case "b":
		return 1
	default:
		return -1
	}
}

// message writes an object with this extra_json, a member `b` that is null, and,
// if a is set, a member `a` with the value 1.
func message(extraJSON string, a bool) writing {
	return func(e *restjson.Encoder) error {
		var o restjson.ObjectWriter
		err := e.Open(&o, extraJSON, known)
		if err != nil {
			return err
		}
		if a && e.Member(&o, 0, `"a":`, true) {
			e.Raw("1")
		}
		e.Null(&o, 1, `"b":`)
		return e.Close(&o)
	}
}

func TestExtraJSON_IsMerged(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, extra string
		a           bool
		want        string
	}{
		{"none", ``, true, `{"a":1,"b":null}`},
		{"an empty object", `{}`, true, `{"a":1,"b":null}`},
		{"an empty object with space", " {\n} ", true, `{"a":1,"b":null}`},
		{"members stand last, in their order, verbatim", `{"z":1.0,"c":"\u0061", "d" : [ ]}`, true, `{"a":1,"b":null,"z":1.0,"c":"\u0061", "d" : [ ]}`},
		{"space around the members goes", " \t{\r\n \"c\": {} \n} ", true, `{"a":1,"b":null,"c": {}}`},
		{"a known member that is unset", `{"a":"x"}`, false, `{"b":null,"a":"x"}`},
		{"a known member that would be null", `{"b":"x"}`, true, `{"a":1,"b":"x"}`},
		{"repeated names that aren't known", `{"c":1,"c":2}`, true, `{"a":1,"b":null,"c":1,"c":2}`},
		{"lone surrogates", `{"c":"\ud800"}`, true, `{"a":1,"b":null,"c":"\ud800"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := written(t, message(row.extra, row.a)); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestExtraJSON_ConflictsAreRejected(t *testing.T) {
	t.Parallel()
	fixed := []restjson.Constant{{Name: "stream", JSON: "true"}, {Name: "n\n"}}
	const conflict, notOne = "extra_json: ", "extra_json: must be the text of one JSON object: "
	for _, row := range []struct{ name, extra, want string }{
		{"a member that is set as a typed field", `{"a":2}`, conflict + `"a" is also set as a typed field: remove one`},
		{"also if it has the same value", `{"a":1}`, conflict + `"a" is also set as a typed field: remove one`},
		{"also if it is null", `{"a":null}`, conflict + `"a" is also set as a typed field: remove one`},
		{"also in another spelling", `{"\u0061":2}`, conflict + `"a" is also set as a typed field: remove one`},
		{"also among others", `{"c":[{"a":1}],"a":2,"d":1}`, conflict + `"a" is also set as a typed field: remove one`},
		{"a member that the RPC decides", `{"stream":false}`, conflict + `"stream" is set by the RPC: remove it`},
		{"a member that the RPC leaves out", `{"c":1,"n\n":1}`, conflict + `"n\n" is set by the RPC: remove it`},
		{"an array", `[]`, notOne + "malformed JSON at byte 0: expected an object"},
		{"a string", `"c"`, notOne + "malformed JSON at byte 0: expected an object"},
		{"space alone", ` `, notOne + "malformed JSON at byte 1: expected an object"},
		{"members without braces", `"c":1`, notOne + "malformed JSON at byte 0: expected an object"},
		{"text after it", `{"c":1}}`, notOne + "malformed JSON at byte 7: unexpected data after the object"},
		{"a second object", `{"c":1}{"d":1}`, notOne + "malformed JSON at byte 7: unexpected data after the object"},
		{"malformed JSON", `{"c":{"d":tru}}`, notOne + "malformed JSON at byte 10, in c.d: expected a value"},
		{"an object that does not end", `{"c":1`, notOne + "malformed JSON at byte 6, in c: expected a comma or the end of the object"},
		{"bytes that are not UTF-8", "{\"c\":\"\xff\"}", notOne + "malformed JSON at byte 6, in c: invalid UTF-8"},
		{"too deep", `{"c":` + strings.Repeat("[", restjson.MaxDepth), notOne + "malformed JSON at byte 10005, in c" + strings.Repeat("[0]", 66) + "[…: too many nested objects and arrays (maximum 10000)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := restjson.AppendRequest(nil, message(row.extra, true), fixed)
			checkFieldError(t, err, row.want)
		})
	}
}

func TestFixedMembers_AreLastInOutermostObject(t *testing.T) {
	t.Parallel()
	outer := writing(func(e *restjson.Encoder) error {
		var o restjson.ObjectWriter
		err := e.Open(&o, `{"c":1}`, known)
		if err != nil {
			return err
		}
		if e.Member(&o, 0, `"a":`, true) {
			if err := message(`{"stream":false}`, true)(e); err != nil {
				return restjson.Field("a", err)
			}
		}
		return e.Close(&o)
	})
	got, err := restjson.AppendRequest(nil, outer, []restjson.Constant{{Name: "absent"}, {Name: "stream", JSON: "true"}})
	if want := `{"a":{"a":1,"b":null,"stream":false},"c":1,"stream":true}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestEncoder_RequiredMembers(t *testing.T) {
	t.Parallel()
	required := func(extraJSON string) writing {
		return func(e *restjson.Encoder) error {
			var o restjson.ObjectWriter
			err := e.Open(&o, extraJSON, known)
			if err != nil {
				return err
			}
			e.Required(&o, 0, `"a":`, "a_field")
			e.Required(&o, 1, `"b":`, "b_field")
			if err := e.Close(&o); err != nil {
				return restjson.Field("m", err)
			}
			return nil
		}
	}
	t.Run("a reply has null for them", func(t *testing.T) {
		t.Parallel()
		got, err := restjson.AppendFull(nil, required(``))
		if err != nil || string(got) != `{"a":null,"b":null}` {
			t.Errorf("got %s, %v", got, err)
		}
	})
	t.Run("a request is rejected with the name of the first", func(t *testing.T) {
		t.Parallel()
		_, err := restjson.AppendRequest(nil, required(``), nil)
		checkFieldError(t, err, "m.a_field: is required")
	})
	t.Run("extra_json may have them, in another form", func(t *testing.T) {
		t.Parallel()
		got, err := restjson.AppendRequest(nil, required(`{"b":[],"a":5}`), nil)
		if err != nil || string(got) != `{"b":[],"a":5}` {
			t.Errorf("got %s, %v", got, err)
		}
	})
}

func TestExtraHas(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, extra, member string
		want                bool
	}{
		{"nothing", ``, "a", false},
		{"the member", `{"b":{"a":1},"a":2}`, "a", true},
		{"the member, in another spelling", `{"\u0061":2}`, "a", true},
		{"the name further down alone", `{"b":{"a":1},"c":["a"]}`, "a", false},
		{"the beginning of the name", `{"ab":1}`, "a", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := restjson.ExtraHas(row.extra, row.member); got != row.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestSet_HoldsMaxMembers(t *testing.T) {
	t.Parallel()
	// A message may have up to MaxMembers members, all distinct.
	names := make([]string, restjson.MaxMembers)
	number := make(map[string]int)
	for i := range names {
		names[i] = "m" + strings.Repeat("x", i)
		number[names[i]] = i
	}
	find := func(name string) int {
		if i, ok := number[name]; ok {
			return i
		}
		return -1
	}
	for taken := range names {
		got := written(t, func(e *restjson.Encoder) error {
			var o restjson.ObjectWriter
			err := e.Open(&o, `{"`+names[taken]+`":1}`, find)
			if err != nil {
				return err
			}
			for i, name := range names {
				if e.Member(&o, i, `"`+name+`":`, false) == (i == taken) {
					t.Errorf("member %d, with %d in extra_json", i, taken)
				} else if i != taken {
					e.Raw("0")
				}
			}
			return e.Close(&o)
		})
		if !strings.HasSuffix(got, `,"`+names[taken]+`":1}`) {
			t.Errorf("member %d of extra_json is missing", taken)
		}
	}
}
