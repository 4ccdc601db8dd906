package restjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// wellFormed are JSON objects without defined members, and their extra_json.
var wellFormed = []struct{ name, text, extra string }{
	{"an empty object", `{}`, ``},
	{"an empty object with space", " \t\r\n{ \t\r\n} \t\r\n", ``},
	{"every kind of value", `{"a":null,"b":true,"c":false,"d":0,"e":"","f":[],"g":{}}`, `{"a":null,"b":true,"c":false,"d":0,"e":"","f":[],"g":{}}`},
	{"space between members goes, space within stays", ` { "a" : [ 1 , 2 ] , "b"	: {  } } `, `{"a" : [ 1 , 2 ],"b"	: {  }}`},
	{"numbers keep their text", `{"a":[0,-0,1,-1,10,0.5,-0.0,1.50,1e5,1E5,1e+5,1e-05,0e0,123456789012345678901234567890]}`, `{"a":[0,-0,1,-1,10,0.5,-0.0,1.50,1e5,1E5,1e+5,1e-05,0e0,123456789012345678901234567890]}`},
	{"strings keep their escapes", `{"a":"\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"}`, `{"a":"\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"}`},
	{"lone surrogates stay as they are", `{"a":"\ud800","\udfff":"\ud800\u0041\udc00"}`, `{"a":"\ud800","\udfff":"\ud800\u0041\udc00"}`},
	{"any script", `{"ключ":"日本語 🙂 ﷽"}`, `{"ключ":"日本語 🙂 ﷽"}`},
	{"DEL and the separators U+2028 and U+2029 need no escape", "{\"a\":\"\x7f\u2028\u2029\"}", "{\"a\":\"\x7f\u2028\u2029\"}"},
	{"an empty name", `{"":1}`, `{"":1}`},
	{"names that repeat keep their order", `{"a":1,"b":2,"a":3}`, `{"a":1,"b":2,"a":3}`},
	{"a byte order mark", "\ufeff {\"a\":1}", `{"a":1}`},
	{"numbers without digits become strings", `{"a":NaN,"b": [ Infinity ,-Infinity],"NaN":"NaN, \"Infinity\" I","c":1}`, `{"a":"NaN","b": [ "Infinity" ,"-Infinity"],"NaN":"NaN, \"Infinity\" I","c":1}`},
	{"objects in arrays in objects", `{"a":[[{"b":[{}]}],[]]}`, `{"a":[[{"b":[{}]}],[]]}`},
}

func TestScan_WellFormed(t *testing.T) {
	t.Parallel()
	for _, row := range wellFormed {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			extra, err := scan(row.text)
			if err != nil {
				t.Fatal(err)
			}
			if extra != row.extra {
				t.Errorf("extra_json is\n%s, want\n%s", extra, row.extra)
			}
		})
	}
}

