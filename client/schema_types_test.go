package client

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

type (
	schemaUUID  [16]byte
	schemaLevel int
	schemaByte  byte
	schemaList  []schemaList
	schemaPipe  *schemaPipe
	schemaWord  string
	schemaOwn   struct{ A int }
	schemaMoney struct{ cents int }

	schemaTagged struct {
		schemaEmbedded `json:"tagged"`

		Other string `json:"other"`
	}
	schemaNamedOuter struct {
		*SchemaPublic `json:"public"`

		Other string `json:"other"`
	}
	SchemaPublic struct {
		Inner string `json:"inner"`
		Other int    `json:"other"`
	}
	schemaLeft  struct{ Same, Left string }
	schemaRight struct{ Same, Right string }
	schemaDeep  struct {
		schemaLeft

		Deep string
	}
	schemaWithTag struct {
		Tagged string `json:"Same"`
	}
	schemaSelf struct {
		*schemaSelf //nolint:unused // its fields are looked at

		A string
	}
	schemaPromotes struct {
		netip.Addr

		Port int
	}
	schemaPromotesJSON struct {
		time.Time

		Zone string
	}
)

func (u *schemaUUID) UnmarshalText(text []byte) error {
	digits := strings.ReplaceAll(string(text), "-", "")
	data, err := hex.DecodeString(digits)
	if err != nil || len(data) != len(u) {
		return errors.New("not a UUID")
	}
	copy(u[:], data)
	return nil
}

func (l *schemaLevel) UnmarshalText(text []byte) error {
	level := slices.Index([]string{"low", "high"}, string(text))
	if level < 0 {
		return errors.New("unknown level")
	}
	*l = schemaLevel(level)
	return nil
}

func (l schemaLevel) MarshalText() ([]byte, error) { return []byte([]string{"low", "high"}[l]), nil }

func (b *schemaByte) UnmarshalText(text []byte) error { *b = schemaByte(len(text)); return nil }

func (schemaOwn) UnmarshalJSON([]byte) error { return nil }

func (m *schemaMoney) UnmarshalText(text []byte) error { m.cents = len(text); return nil }

