package restjson_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// checkValue reads text as the member `v`. If it matches, the value must be want and
// extra_json empty. If not, the field must be unchanged and extra_json must hold
// the member verbatim.
func checkValue[T any](t *testing.T, read func(*restjson.Decoder, *T) bool, text string, want T, matches bool) {
	t.Helper()
	p := testMessage[T]{read: read}
	if err := restjson.Unmarshal([]byte(`{"a":1,"v": `+text+` ,"b":2}`), &p); err != nil {
		t.Fatal(err)
	}
	extra := `{"a":1,"b":2}`
	if !matches {
		extra = `{"a":1,"v": ` + text + `,"b":2}`
	}
	if p.extra != extra {
		t.Errorf("extra_json is\n%s, want\n%s", p.extra, extra)
	}
	if !equal(p.value, want) {
		t.Errorf("the value is %v, want %v", p.value, want)
	}
}

func equal(a, b any) bool {
	if x, ok := a.(proto.Message); ok {
		return proto.Equal(x, b.(proto.Message))
	}
	return reflect.DeepEqual(a, b)
}

type valueRow[T any] struct {
	name, text string
	want       T
	matches    bool
}

func checkValues[T any](t *testing.T, read func(*restjson.Decoder, *T) bool, rows []valueRow[T]) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkValue(t, read, row.text, row.want, row.matches)
		})
	}
	t.Run("null is absent", func(t *testing.T) {
		t.Parallel()
		var zero T
		checkValue(t, read, `null`, zero, true)
	})
}

