package restjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// writing is a message written by a function.
type writing func(*restjson.Encoder) error

func (w writing) EncodeREST(e *restjson.Encoder) error { return w(e) }

// written returns the output of a function.
func written(t *testing.T, w writing) string {
	t.Helper()
	text, err := restjson.AppendRequest(nil, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkFieldError checks that the error is a FieldError with this text.
func checkFieldError(t *testing.T, err error, want string) {
	t.Helper()
	checkIsFieldError(t, err)
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
}

func checkIsFieldError(t *testing.T, err error) {
	t.Helper()
	field, ok := errors.AsType[*restjson.FieldError](err)
	if !ok || field.Reason == "" {
		t.Fatalf("want a *restjson.FieldError with a reason, got %v", err)
	}
}

// specialStrings returns strings with special characters, for all tests.
func specialStrings() []string {
	all := []string{
		"", "Hello!", `"`, `\`, "/", "<script>&</script>", "\u2028\u2029", "é", "日本語 🙂", "\U0010FFFF", "\uFFFD", "\x7f", "\u0080",
		strings.Repeat("a", 100_000), strings.Repeat("\n", 1000),
	}
	for c := range rune(0x20) {
		all = append(all, "a"+string(c)+"b")
	}
	return all
}

func TestEncoder_StringsHaveMinimalEscapes(t *testing.T) {
	t.Parallel()
	for _, text := range specialStrings() {
		got := written(t, func(e *restjson.Encoder) error { return e.String(text) })
		var buf bytes.Buffer
		plain := json.NewEncoder(&buf)
		plain.SetEscapeHTML(false)
		if err := plain.Encode(text); err != nil {
			t.Fatal(err)
		}
		// encoding/json has \b and \f, and escapes what JavaScript once took
		// for line breaks.
		want := strings.NewReplacer(`\b`, `\u0008`, `\f`, `\u000c`, `\u2028`, "\u2028", `\u2029`, "\u2029").
			Replace(strings.TrimSuffix(buf.String(), "\n"))
		if got != want {
			t.Errorf("got %.100s, want %.100s", got, want)
		}
	}
}

func TestEncoder_RejectsInvalidUTF8(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("a", 40) + "\x80"} {
		_, err := restjson.AppendRequest(nil, writing(func(e *restjson.Encoder) error { return e.String(text) }), nil)
		checkFieldError(t, err, "is not valid UTF-8")
	}
}

// FuzzString writes a string and reads it with encoding/json.
func FuzzString(f *testing.F) {
	for _, text := range specialStrings()[:13] {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := restjson.AppendRequest(nil, writing(func(e *restjson.Encoder) error { return e.String(text) }), nil)
		if utf8.ValidString(text) != (err == nil) {
			t.Fatalf("%q: %v", text, err)
		}
		var back string
		if err == nil && (json.Unmarshal(got, &back) != nil || back != text) {
			t.Errorf("%q was written as %s", text, got)
		}
	})
}

func TestEncoder_DoublesMatchECMAScript(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		value float64
		want  string
	}{
		{0, "0"},
		{math.Copysign(0, -1), "-0"},
		{1, "1"},
		{-1.5, "-1.5"},
		{0.1, "0.1"},
		{100, "100"},
		{1e20, "100000000000000000000"},
		{1e21, "1e+21"},
		{1.5e300, "1.5e+300"},
		{1e-6, "0.000001"},
		{1e-7, "1e-7"},
		{-2.5e-9, "-2.5e-9"},
		{1e-10, "1e-10"},
		{5e-324, "5e-324"},
		{math.MaxFloat64, "1.7976931348623157e+308"},
		{-9999.0, "-9999"},
		{0.30000000000000004, "0.30000000000000004"},
	} {
		if got := written(t, func(e *restjson.Encoder) error { return e.Double(row.value) }); got != row.want {
			t.Errorf("got %s, want %s", got, row.want)
		}
	}
}

func TestEncoder_DoublesRoundTripAndMatchEncodingJSON(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		v := math.Float64frombits(random.Uint64())
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		got := written(t, func(e *restjson.Encoder) error { return e.Double(v) })
		want, err := json.Marshal(v)
		if err != nil || got != string(want) {
			t.Fatalf("got %s, want %s (%v)", got, want, err)
		}
		p := testMessage[float64]{read: (*restjson.Decoder).Double}
		if err := restjson.Unmarshal([]byte(`{"v":`+got+`}`), &p); err != nil || p.value != v {
			t.Fatalf("%s was read as %v (%v)", got, p.value, err)
		}
	}
}

func TestEncoder_RejectsNonFiniteDoubles(t *testing.T) {
	t.Parallel()
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		_, err := restjson.AppendRequest(nil, writing(func(e *restjson.Encoder) error { return e.Double(v) }), nil)
		checkFieldError(t, err, "is a number that JSON cannot represent")
	}
}

func TestEncoder_Scalars(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		w    writing
		want string
	}{
		{"true", func(e *restjson.Encoder) error { return e.Bool(true) }, "true"},
		{"false", func(e *restjson.Encoder) error { return e.Bool(false) }, "false"},
		{"the smallest int32", func(e *restjson.Encoder) error { return e.Int32(math.MinInt32) }, "-2147483648"},
		{"the largest int64", func(e *restjson.Encoder) error { return e.Int64(math.MaxInt64) }, "9223372036854775807"},
		{"no bytes", func(e *restjson.Encoder) error { return e.Bytes(nil) }, `""`},
		{"bytes as base64, padded", func(e *restjson.Encoder) error { return e.Bytes([]byte{0xfb, 0xff, 0}) }, `"+/8A"`},
		{"a byte as base64", func(e *restjson.Encoder) error { return e.Bytes([]byte{0}) }, `"AA=="`},
		{"no octets", func(e *restjson.Encoder) error { return e.ByteArray(nil) }, `[]`},
		{"octets", func(e *restjson.Encoder) error { return e.ByteArray([]byte{0, 7, 255}) }, `[0,7,255]`},
		{"a time", func(e *restjson.Encoder) error { return e.Time(&timestamppb.Timestamp{Seconds: 1730000000}) }, "1730000000"},
		{"a time before the epoch", func(e *restjson.Encoder) error { return e.Time(&timestamppb.Timestamp{Seconds: -1}) }, "-1"},
		{"an object's text, verbatim", func(e *restjson.Encoder) error { return e.JSONObject(` { "b":1.0, "a":"\u0061" } `) }, ` { "b":1.0, "a":"\u0061" } `},
		{"an empty list", func(e *restjson.Encoder) error { return restjson.WriteList(e, []bool(nil), e.Bool) }, `[]`},
		{"a list", func(e *restjson.Encoder) error { return restjson.WriteList(e, []string{"a", ""}, e.String) }, `["a",""]`},
		{"an empty map", func(e *restjson.Encoder) error { return restjson.WriteMap(e, map[string]bool(nil), e.Bool) }, `{}`},
		{"a map, sorted by key", func(e *restjson.Encoder) error {
			return restjson.WriteMap(e, map[string]int32{"b": 1, "a\"": 2, "": 3, "é": 4}, e.Int32)
		}, `{"":3,"a\"":2,"b":1,"é":4}`},
		{"an enum", func(e *restjson.Encoder) error { return restjson.WriteEnum(e, color(1), spellColor) }, `"red"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := written(t, row.w); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func spellColor(c color) string {
	return map[color]string{1: `"red"`, 2: `"green"`}[c]
}

func TestEncoder_ErrorsNameTheField(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		w    writing
		want string
	}{
		{"a number that an enum lacks", func(e *restjson.Encoder) error { return restjson.WriteEnum(e, color(7), spellColor) }, "7 is not a known value"},
		{"an item", func(e *restjson.Encoder) error {
			return restjson.Field("list", restjson.WriteList(e, []float64{0, math.NaN()}, e.Double))
		}, "list[1]: is a number that JSON cannot represent"},
		{"a map's value", func(e *restjson.Encoder) error {
			return restjson.Field("map", restjson.WriteMap(e, map[string]float64{"a b": math.Inf(1)}, e.Double))
		}, `map["a b"]: is a number that JSON cannot represent`},
		{"a map's key", func(e *restjson.Encoder) error {
			return restjson.Field("map", restjson.WriteMap(e, map[string]bool{"\xff": true}, e.Bool))
		}, `map["\xff"]: is not valid UTF-8`},
		{"far down", func(e *restjson.Encoder) error {
			return restjson.Field("a", restjson.Index(3, restjson.Field("b", e.Double(math.NaN()))))
		}, "a[3].b: is a number that JSON cannot represent"},
		{"a fraction of a second", func(e *restjson.Encoder) error {
			return restjson.Field("t", e.Time(&timestamppb.Timestamp{Nanos: 1}))
		}, "t: must be whole seconds"},
		{"a time after year 9999", func(e *restjson.Encoder) error {
			return restjson.Field("t", e.Time(&timestamppb.Timestamp{Seconds: 253402300800}))
		}, "t: must be within the years 1 to 9999"},
		{"a time before year 1", func(e *restjson.Encoder) error {
			return restjson.Field("t", e.Time(&timestamppb.Timestamp{Seconds: -62135596801}))
		}, "t: must be within the years 1 to 9999"},
		{
			"the text of an array", func(e *restjson.Encoder) error { return restjson.Field("j", e.JSONObject(`[]`)) },
			"j: must be the text of one JSON object: malformed JSON at byte 0: expected an object",
		},
		{
			"no text", func(e *restjson.Encoder) error { return restjson.Field("j", e.JSONObject(``)) },
			"j: must be the text of one JSON object: malformed JSON at byte 0: expected an object",
		},
		{
			"malformed text", func(e *restjson.Encoder) error { return restjson.Field("j", e.JSONObject(`{"a":[1,x]}`)) },
			"j: must be the text of one JSON object: malformed JSON at byte 8, in a[1]: expected a value",
		},
		{
			"the text of two objects", func(e *restjson.Encoder) error { return restjson.Field("j", e.JSONObject(`{} {}`)) },
			"j: must be the text of one JSON object: malformed JSON at byte 3: unexpected data after the object",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := restjson.AppendRequest(nil, row.w, nil)
			checkFieldError(t, err, row.want)
		})
	}
}

func TestField_PrefixesOtherErrors(t *testing.T) {
	t.Parallel()
	other := errors.New("other")
	err := restjson.Field("a", other)
	if err.Error() != "a: other" || !errors.Is(err, other) {
		t.Errorf("got %v", err)
	}
}

func TestAppendRequest_AppendsToBuffer(t *testing.T) {
	t.Parallel()
	for name, appended := range map[string]func([]byte, restjson.Encodable) ([]byte, error){
		"AppendFull": restjson.AppendFull,
		"AppendRequest": func(b []byte, m restjson.Encodable) ([]byte, error) {
			return restjson.AppendRequest(b, m, nil)
		},
	} {
		got, err := appended([]byte("data: "), writing(func(e *restjson.Encoder) error { return e.Bool(e.Full()) }))
		if want := "data: " + strconv.FormatBool(name == "AppendFull"); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}