// schemaTypes are the types of a struct's field. Responses are generated from the
// schema. The field inputs holds values for types with UnmarshalText.
var schemaTypes = []struct {
	name   string
	of     any
	inputs []string
	want   string // the expected schema of the only property, if given
}{
	{"a time", struct{ V time.Time }{}, nil, `{"type":"string","format":"date-time"}`},
	{"a time that may be left out", struct{ V *time.Time }{}, nil, `{"type":["string","null"],"format":"date-time"}`},
	{"a list of times", struct{ V []time.Time }{}, nil, `{"type":"array","items":{"type":"string","format":"date-time"}}`},
	{"a UUID", struct{ V schemaUUID }{}, []string{"0123456789abcdef0123456789abcdef"}, `{"type":"string"}`},
	{"an address", struct{ V netip.Addr }{}, []string{"127.0.0.1", "::1"}, `{"type":"string"}`},
	{"an address of package net", struct{ V net.IP }{}, []string{"127.0.0.1", "::1"}, `{"type":"string"}`},
	{"a large number that reads text", struct{ V big.Float }{}, []string{"1", "-1e100"}, `{"type":"string"}`},
	{"a level", struct{ V schemaLevel }{}, []string{"low", "high"}, `{"type":"string"}`},
	{"a level of a list", struct {
		V schemaLevel `enum:"low, high"`
	}{}, nil, `{"type":"string","enum":["low","high"]}`},
	{"levels of a list", struct {
		V []*schemaLevel `enum:" low ,high"`
	}{}, nil, `{"type":"array","items":{"type":["string","null"],"enum":["low","high",null]}}`},
	{"a struct that reads text", struct{ V schemaMoney }{}, []string{"a"}, `{"type":"string"}`},
	{"a struct that embeds a TextUnmarshaler", struct{ V schemaPromotes }{}, []string{"::1"}, `{"type":"string"}`},
	{"words", struct {
		V schemaWord `enum:"red, green"`
	}{}, nil, `{"type":"string","enum":["red","green"]}`},
	{"an omitempty string type", struct {
		V *string `enum:"red, green" json:",omitempty"`
	}{}, nil, `{"type":["string","null"],"enum":["red","green",null]}`},
	{"bytes", struct{ V []byte }{}, nil, `{"type":"string","pattern":"` + base64Pattern + `"}`},
	{"bytes that implement TextUnmarshaler", struct{ V []schemaByte }{}, []string{"a"}, `{"type":"array","items":{"type":"string"}}`},
	{"an array of bytes", struct{ V [3]byte }{}, nil, `{"type":"array","items":{"type":"integer","minimum":0,"maximum":255},"minItems":3,"maxItems":3}`},
	{"an empty array", struct{ V [0]int }{}, nil, `{"type":"array","items":{"type":"integer"},"minItems":0,"maxItems":0}`},
	{"an array of lists", struct{ V [2][]string }{}, nil, ""},
	{"pointers to pointers", struct{ V **string }{}, nil, `{"type":["string","null"]}`},
	{"lists of pointers", struct{ V []*int }{}, nil, `{"type":"array","items":{"type":["integer","null"]}}`},
	{"a json.Number", struct{ V json.Number }{}, nil, `{"type":"number"}`},
	{"a duration", struct{ V time.Duration }{}, nil, `{"type":"integer"}`},
	{"a rune", struct{ V rune }{}, nil, `{"type":"integer","minimum":-2147483648,"maximum":2147483647}`},
	{"a uintptr", struct{ V uintptr }{}, nil, `{"type":"integer","minimum":0}`},
	{"a small integer", struct{ V int8 }{}, nil, `{"type":"integer","minimum":-128,"maximum":127}`},
	{"a float32", struct{ V float32 }{}, nil, ""},
	{"an integer in a string", struct {
		V int `json:",string"`
	}{}, nil, ""},
	{"a byte in a string", struct {
		V uint8 `json:",string"`
	}{}, nil, ""},
	{"a signed byte in a string", struct {
		V *int8 `json:",string"`
	}{}, nil, ""},
	{"a large number in a string", struct {
		V uint64 `json:",string,omitempty"`
	}{}, nil, ""},
	{"a float64 in a string", struct {
		V float64 `json:",string"`
	}{}, nil, ""},
	{"a float32 in a string", struct {
		V float32 `json:",string"`
	}{}, nil, ""},
	{"a bool in a string", struct {
		V *bool `json:",string"`
	}{}, nil, `{"type":["string","null"],"enum":["true","false",null]}`},
	{"a string in a string", struct {
		V string `json:",string"`
	}{}, nil, ""},
	{"a json.Number in a string", struct {
		V json.Number `json:",string"`
	}{}, nil, ""},
	{"a list with the option string", structOf[[]int](`json:",string"`), nil, `{"type":"array","items":{"type":"integer"}}`},
	{"an embedded struct with a name", schemaTagged{}, nil, ""},
	{"an embedded pointer with a name", schemaNamedOuter{}, nil, ""},
	{"an embedded pointer", struct {
		*SchemaPublic

		Own bool
	}{}, nil, ""},
	{"an embedded struct that is not exported", struct{ schemaEmbedded }{}, nil, `{"type":"string"}`},
	{"two fields with the same name, which hide each other", struct {
		schemaLeft
		schemaRight
	}{}, nil, ""},
	{"a field at a shallower depth", struct {
		schemaDeep
		schemaRight
	}{}, nil, ""},
	{"a field with a tag, which hides the other", struct {
		schemaLeft
		schemaWithTag
	}{}, nil, ""},
	{"a struct that embeds itself", schemaSelf{}, nil, `{"type":"string"}`},
	{"an embedded TextUnmarshaler", struct{ schemaWord }{}, nil, ""},
	{"names that only differ in case", struct {
		A string `json:"a"`
		B string `json:"A"`
		C string
	}{}, nil, ""},
	{"unusual and invalid names", structOf[string](`json:"a\"b"`, `json:"-,"`, `json:"-"`, `json:"wörter und/zeichen"`, `json:"'"`), nil, ""},
	{"a struct in a struct", struct {
		V struct {
			W *struct{ X []struct{ Y string } }
		}
	}{}, nil, ""},
	{"omitempty and omitzero fields", struct {
		A string     `json:",omitempty"`
		B schemaPart `json:",omitzero"`
		C [2]int     `json:",omitempty"`
		D netip.Addr `json:",omitzero"`
		E time.Time  `json:",omitzero"`
		F []byte     `json:",omitempty"`
	}{}, []string{"::1"}, ""},
}