// malformed are inputs that are not a JSON object, with the offset and the reason of
// the error.
var malformed = []struct {
	name, text string
	offset     int
	path       string
	reason     string
}{
	{"nothing", ``, 0, "", "expected an object"},
	{"space alone", ` `, 1, "", "expected an object"},
	{"a byte order mark alone", "\ufeff", 3, "", "expected an object"},
	{"two byte order marks", "\ufeff\ufeff{}", 3, "", "expected an object"},
	{"a byte order mark after space", " \ufeff{}", 1, "", "expected an object"},
	{"a byte order mark that is cut", "\xef\xbb{}", 0, "", "expected an object"},
	{"an array", `[]`, 0, "", "expected an object"},
	{"a string", `"{}"`, 0, "", "expected an object"},
	{"null", `null`, 0, "", "expected an object"},
	{"HTML", ` <html>`, 1, "", "expected an object"},
	{"two objects", `{} {}`, 3, "", "unexpected data after the value"},
	{"an object that is closed twice", `{}}`, 2, "", "unexpected data after the value"},
	{"a NUL after the object", "{}\x00", 2, "", "unexpected data after the value"},
	{"an object that does not end", `{`, 1, "", "expected a string"},
	{"an object that does not end after a name", `{"a"`, 4, "", "expected a colon"},
	{"an object that does not end after a colon", `{"a":`, 5, "a", "unexpected end"},
	{"an object that does not end after a value", `{"a":1`, 6, "a", "expected a comma or the end of the object"},
	{"an object that does not end after a word", `{"a":true`, 9, "a", "expected a comma or the end of the object"},
	{"an object that does not end after a comma", `{"a":1,`, 7, "", "expected a string"},
	{"a name without quotes", `{a:1}`, 1, "", "expected a string"},
	{"a name in single quotes", `{'a':1}`, 1, "", "expected a string"},
	{"a number as a name", `{1:1}`, 1, "", "expected a string"},
	{"a comma at the beginning of an object", `{,"a":1}`, 1, "", "expected a string"},
	{"a comma at the end of an object", `{"a":1,}`, 7, "", "expected a string"},
	{"two commas in an object", `{"a":1,,"b":2}`, 7, "", "expected a string"},
	{"no comma between members", `{"a":1 "b":2}`, 7, "", "expected a comma or the end of the object"},
	{"no colon", `{"a" 1}`, 5, "", "expected a colon"},
	{"two colons", `{"a"::1}`, 5, "a", "expected a value"},
	{"no value", `{"a":}`, 5, "a", "expected a value"},
	{"a comment", `{"a":/**/1}`, 5, "a", "expected a value"},
	{"an array that does not end", `{"a":[`, 6, "a[0]", "unexpected end"},
	{"an array that does not end after an item", `{"a":[1`, 7, "a[0]", "expected a comma or the end of the array"},
	{"an array that does not end after a comma", `{"a":[1,`, 8, "a[1]", "unexpected end"},
	{"an array that ends as an object", `{"a":[1}`, 7, "a[0]", "expected a comma or the end of the array"},
	{"an object that ends as an array", `{"a":{]}`, 6, "a", "expected a string"},
	{"a comma at the beginning of an array", `{"a":[,1]}`, 6, "a[0]", "expected a value"},
	{"a comma at the end of an array", `{"a":[1,]}`, 8, "a[1]", "expected a value"},
	{"two commas in an array", `{"a":[1,,2]}`, 8, "a[1]", "expected a value"},
	{"no comma between items", `{"a":[1 2]}`, 8, "a", "expected a comma or the end of the array"},
	{"an invalid literal", `{"a":nil}`, 5, "a", "expected a value"},
	{"a word in capitals", `{"a":True}`, 5, "a", "expected a value"},
	{"a word that is cut", `{"a":tru`, 5, "a", "expected a value"},
	{"a literal with a trailing letter", `{"a":nullx}`, 9, "a", "expected a comma or the end of the object"},
	{"NaN in other case", `{"a":nan}`, 5, "a", "expected a value"},
	{"NaN cut short", `{"a":Na`, 5, "a", "expected a value"},
	{"NaN with more letters", `{"a":NaN0}`, 8, "a", "expected a comma or the end of the object"},
	{"NaN with a minus sign", `{"a":-NaN}`, 5, "a", "expected a value"},
	{"NaN as a name", `{NaN:1}`, 1, "", "expected a string"},
	{"infinity in short", `{"a":Inf}`, 5, "a", "expected a value"},
	{"infinity with a plus sign", `{"a":+Infinity}`, 5, "a", "expected a value"},
	{"infinity with two minus signs", `{"a":--Infinity}`, 5, "a", "expected a value"},
	{"after NaN", `{"a":[NaN,-Infinity,{"b":x}]}`, 25, "a[2].b", "expected a value"},
	{"after a byte order mark", "\ufeff{\"a\":x}", 8, "a", "expected a value"},
	{"a plus sign", `{"a":+1}`, 5, "a", "expected a value"},
	{"a minus sign alone", `{"a":-}`, 5, "a", "expected a value"},
	{"a minus sign at the end", `{"a":-`, 6, "a", "unexpected end"},
	{"a zero before other digits", `{"a":01}`, 6, "a", "expected a comma or the end of the object"},
	{"hexadecimal", `{"a":0x1}`, 6, "a", "expected a comma or the end of the object"},
	{"a point without digits before", `{"a":.5}`, 5, "a", "expected a value"},
	{"a point without digits after", `{"a":1.}`, 7, "a", "expected a digit after the decimal point"},
	{"a point and an exponent", `{"a":1.e5}`, 7, "a", "expected a digit after the decimal point"},
	{"an exponent without digits", `{"a":1e}`, 7, "a", "expected a digit in the exponent"},
	{"an exponent with a sign alone", `{"a":1e-}`, 8, "a", "expected a digit in the exponent"},
	{"a string that does not end", `{"a":"b`, 7, "a", "unterminated string"},
	{"a string that ends in a backslash", `{"a":"b\`, 8, "a", "unterminated string"},
	{"a string whose quote is escaped", `{"a":"b\"}`, 10, "a", "unterminated string"},
	{"a name that does not end", `{"a":1,"b`, 9, "", "unterminated string"},
	{"a line break in a string", "{\"a\":\"b\nc\"}", 7, "a", "unescaped control character in a string"},
	{"a NUL in a string", "{\"a\":\"\x00\"}", 6, "a", "unescaped control character in a string"},
	{"an invalid escape", `{"a":"b\x41"}`, 7, "a", "unknown escape"},
	{"an escaped line break", "{\"a\":\"b\\\nc\"}", 7, "a", "unknown escape"},
	{"an escaped character beyond ASCII", `{"a":"\é"}`, 6, "a", "unknown escape"},
	{"an escape with too few digits", `{"a":"\u00e"}`, 6, "a", `\u is not followed by four hexadecimal digits`},
	{"an escape with an invalid digit", `{"a":"\u00g0"}`, 6, "a", `\u is not followed by four hexadecimal digits`},
	{"an escape in capitals", `{"a":"\U00E9"}`, 6, "a", "unknown escape"},
	{"a bad escape in a name", `{"a":1,"b\q":2}`, 9, "", "unknown escape"},
	{"a byte that begins no UTF-8 sequence", "{\"a\":\"b\x80\"}", 7, "a", "invalid UTF-8"},
	{"a UTF-8 sequence that is cut", "{\"a\":\"é\xc3\"}", 8, "a", "invalid UTF-8"},
	{"an overlong UTF-8 sequence", "{\"a\":\"\xc0\xaf\"}", 6, "a", "invalid UTF-8"},
	{"a surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", 6, "a", "invalid UTF-8"},
	{"bad UTF-8 in a name", "{\"\xff\":1}", 2, "", "invalid UTF-8"},
	{"bad UTF-8 between tokens", "{\xff}", 1, "", "expected a string"},
	{"far down", `{"choices":[{"message":{"content":"a"}},{"message":{"content":oops}}]}`, 62, "choices[1].message.content", "expected a value"},
	{"after values that were fine", `{"a":{"b":[1,2,{"c":3}],"d":tru}}`, 28, "a.d", "expected a value"},
	{"after space", " \t\r\n{ \"a\" : x }", 12, "a", "expected a value"},
	{"in a member whose name has escapes", `{"\u0061":x}`, 10, "a", "expected a value"},
	{"in members whose names are no words", `{"a b":{"":{"\n.":x}}}`, 18, `["a b"][""]["\n."]`, "expected a value"},
	{"in a member whose name has a lone surrogate", `{"\ud800":x}`, 10, `[?]`, "expected a value"},
}

func TestScan_Malformed(t *testing.T) {
	t.Parallel()
	for _, row := range malformed {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := scan(row.text)
			got := syntaxError(t, err)
			if want := (restjson.SyntaxError{Offset: row.offset, Path: row.path, Reason: row.reason}); *got != want {
				t.Errorf("%q:\ngot  %+v\nwant %+v", row.text, *got, want)
			}
		})
	}
}

