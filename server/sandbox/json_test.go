package sandbox

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParse_PreservesOrderAndNumbers(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, want string }{
		"the order of fields":          {`{"b":1,"a":{"d":[],"c":null}}`, `{"b":1,"a":{"d":[],"c":null}}`},
		"number formats":               {`[1.0,1e400,-0,12345678901234567890]`, `[1.0,1e400,-0,12345678901234567890]`},
		"the last of duplicate fields": {`{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		"no HTML escapes":              {`"<&>"`, `"<&>"`},
		"white space":                  {" \n[ true ]\t", `[true]`},
	} {
		value, err := parse([]byte(row.text))
		if got := string(encode(value)); err != nil || got != row.want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, row.want)
		}
	}
}

func TestParse_RejectsInvalidJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "{", "[", `{"a"`, `{"a":}`, `{"a":1,}`, `[1,]`, `[1 2]`, `nul`, `01`, `"`, "1 2", "{}{}", "\x00",
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
	} {
		if value, err := parse([]byte(text)); err == nil {
			t.Errorf("%.20q was parsed as %v", text, value)
		} else if !strings.Contains(err.Error(), "byte ") {
			t.Errorf("%.20q: error %v has no byte offset", text, err)
		}
	}
}

// FuzzParse compares parse with encoding/json.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e3,"\ud800",null,true]}`, `[]`, `{"a":1,"a":2}`, `{`, "\"\xff\"", `{"a":{},}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parse([]byte(text))
		var want any
		wantErr := json.Unmarshal([]byte(text), &want)
		if strings.Count(text, "[")+strings.Count(text, "{") > maxDepth {
			return
		}
		if isRange := wantErr != nil && strings.Contains(wantErr.Error(), "cannot unmarshal number"); isRange {
			return
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: got error %v, want %v", text, err, wantErr)
		}
		if err != nil {
			return
		}
		var again any
		if err := json.Unmarshal(encode(got), &again); err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("%q became %s, %v", text, encode(got), err)
		}
	})
}