// structOf returns a struct with a field for each tag. Static analysis would complain
// about some of the tags.
func structOf[T any](tags ...string) reflect.Type {
	fields := make([]reflect.StructField, len(tags))
	for i, tag := range tags {
		fields[i] = reflect.StructField{Name: fmt.Sprintf("V%d", i), Type: reflect.TypeFor[T](), Tag: reflect.StructTag(tag)}
	}
	return reflect.StructOf(fields)
}

// typeOf returns v if it is a type, and the type of v otherwise.
func typeOf(of any) reflect.Type {
	if of, ok := of.(reflect.Type); ok {
		return of
	}
	return reflect.TypeOf(of)
}

func TestSchema_DescribesWhatEncodingJSONDecodes(t *testing.T) {
	t.Parallel()
	for _, row := range schemaTypes {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			schema := checkDecodes(t, typeOf(row.of), row.inputs, 100)
			if row.want == "" {
				return
			}
			for _, property := range schema.Properties {
				got, err := json.Marshal(property)
				if err != nil || string(got) != row.want {
					t.Errorf("got %s, %v", got, err)
				}
			}
		})
	}
}

// The types are random combinations of supported types.
func TestSchema_DescribesEveryAcceptedType(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 2))
		checkDecodes(t, randomStruct(random, 3), nil, 5)
	}
}

func TestSchema_HasNamesOfEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		of   any
		want []string
	}{
		{schemaTagged{}, []string{"tagged", "other"}},
		{schemaNamedOuter{}, []string{"public", "other"}},
		{struct {
			*SchemaPublic

			Own bool
		}{}, []string{"inner", "other", "Own"}},
		{struct {
			schemaLeft
			schemaRight
		}{}, []string{"Left", "Right"}},
		{struct {
			schemaDeep
			schemaRight
		}{}, []string{"Left", "Deep", "Same", "Right"}},
		{struct {
			schemaLeft
			schemaWithTag
		}{}, []string{"Left", "Same"}},
		{struct{ schemaWord }{}, nil},
		{structOf[string](`json:"a\"b"`, `json:"-,"`, `json:"-"`), []string{"V0", "-"}},
		{schemaSelf{}, []string{"A"}},
	} {
		fields, err := fieldsOf(typeOf(row.of), "")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, field := range fields {
			names = append(names, field.name)
		}
		if !slices.Equal(names, row.want) {
			t.Errorf("%T: got %q, want %q", row.of, names, row.want)
		}
	}
}