func TestSyntaxError_HasOffsetPathAndReason(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":[x]}`: "malformed JSON at byte 6, in a[0]: expected a value",
		`{}x`:       "malformed JSON at byte 2: unexpected data after the value",
	} {
		if _, err := scan(text); err == nil || err.Error() != want {
			t.Errorf("%s: got %q, want %q", text, err, want)
		}
	}
}

func TestSyntaxError_TruncatesLongPaths(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a long name":           `{"` + strings.Repeat("é", 1<<20) + `":x}`,
		"a long name, shifted":  `{"x` + strings.Repeat("é", 1<<20) + `":x}`,
		"a long name in quotes": `{"` + strings.Repeat(" ", 1<<20) + `":x}`,
		"many levels":           strings.Repeat(`{"a":[`, 4000) + `x`,
	} {
		_, err := scan(text)
		got := syntaxError(t, err)
		if len(got.Path) > 256 || !strings.HasSuffix(got.Path, "…") || !utf8.ValidString(got.Path) {
			t.Errorf("%s: the path has %d bytes: %.300s", name, len(got.Path), got.Path)
		}
	}
}

func TestScan_NestsUpToMaxDepth(t *testing.T) {
	t.Parallel()
	nested := func(depth int) map[string]string {
		half := depth / 2
		return map[string]string{
			"objects": strings.Repeat(`{"a":`, depth) + `0` + strings.Repeat(`}`, depth),
			"arrays":  `{"a":` + strings.Repeat(`[`, depth-1) + strings.Repeat(`]`, depth-1) + `}`,
			"both":    strings.Repeat(`{"a":[`, half) + strings.Repeat(`]}`, half),
		}
	}
	for name, text := range nested(restjson.MaxDepth) {
		if _, err := scan(text); err != nil {
			t.Errorf("%s, %d deep: %v", name, restjson.MaxDepth, err)
		}
	}
	for name, text := range nested(restjson.MaxDepth + 2) {
		_, err := scan(text)
		if got := syntaxError(t, err); got.Reason != "too many nested objects and arrays (maximum 10000)" {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestScan_DepthCountsOpenValuesOnly(t *testing.T) {
	t.Parallel()
	wide := `{"a":[` + strings.Repeat(`[{}],`, restjson.MaxDepth) + `0]}`
	if _, err := scan(wide); err != nil {
		t.Error(err)
	}
}

// TestScan_StringsAtEveryAlignment puts each special sequence at each position of
// strings of up to 24 bytes, because the scanner reads eight bytes at once.
func TestScan_StringsAtEveryAlignment(t *testing.T) {
	t.Parallel()
	specials := []string{
		"", `\"`, `\\`, `\n`, `\u0041`, `\ud83d\ude00`, "\x7f", "é", "€", "😀", " ", "!", "#", "[", "]",
		"\"", "\x00", "\x1f", "\x80", "\xff", `\`, `\x`, `\u12`, "\xc3", "\xf0\x9f\x98",
	}
	const most = 25
	for _, special := range specials {
		for before := range most {
			for after := range most {
				text := `{"v":"` + strings.Repeat("a", before) + special + strings.Repeat("b", after) + `"}`
				var want struct {
					V string `json:"v"`
				}
				wantErr := json.Unmarshal([]byte(text), &want)
				p := testMessage[string]{read: (*restjson.Decoder).String}
				err := restjson.Unmarshal([]byte(text), &p)
				if valid := wantErr == nil && utf8.ValidString(text); valid != (err == nil) {
					t.Fatalf("%q: got error %v, want %v as from encoding/json", text, err, wantErr)
				}
				if err == nil && p.value != want.V {
					t.Fatalf("%q: got %q, want %q", text, p.value, want.V)
				}
			}
		}
	}
}

// accepted reports whether the codec must accept the input.
func accepted(text []byte) bool {
	plain := strict(text, "[]")
	return strings.HasPrefix(strings.TrimLeft(string(plain), " \t\r\n"), "{") && json.Valid(plain) && utf8.Valid(text)
}

// strict returns the input without the codec's extensions of JSON: it removes a byte
// order mark and replaces non-finite numbers by value, in which & stands for the
// number.
func strict(text []byte, value string) []byte {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	return nonFinite.ReplaceAllFunc(text, func(match []byte) []byte {
		if match[0] == '"' {
			return match
		}
		return []byte(strings.ReplaceAll(value, "&", string(match)))
	})
}

var nonFinite = regexp.MustCompile(`(?s)"(?:[^"\\]|\\.)*"?|-?Infinity|NaN`)

// FuzzScanner compares the accepted inputs, for each method that reads a member, with
// those of encoding/json. The intended differences are that the codec rejects
// invalid UTF-8 and accepts a byte order mark and non-finite numbers. Both limit
// the depth to 10,000.
func FuzzScanner(f *testing.F) {
	for i, row := range wellFormed {
		f.Add([]byte(row.text), byte(i))
	}
	for i, row := range malformed {
		f.Add([]byte(row.text), byte(i))
	}
	for _, row := range values {
		for i := range readers {
			f.Add([]byte(`{"v":`+row+`}`), byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, reader byte) {
		p := testMessage[any]{read: func(d *restjson.Decoder, _ *any) bool { return readers[int(reader)%len(readers)].read(d) }}
		err := restjson.Unmarshal(text, &p)
		want := accepted(text)
		if want != (err == nil) {
			t.Fatalf("got %v, want valid=%v", err, want)
		}
		if err == nil {
			checkExtra(t, p.extra)
			return
		}
		syntax := syntaxError(t, err)
		if syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Reason == "" || !utf8.ValidString(syntax.Path) {
			t.Fatalf("got error %+v for input of %d bytes", syntax, len(text))
		}
	})
}

// checkExtra checks that an extra_json is empty or the text of a non-empty object.
func checkExtra(t *testing.T, extra string) {
	t.Helper()
	if extra == "" {
		return
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(extra), &members); err != nil || len(members) == 0 || !utf8.ValidString(extra) {
		t.Fatal(fmt.Errorf("extra_json is %q: %w", extra, err))
	}
}