func TestDecoder_Strings(t *testing.T) {
	t.Parallel()
	checkValues(t, (*restjson.Decoder).String, []valueRow[string]{
		{"empty", `""`, "", true},
		{"plain", `"Hello!"`, "Hello!", true},
		{"every short escape", `"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t", true},
		{"escapes by number, in either case", `"\u0041\u00e9\u00E9\u20AC"`, "Aéé€", true},
		{"every hexadecimal digit", `"\u0123\u4567\u89ab\ucdef\u89AB\uCDEF"`, "\u0123\u4567\u89ab\ucdef\u89ab\ucdef", true},
		{"NUL", `"a\u0000b"`, "a\x00b", true},
		{"a surrogate pair", `"\ud83d\ude00"`, "😀", true},
		{"the first and the last surrogate pair", `"\ud800\udc00\udbff\udfff"`, "\U00010000\U0010FFFF", true},
		{"beside the surrogates", `"\ud7ff\ue000"`, "\uD7FF\uE000", true},
		{"noncharacters", `"\uffff\ufffe"`, "\uffff\ufffe", true},
		{"unescaped characters of any script", `"日本語 🙂"`, "日本語 🙂", true},
		{"escaped and unescaped", `"é\u00e9é"`, "ééé", true},
		{"a high surrogate alone", `"\ud800"`, "", false},
		{"a low surrogate alone", `"\udc00"`, "", false},
		{"a high surrogate before a letter", `"\ud800a"`, "", false},
		{"a high surrogate before an escape", `"\ud800\n"`, "", false},
		{"a high surrogate before an escaped letter", `"\ud800\u0041"`, "", false},
		{"two high surrogates", `"\ud800\ud800"`, "", false},
		{"a pair in the wrong order", `"\udc00\ud800"`, "", false},
		{"a high surrogate before a pair", `"\ud800\ud83d\ude00"`, "", false},
		{"a number", `1`, "", false},
		{"a boolean", `true`, "", false},
		{"an object", `{"a":["b"]}`, "", false},
		{"an array", `["b"]`, "", false},
	})
}

func TestDecoder_Booleans(t *testing.T) {
	t.Parallel()
	checkValues(t, (*restjson.Decoder).Bool, []valueRow[bool]{
		{"true", `true`, true, true},
		{"false", `false`, false, true},
		{"a string", `"true"`, false, false},
		{"a number", `1`, false, false},
	})
}

func TestDecoder_Int32(t *testing.T) {
	t.Parallel()
	checkValues(t, (*restjson.Decoder).Int32, []valueRow[int32]{
		{"zero", `0`, 0, true},
		{"negative", `-7`, -7, true},
		{"the largest", `2147483647`, math.MaxInt32, true},
		{"the smallest", `-2147483648`, math.MinInt32, true},
		{"beyond the largest", `2147483648`, 0, false},
		{"beyond the smallest", `-2147483649`, 0, false},
		{"beyond 64 bits", `18446744073709551617`, 0, false},
		{"with a fraction", `1.0`, 0, false},
		{"with an exponent", `1e2`, 0, false},
		{"minus zero, which no integer keeps", `-0`, 0, false},
		{"a string", `"1"`, 0, false},
		{"an array", `[1]`, 0, false},
	})
}

func TestDecoder_Int64(t *testing.T) {
	t.Parallel()
	checkValues(t, (*restjson.Decoder).Int64, []valueRow[int64]{
		{"beyond the precision of a float64", `9007199254740993`, 9007199254740993, true},
		{"the largest", `9223372036854775807`, math.MaxInt64, true},
		{"the smallest", `-9223372036854775808`, math.MinInt64, true},
		{"beyond the largest", `9223372036854775808`, 0, false},
		{"beyond the smallest", `-9223372036854775809`, 0, false},
		{"many digits", strings.Repeat("9", 1000), 0, false},
		{"with a fraction", `1.0`, 0, false},
		{"a string", `"1"`, 0, false},
	})
}

func TestDecoder_Doubles(t *testing.T) {
	t.Parallel()
	checkValues(t, (*restjson.Decoder).Double, []valueRow[float64]{
		{"an integer", `1`, 1, true},
		{"a fraction", `-0.5`, -0.5, true},
		{"an exponent", `1.5E+3`, 1500, true},
		{"the largest", `1.7976931348623157e308`, math.MaxFloat64, true},
		{"the smallest above zero", `5e-324`, math.SmallestNonzeroFloat64, true},
		{"many digits: the nearest", `0.1000000000000000055511151231257827`, 0.1, true},
		{"too small: zero is the nearest", `1e-400`, 0, true},
		{"an integer beyond 2^53: the nearest", `9007199254740993`, 9007199254740992, true},
		{"too large", `1e999`, 0, false},
		{"too large and negative", `-1e309`, 0, false},
		{"a string", `"1"`, 0, false},
		{"infinity", `Infinity`, math.Inf(1), true},
		{"minus infinity", `-Infinity`, math.Inf(-1), true},
		{"infinity in quotes", `"Infinity"`, math.Inf(1), true},
		{"minus infinity in quotes", `"-Infinity"`, math.Inf(-1), true},
		{"minus infinity in quotes, escaped", `"-\u0049nfinity"`, math.Inf(-1), true},
		{"infinity in other letters", `"infinity"`, 0, false},
		{"infinity in short", `"-inf"`, 0, false},
	})
	for _, text := range []string{`NaN`, `"NaN"`} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			p := testMessage[float64]{read: (*restjson.Decoder).Double}
			if err := restjson.Unmarshal([]byte(`{"v":`+text+`}`), &p); err != nil || !math.IsNaN(p.value) || p.extra != "" {
				t.Errorf("got %v, %v, and the rest %s", p.value, err, p.extra)
			}
		})
	}
	t.Run("minus zero", func(t *testing.T) {
		t.Parallel()
		p := testMessage[float64]{read: (*restjson.Decoder).Double}
		if err := restjson.Unmarshal([]byte(`{"v":-0}`), &p); err != nil || !math.Signbit(p.value) {
			t.Errorf("got %v, %v", p.value, err)
		}
	})
}

// TestNonFinite_IsStringOutsideDoubles reads non-finite numbers into fields of other
// types.
func TestNonFinite_IsStringOutsideDoubles(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		for _, reader := range readers {
			if reader.name == "Double" || reader.name == "List" {
				continue
			}
			p := testMessage[any]{read: func(d *restjson.Decoder, _ *any) bool { return reader.read(d) }}
			err := restjson.Unmarshal([]byte(`{"a":"NaN","v": `+word+`}`), &p)
			if want := `{"a":"NaN","v": "` + word + `"}`; err != nil || p.extra != want {
				t.Errorf("%s: got %s, %v, want %s", reader.name, p.extra, err, want)
			}
		}
	}
	p := testMessage[string]{read: (*restjson.Decoder).JSONObject}
	err := restjson.Unmarshal([]byte(`{"v":{"a":[NaN,{"Infinity":-Infinity}]}}`), &p)
	if want := `{"a":["NaN",{"Infinity":"-Infinity"}]}`; err != nil || p.value != want {
		t.Errorf("an object's text is %s, %v, want %s", p.value, err, want)
	}
}

// TestNonFinite_DoesNotAffectNextMessage reads a stream in which one message has
// non-finite numbers.
func TestNonFinite_DoesNotAffectNextMessage(t *testing.T) {
	t.Parallel()
	var u restjson.Unmarshaler
	for text, want := range map[string]string{`{"a":NaN}`: `{"a":"NaN"}`, `{"a":"NaN I"}`: `{"a":"NaN I"}`} {
		for range 2 {
			p := testMessage[struct{}]{read: unread}
			if err := u.Unmarshal([]byte(text), &p); err != nil || p.extra != want {
				t.Errorf("%s: got %s, %v", text, p.extra, err)
			}
		}
	}
}

func TestNonFinite_IsRejectedInRequests(t *testing.T) {
	t.Parallel()
	_, err := restjson.AppendRequest(nil, message(`{"c":NaN}`, false), nil)
	checkFieldError(t, err, "extra_json: must be the text of one JSON object: malformed JSON at byte 5, in c: expected a value")
	_, err = restjson.AppendRequest(nil, writing(func(e *restjson.Encoder) error {
		return restjson.Field("j", e.JSONObject(`{"c":-Infinity}`))
	}), nil)
	checkFieldError(t, err, "j: must be the text of one JSON object: malformed JSON at byte 5, in c: expected a value")
}

func TestNonFinite_IsStringInResponses(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{math.NaN(): `"NaN"`, math.Inf(1): `"Infinity"`, math.Inf(-1): `"-Infinity"`} {
		got, err := restjson.AppendFull(nil, writing(func(e *restjson.Encoder) error { return e.Double(v) }))
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestDecoder_Base64(t *testing.T) {
	t.Parallel()
	checkValues(t, (*restjson.Decoder).Bytes, []valueRow[[]byte]{
		{"empty", `""`, []byte{}, true},
		{"no padding needed", `"AAEC"`, []byte{0, 1, 2}, true},
		{"one padding sign", `"AAE="`, []byte{0, 1}, true},
		{"two padding signs", `"AA=="`, []byte{0}, true},
		{"all of the alphabet", `"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"`, allBase64, true},
		{"escaped slashes", `"\/\/\/\/"`, []byte{0xff, 0xff, 0xff}, true},
		{"the URL alphabet", `"AA-_"`, nil, false},
		{"padding left out", `"AAE"`, nil, false},
		{"bits after the end", `"AAF="`, nil, false},
		{"more than one value", `"AA==AA=="`, nil, false},
		{"a line break", `"AAEC\nAAEC"`, nil, false},
		{"a line break at the end", `"AAEC\r\n"`, nil, false},
		{"a space", `"AAEC AAEC"`, nil, false},
		{"valid, then not", `"AAEC!AEC"`, nil, false},
		{"beyond ASCII", `"AAEC√"`, nil, false},
		{"a lone surrogate", `"AAEC\ud800"`, nil, false},
		{"an array", `[0]`, nil, false},
	})
}

var allBase64 = func() []byte {
	data, err := base64.StdEncoding.DecodeString("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
	if err != nil {
		panic(err)
	}
	return data
}()

func TestDecoder_ByteArrays(t *testing.T) {
	t.Parallel()
	checkValues(t, (*restjson.Decoder).ByteArray, []valueRow[[]byte]{
		{"none", `[]`, []byte{}, true},
		{"the limits", `[0, 255]`, []byte{0, 255}, true},
		{"beyond a byte", `[256]`, nil, false},
		{"negative", `[1,-1]`, nil, false},
		{"a fraction", `[1.0]`, nil, false},
		{"null among them", `[1,null]`, nil, false},
		{"a string among them", `[1,"2"]`, nil, false},
		{"a list among them", `[1,[2]]`, nil, false},
		{"a string", `"AAEC"`, nil, false},
	})
}

func TestDecoder_Times(t *testing.T) {
	t.Parallel()
	at := func(seconds int64) *timestamppb.Timestamp { return &timestamppb.Timestamp{Seconds: seconds} }
	checkValues(t, (*restjson.Decoder).Time, []valueRow[*timestamppb.Timestamp]{
		{"the epoch", `0`, at(0), true},
		{"now", `1730000000`, at(1730000000), true},
		{"before the epoch", `-1`, at(-1), true},
		{"the beginning of year 1", `-62135596800`, at(-62135596800), true},
		{"the end of year 9999", `253402300799`, at(253402300799), true},
		{"before year 1", `-62135596801`, nil, false},
		{"after year 9999", `253402300800`, nil, false},
		{"a fraction", `1730000000.5`, nil, false},
		{"a date", `"2024-10-27T03:33:20Z"`, nil, false},
	})
}

func TestDecoder_JSONObjects(t *testing.T) {
	t.Parallel()
	checkValues(t, (*restjson.Decoder).JSONObject, []valueRow[string]{
		{"empty", `{}`, `{}`, true},
		{"verbatim, with space, order and repeats", `{ "z" : 1.0,"a":"\u0061" , "z":[ ] }`, `{ "z" : 1.0,"a":"\u0061" , "z":[ ] }`, true},
		{"with a lone surrogate", `{"a":"\ud800"}`, `{"a":"\ud800"}`, true},
		{"an array", `[{}]`, "", false},
		{"a string", `"{}"`, "", false},
	})
}

func TestDecoder_Constants(t *testing.T) {
	t.Parallel()
	read := func(d *restjson.Decoder, _ *struct{}) bool { return d.Constant(`"list"`) }
	checkValues(t, read, []valueRow[struct{}]{
		{"as expected", `"list"`, struct{}{}, true},
		{"another value", `"page"`, struct{}{}, false},
		{"another type", `["list"]`, struct{}{}, false},
		{"another spelling", `"l\u0069st"`, struct{}{}, false},
	})
}

type color int32

func parseColor(text []byte) color {
	switch string(text) {
	case "red":
		return 1
	case "green":
		return 2
	default:
		return 0
	}
}

func readColor(d *restjson.Decoder, v *color) bool { return restjson.Enum(d, v, parseColor) }

func TestDecoder_Enums(t *testing.T) {
	t.Parallel()
	checkValues(t, readColor, []valueRow[color]{
		{"a value", `"green"`, 2, true},
		{"a value, escaped", `"\u0072ed"`, 1, true},
		{"an unknown value", `"mauve"`, 0, false},
		{"another case", `"Red"`, 0, false},
		{"empty", `""`, 0, false},
		{"a number", `1`, 0, false},
		{"a lone surrogate", `"\ud800"`, 0, false},
	})
}

func TestDecoder_Optionals(t *testing.T) {
	t.Parallel()
	read := func(d *restjson.Decoder, v **int32) bool {
		return restjson.Optional(d, v, (*restjson.Decoder).Int32)
	}
	checkValues(t, read, []valueRow[*int32]{
		{"zero is present", `0`, new(int32(0)), true},
		{"a value", `5`, new(int32(5)), true},
		{"another type", `"5"`, nil, false},
	})
}

func TestDecoder_Lists(t *testing.T) {
	t.Parallel()
	read := func(d *restjson.Decoder, v *[]string) bool {
		return restjson.List(d, v, (*restjson.Decoder).String)
	}
	checkValues(t, read, []valueRow[[]string]{
		{"empty", `[ ]`, nil, true},
		{"items", `[ "a" , "" ]`, []string{"a", ""}, true},
		{"an item of another type moves the list", `["a",1]`, nil, false},
		{"null among the items moves the list", `["a",null]`, nil, false},
		{"a lone surrogate moves the list", `["a","\ud800"]`, nil, false},
		{"a list among the items moves the list", `["a",["b"]]`, nil, false},
		{"the bare item", `"a"`, nil, false},
		{"an object", `{"a":"b"}`, nil, false},
	})
}

func TestDecoder_ListsOrSingleItems(t *testing.T) {
	t.Parallel()
	read := func(d *restjson.Decoder, v *[]string) bool {
		return restjson.ListOrSingle(d, v, (*restjson.Decoder).String)
	}
	checkValues(t, read, []valueRow[[]string]{
		{"bare", `"a"`, []string{"a"}, true},
		{"bare and empty", `""`, []string{""}, true},
		{"a list", `["a","b"]`, []string{"a", "b"}, true},
		{"another type", `1`, nil, false},
		{"a list with another type", `[1]`, nil, false},
		{"a lone surrogate", `"\ud800"`, nil, false},
	})
}

func TestDecoder_Maps(t *testing.T) {
	t.Parallel()
	read := func(d *restjson.Decoder, v *map[string]int32) bool {
		return restjson.Map(d, v, (*restjson.Decoder).Int32)
	}
	checkValues(t, read, []valueRow[map[string]int32]{
		{"empty", `{ }`, map[string]int32{}, true},
		{"entries", `{ "a" : 1 , "" : 2, "\u0062":3 }`, map[string]int32{"a": 1, "": 2, "b": 3}, true},
		{"a value of another type moves the map", `{"a":1,"b":"2"}`, nil, false},
		{"null among the values moves the map", `{"a":1,"b":null}`, nil, false},
		{"a repeated key moves the map", `{"a":1,"a":1}`, nil, false},
		{"a key that is repeated in another spelling", `{"a":1,"\u0061":1}`, nil, false},
		{"a lone surrogate in a key moves the map", `{"\ud800":1}`, nil, false},
		{"an array", `[1]`, nil, false},
	})
}

func TestDecoder_SpillsRepeatedMembers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, text, value, extra string }{
		{"the first counts", `{"v":"a","v":"b"}`, "a", `{"v":"b"}`},
		{"also where it is the same", `{"v":"a","v":"a"}`, "a", `{"v":"a"}`},
		{"also in another spelling", `{"v":"a","\u0076":"b"}`, "a", `{"\u0076":"b"}`},
		{"also where the first is null", `{"v":null,"v":"b"}`, "", `{"v":"b"}`},
		{"also where the first doesn't fit", `{"v":1,"v":"b"}`, "", `{"v":1,"v":"b"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := testMessage[string]{read: (*restjson.Decoder).String}
			if err := restjson.Unmarshal([]byte(row.text), &p); err != nil {
				t.Fatal(err)
			}
			if p.value != row.value || p.extra != row.extra {
				t.Errorf("got %q and %s", p.value, p.extra)
			}
		})
	}
}

func TestDecoder_SpillsNamesWithLoneSurrogates(t *testing.T) {
	t.Parallel()
	p := testMessage[string]{read: (*restjson.Decoder).String}
	if err := restjson.Unmarshal([]byte(`{"\ud800v":"a","v\udc00":"b","v":"c"}`), &p); err != nil {
		t.Fatal(err)
	}
	if want := `{"\ud800v":"a","v\udc00":"b"}`; p.value != "c" || p.extra != want {
		t.Errorf("got %q and %s", p.value, p.extra)
	}
}

// readers are all methods that read a value, and one that stops in the middle of
// every value, which [restjson.Decoder.Spill] must handle.
var readers = []struct {
	name string
	read func(*restjson.Decoder) bool
}{
	{"nothing", func(*restjson.Decoder) bool { return false }},
	{"String", into((*restjson.Decoder).String)},
	{"Bool", into((*restjson.Decoder).Bool)},
	{"Int32", into((*restjson.Decoder).Int32)},
	{"Int64", into((*restjson.Decoder).Int64)},
	{"Double", into((*restjson.Decoder).Double)},
	{"Bytes", into((*restjson.Decoder).Bytes)},
	{"ByteArray", into((*restjson.Decoder).ByteArray)},
	{"Time", into((*restjson.Decoder).Time)},
	{"JSONObject", into((*restjson.Decoder).JSONObject)},
	{"Constant", func(d *restjson.Decoder) bool { return d.Constant(`{"a":1}`) }},
	{"Enum", into(readColor)},
	{"Optional", into(func(d *restjson.Decoder, v **bool) bool { return restjson.Optional(d, v, (*restjson.Decoder).Bool) })},
	{"List", into(func(d *restjson.Decoder, v *[]float64) bool { return restjson.List(d, v, (*restjson.Decoder).Double) })},
	{"ListOrSingle", into(func(d *restjson.Decoder, v *[]string) bool {
		return restjson.ListOrSingle(d, v, (*restjson.Decoder).String)
	})},
	{"Map", into(func(d *restjson.Decoder, v *map[string]string) bool {
		return restjson.Map(d, v, (*restjson.Decoder).String)
	})},
	{"Message", into(func(d *restjson.Decoder, v **nested) bool { return restjson.Message(d, v) })},
	{"a list of messages", into(func(d *restjson.Decoder, v *[]*nested) bool { return restjson.List(d, v, restjson.Message) })},
	{"half of an array", func(d *restjson.Decoder) bool {
		var v []nested
		return restjson.List(d, &v, func(d *restjson.Decoder, v *nested) bool { v.DecodeREST(d); return false })
	}},
}

func into[T any](read func(*restjson.Decoder, *T) bool) func(*restjson.Decoder) bool {
	return func(d *restjson.Decoder) bool {
		var v T
		return read(d, &v)
	}
}

// nested is a message with a member of its own type.
type nested struct {
	v     *nested
	extra string
}

func (n *nested) DecodeREST(d *restjson.Decoder) bool {
	p := testMessage[*nested]{read: func(d *restjson.Decoder, v **nested) bool { return restjson.Message(d, v) }}
	ok := p.DecodeREST(d)
	n.v, n.extra = p.value, p.extra
	return ok
}

// values are values of every type.
var values = []string{
	`NaN`, `-Infinity`, `"Infinity"`, `[NaN,1]`, `{"a":Infinity}`,
	`null`, `true`, `false`, `"a"`, `"red"`, `"\ud800"`, `"AA=="`, `1`, `-0`, `1.5`, `1e999`, `[]`, `["a",null]`, `[1,2]`, `[256]`,
	`{}`, `{"a":1}`, `{"a":"b"}`, `{"v":{"v":[{"x":1}]}}`, `[{"v":{"x":1}},{"v":2},3]`,
}

func TestDecoder_ContinuesAfterMismatch(t *testing.T) {
	t.Parallel()
	for _, reader := range readers {
		for _, value := range values {
			t.Run(fmt.Sprintf("%s of %s", reader.name, value), func(t *testing.T) {
				t.Parallel()
				matches := false
				p := testMessage[any]{read: func(d *restjson.Decoder, _ *any) bool {
					matches = reader.read(d)
					return matches
				}}
				if err := restjson.Unmarshal([]byte(`{"v":`+value+`,"next":1}`), &p); err != nil {
					t.Fatal(err)
				}
				want := `{"next":1}`
				if !matches {
					want = `{"v":` + string(strict([]byte(value), `"&"`)) + `,"next":1}`
				}
				if p.extra != want {
					t.Errorf("got %s, want %s", p.extra, want)
				}
			})
		}
	}
}