func TestSchema_ErrorNamesField(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		of   any
		says []string
	}{
		{"raw JSON", struct{ V json.RawMessage }{}, []string{".V", "json.RawMessage"}},
		{"raw JSON in a list", struct{ V []*json.RawMessage }{}, []string{".V[]", "json.RawMessage"}},
		{"its own JSON", struct{ V *schemaOwn }{}, []string{".V", "schemaOwn", "UnmarshalJSON"}},
		{"a number with its own JSON", struct{ V big.Int }{}, []string{".V", "big.Int", "UnmarshalJSON"}},
		{"an embedded struct with its own JSON", struct{ V schemaPromotesJSON }{}, []string{".V", "schemaPromotesJSON", "UnmarshalJSON"}},
		{"a root with its own JSON", schemaOwn{}, []string{"schemaOwn", "UnmarshalJSON"}},
		{"a root that is a time", time.Time{}, []string{"time.Time", "use a struct"}},
		{"a root that implements TextUnmarshaler", netip.Addr{}, []string{"netip.Addr", "use it as a field of a struct"}},
		{"a list of itself", struct{ V schemaList }{}, []string{".V[]", "schemaList", "recursive type"}},
		{"a pointer to itself", struct{ V schemaPipe }{}, []string{".V", "schemaPipe", "recursive type"}},
		{"a map of integers", struct{ V map[int]string }{}, []string{".V is a map"}},
		{"an interface", struct{ V fmt.Stringer }{}, []string{".V", "fmt.Stringer"}},
		{"an embedded interface", struct{ fmt.Stringer }{}, []string{".Stringer", "fmt.Stringer"}},
		{"a complex number", struct{ V complex128 }{}, []string{".V", "complex128"}},
		{"a channel", struct{ V chan int }{}, []string{".V", "chan int"}},
		{"an embedded pointer that can't be set", struct{ *schemaEmbedded }{}, []string{".Inner", "embed the struct"}},
		{"an embedded pointer with a name that can't be set", struct {
			*schemaEmbedded `json:"a"`
		}{}, []string{".schemaEmbedded", "embed the struct"}},
		{"the option string of a TextUnmarshaler", struct {
			V schemaLevel `json:",string"`
		}{}, []string{".V", "option string"}},
		{"values of an integer in a string", struct {
			V int `enum:"1,2" json:",string"`
		}{}, []string{".V", "option string"}},
		{"values that do not fit the type", struct {
			V schemaLevel `enum:"low,higher"`
		}{}, []string{".V", `"higher"`}},
		{"values that are not times", struct {
			V time.Time `enum:"today"`
		}{}, []string{".V", `"today"`}},
		{"values of an embedded struct", struct {
			schemaEmbedded `enum:"a"`
		}{}, []string{".schemaEmbedded", "enum"}},
		{"different descriptions", struct {
			V int `jsonschema:"a" jsonschema_description:"b"`
		}{}, []string{".V", "different descriptions"}},
		{"keywords for a description", struct {
			V int `jsonschema:"title=a"`
		}{}, []string{".V", "title=a"}},
		{"an empty description", struct {
			V int `jsonschema_description:""`
		}{}, []string{".V", "empty"}},
		{"other tags", struct {
			V int `jsonschema_extras:"a=b"`
		}{}, []string{".V", "jsonschema_extras"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := schemaOf(reflect.TypeOf(row.of))
			if err == nil {
				t.Fatalf("got %s", got)
			}
			for _, says := range row.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("got error %v, want it to contain %q", err, says)
				}
			}
		})
	}
}

func TestSchema_AcceptsBothDescriptionTags(t *testing.T) {
	t.Parallel()
	got, err := schemaOf(reflect.TypeOf(struct {
		A string `jsonschema:"of a"`
		B *int   `jsonschema_description:"of b"`
		C string `jsonschema:"of c" jsonschema_description:"of c"`
	}{}))
	const want = `{"type":"object","properties":{"A":{"type":"string","description":"of a"},"B":{"type":["integer","null"],"description":"of b"},"C":{"type":"string","description":"of c"}},` +
		`"required":["A","B","C"],"additionalProperties":false}`
	if err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestSchema_BoundsNumbersInStrings(t *testing.T) {
	t.Parallel()
	for _, most := range []uint64{0, 1, 7, 9, 10, 19, 99, 100, 127, 128, 255, 1000, 65535} {
		pattern := regexpOf(t, "^(?:"+upTo(most)+")$")
		for n := range most + 300 {
			if got := pattern.MatchString(strconv.FormatUint(n, 10)); got != (n <= most) {
				t.Fatalf("%d is within %d: %v", n, most, got)
			}
		}
	}
}

// checkDecodes generates valid responses from the schema of a type and decodes
// them: none fails, and none loses anything. It returns the schema.
func checkDecodes(t *testing.T, of reflect.Type, inputs []string, count int) *jsonschema.Schema {
	t.Helper()
	text, err := schemaOf(of)
	if err != nil {
		t.Fatalf("%v: %v", of, err)
	}
	schema := new(jsonschema.Schema)
	if err := json.Unmarshal([]byte(text), schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, uint64(len(text))))
	for range count {
		answer := answerTo(random, schema, inputs)
		if err := resolved.Validate(answer); err != nil {
			t.Fatalf("%s is not valid for schema %s: %v", jsonText(t, answer), text, err)
		}
		value := reflect.New(of)
		if err := json.Unmarshal(jsonText(t, answer), value.Interface()); err != nil {
			t.Fatalf("%v with schema %s: decode %s: %v", of, text, jsonText(t, answer), err)
		}
		if inputs == nil { // Types with UnmarshalText may not encode what they decode.
			checkKept(t, answer, roundTrip(t, value.Interface()))
		}
	}
	return schema
}

func jsonText(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func roundTrip(t *testing.T, value any) (again any) {
	t.Helper()
	if err := json.Unmarshal(jsonText(t, value), &again); err != nil {
		t.Fatal(err)
	}
	return again
}

// checkKept compares a response with the decoded and encoded value. Zero values may
// be omitted, and numbers are converted to the type.
func checkKept(t *testing.T, answer, got any) {
	t.Helper()
	switch answer := answer.(type) {
	case map[string]any:
		got, _ := got.(map[string]any)
		for name, value := range answer {
			if kept, ok := got[name]; ok {
				checkKept(t, value, kept)
			} else if !isZero(value) {
				t.Fatalf("%q is lost: %v", name, value)
			}
		}
	case []any:
		got, _ := got.([]any)
		if len(got) != len(answer) {
			t.Fatalf("%v became %v", answer, got)
		}
		for i, value := range answer {
			checkKept(t, value, got[i])
		}
	case float64:
		if kept, ok := got.(float64); !ok || float32(kept) != float32(answer) {
			t.Fatalf("%v became %v", answer, got)
		}
	case nil:
		if got != nil && !isZero(got) {
			t.Fatalf("null became %v", got)
		}
	default:
		if got, answer := plainText(got), plainText(answer); got != answer && !isSameNumber(got, answer) {
			t.Fatalf("%v became %v", answer, got)
		}
	}
}

// plainText returns a string value, decoded again if it contains a quoted JSON
// string.
func plainText(value any) string {
	text := fmt.Sprint(value)
	if inner := unquote([]byte(text)); inner != "" {
		return inner
	}
	return text
}

// isSameNumber reports whether two strings are the same number.
func isSameNumber(a, b string) bool {
	x, _, err := big.ParseFloat(a, 10, 24, big.ToNearestEven)
	y, _, err2 := big.ParseFloat(b, 10, 24, big.ToNearestEven)
	if err != nil || err2 != nil {
		return false
	}
	difference, _ := new(big.Float).Sub(x, y).Float64()
	size, _ := x.Float64()
	return difference == 0 || difference/size < 1e-5 && difference/size > -1e-5
}

func isZero(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			if !isZero(member) {
				return false
			}
		}
		return true
	case []any:
		return !slices.ContainsFunc(value, func(item any) bool { return !isZero(item) })
	case string:
		return value == "" || value == "false" || value == `""` || value == "0001-01-01T00:00:00Z" || isSameNumber(value, "0")
	default:
		return value == nil || value == 0.0 || value == false
	}
}

// answerTo returns a value that is valid according to a schema.
func answerTo(random *rand.Rand, schema *jsonschema.Schema, inputs []string) any {
	if len(schema.Types) > 0 && random.IntN(4) == 0 {
		return nil
	}
	if len(schema.Enum) > 0 {
		return schema.Enum[random.IntN(len(schema.Enum))]
	}
	switch kindOf(schema) {
	case "object":
		answer := make(map[string]any)
		for name, property := range schema.Properties {
			answer[name] = answerTo(random, property, inputs)
		}
		return answer
	case "array":
		count := random.IntN(4)
		if schema.MinItems != nil {
			count = *schema.MinItems
		}
		answer := make([]any, count)
		for i := range answer {
			answer[i] = answerTo(random, schema.Items, inputs)
		}
		return answer
	case "boolean":
		return random.IntN(2) == 0
	case "integer":
		return float64(random.Int64N(int64(upper(schema, 1<<50)-lower(schema, -1<<50)))) + lower(schema, -1<<50)
	case "number":
		return random.Float64()*upper(schema, 1e300) + []float64{0, -random.Float64() * upper(schema, 1e300)}[random.IntN(2)]
	default:
		return stringOf(random, schema, inputs)
	}
}

func upper(schema *jsonschema.Schema, least float64) float64 {
	if schema.Maximum != nil {
		return *schema.Maximum
	}
	return least
}

func lower(schema *jsonschema.Schema, most float64) float64 {
	if schema.Minimum != nil {
		return *schema.Minimum
	}
	return most
}

func stringOf(random *rand.Rand, schema *jsonschema.Schema, inputs []string) string {
	switch {
	case schema.Format == "date-time":
		return time.Unix(random.Int64N(1<<32), random.Int64N(1e9)).UTC().Format(time.RFC3339Nano)
	case schema.Pattern == base64Pattern: // base64 has one canonical encoding
		text := make([]byte, random.IntN(9))
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		var written string
		_ = json.Unmarshal(must(json.Marshal(text)), &written)
		return written
	case schema.Pattern != "":
		parsed, err := syntax.Parse(schema.Pattern, syntax.Perl)
		if err != nil {
			panic(err)
		}
		return matching(random, parsed)
	case inputs != nil:
		return inputs[random.IntN(len(inputs))]
	default:
		return []string{"", "a", "\"\\\n", "世界 😀", "null", "0"}[random.IntN(6)]
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func regexpOf(t *testing.T, pattern string) *regexp.Regexp {
	t.Helper()
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// matching returns a string that matches a pattern.
func matching(random *rand.Rand, pattern *syntax.Regexp) string {
	repeat := func(least, most int) string {
		if most < 0 {
			most = least + 5
		}
		var text strings.Builder
		for range least + random.IntN(most-least+1) {
			text.WriteString(matching(random, pattern.Sub[0]))
		}
		return text.String()
	}
	switch pattern.Op {
	case syntax.OpLiteral:
		return string(pattern.Rune)
	case syntax.OpCharClass:
		i := 2 * random.IntN(len(pattern.Rune)/2)
		low, high := pattern.Rune[i], min(pattern.Rune[i+1], pattern.Rune[i]+100)
		return string(low + random.Int32N(high-low+1))
	case syntax.OpConcat:
		var text strings.Builder
		for _, part := range pattern.Sub {
			text.WriteString(matching(random, part))
		}
		return text.String()
	case syntax.OpAlternate:
		return matching(random, pattern.Sub[random.IntN(len(pattern.Sub))])
	case syntax.OpStar:
		return repeat(0, -1)
	case syntax.OpPlus:
		return repeat(1, -1)
	case syntax.OpQuest:
		return repeat(0, 1)
	case syntax.OpRepeat:
		return repeat(pattern.Min, pattern.Max)
	case syntax.OpCapture:
		return matching(random, pattern.Sub[0])
	case syntax.OpBeginText, syntax.OpEndText, syntax.OpEmptyMatch:
		return ""
	default:
		panic(pattern.Op.String() + " has no text here")
	}
}

// randomStruct returns a struct of supported types.
func randomStruct(random *rand.Rand, depth int) reflect.Type {
	fields := make([]reflect.StructField, random.IntN(5))
	for i := range fields {
		options := []string{"", "", ",omitempty", ",omitzero", ",string", ",string,omitempty"}[random.IntN(6)]
		name := []string{"", fmt.Sprintf("f%d", i), fmt.Sprintf("F%d", i+1), "-", "same"}[random.IntN(5)]
		fields[i] = reflect.StructField{
			Name: fmt.Sprintf("F%d", i), Type: randomType(random, depth),
			Tag: reflect.StructTag(fmt.Sprintf(`json:"%s%s"`, name, options)),
		}
	}
	return reflect.StructOf(fields)
}

func randomType(random *rand.Rand, depth int) reflect.Type {
	basic := []reflect.Type{
		reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](),
		reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](),
		reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[float64](),
		reflect.TypeFor[time.Time](), reflect.TypeFor[[]byte](), reflect.TypeFor[json.Number](), reflect.TypeFor[time.Duration](),
	}
	if depth == 0 {
		return basic[random.IntN(len(basic))]
	}
	switch random.IntN(6) {
	case 0:
		return reflect.PointerTo(randomType(random, depth-1))
	case 1:
		return reflect.SliceOf(randomType(random, depth-1))
	case 2:
		return reflect.ArrayOf(random.IntN(3), randomType(random, depth-1))
	case 3:
		return randomStruct(random, depth-1)
	default:
		return basic[random.IntN(len(basic))]
	}
}
