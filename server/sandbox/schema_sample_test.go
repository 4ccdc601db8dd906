package sandbox

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestSample_MatchesSchema(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		schema  string
		variant int
		want    string // empty if no value is valid
	}{
		"a string":                           {`{"type":"string"}`, 0, `"sample text"`},
		"another string":                     {`{"type":"string"}`, 1, `"sample text 2"`},
		"a long string":                      {`{"type":"string","minLength":14}`, 0, `"sample text..."`},
		"a short string":                     {`{"type":"string","maxLength":3}`, 0, `"sam"`},
		"an empty string":                    {`{"type":"string","maxLength":0}`, 0, `""`},
		"a format":                           {`{"type":"string","format":"date-time"}`, 0, `"2025-01-02T03:04:05Z"`},
		"an unknown format":                  {`{"type":"string","format":"colour"}`, 0, `"sample text"`},
		"a pattern":                          {`{"type":"string","pattern":"^[A-Z]{2}-\\d+$"}`, 0, `"AA-0"`},
		"a pattern with a length":            {`{"type":"string","pattern":"^[a-z]+$","minLength":4}`, 0, `"aaaa"`},
		"a pattern that Go does not support": {`{"type":"string","pattern":"^(?!x)"}`, 0, `"sample text"`},
		"an enum":                            {`{"enum":["b","a"]}`, 0, `"b"`},
		"another value of an enum":           {`{"enum":["b","a"]}`, 3, `"a"`},
		"a constant null":                    {`{"const":null}`, 0, `null`},
		"an integer":                         {`{"type":"integer"}`, 2, `3`},
		"an integer with a minimum":          {`{"type":"integer","minimum":10}`, 0, `11`},
		"an integer with bounds":             {`{"type":"integer","exclusiveMinimum":4,"exclusiveMaximum":6}`, 0, `5`},
		"a negative integer":                 {`{"type":"integer","maximum":-3}`, 0, `-3`},
		"a multiple":                         {`{"type":"integer","multipleOf":7,"minimum":20}`, 0, `21`},
		"impossible bounds of an integer":    {`{"type":"integer","minimum":1.2,"maximum":1.8}`, 0, ``},
		"a number":                           {`{"type":"number"}`, 0, `1`},
		"a number with narrow bounds":        {`{"type":"number","exclusiveMinimum":0,"exclusiveMaximum":0.25}`, 0, `0.125`},
		"a fractional multiple":              {`{"type":"number","multipleOf":0.1,"minimum":0.25,"maximum":0.35}`, 0, `0.3`},
		"a boolean":                          {`{"type":"boolean"}`, 1, `false`},
		"null":                               {`{"type":"null"}`, 0, `null`},
		"the first possible type":            {`{"type":["integer","null"],"minimum":2,"maximum":1}`, 0, `null`},
		"anything":                           {`{}`, 0, `"sample text"`},
		"an array":                           {`{"type":"array","items":{"type":"integer"}}`, 0, `[1]`},
		"an array with a length":             {`{"type":"array","items":{"type":"integer"},"minItems":3,"uniqueItems":true}`, 0, `[1,2,3]`},
		"an array that must be empty":        {`{"type":"array","maxItems":0}`, 0, `[]`},
		"an impossible length of an array":   {`{"type":"array","items":{"const":1},"minItems":2,"uniqueItems":true}`, 0, ``},
		"a tuple":                            {`{"prefixItems":[{"type":"null"},{"type":"integer"}]}`, 0, `[null,2]`},
		"the order of properties":            {`{"properties":{"b":{},"a":{"type":"object","properties":{"c":{}}}}}`, 0, `{"b":"sample b","a":{"c":"sample c"}}`},
		"required, but not in properties":    {`{"type":"object","required":["x"],"additionalProperties":{"type":"integer"}}`, 0, `{"x":1}`},
		"required and forbidden":             {`{"type":"object","required":["x"],"additionalProperties":false}`, 0, ``},
		"an impossible property":             {`{"properties":{"a":false,"b":{}}}`, 0, `{"b":"sample b"}`},
		"maxProperties":                      {`{"properties":{"a":{},"b":{},"c":{}},"required":["c"],"maxProperties":2}`, 0, `{"a":"sample a","c":"sample c"}`},
		"minProperties":                      {`{"properties":{"a":{}},"minProperties":2}`, 0, `{"a":"sample a","member1":"sample member1"}`},
		"minProperties above maxProperties":  {`{"type":"object","minProperties":3,"maxProperties":1}`, 0, ``},
		"a reference":                        {`{"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"boolean"}}}`, 0, `true`},
		"a reference to an array item":       {`{"anyOf":[{"type":"null"}],"properties":{"x":{"$ref":"#/anyOf/0"}}}`, 0, `null`},
		"a dangling reference":               {`{"$ref":"#/$defs/a"}`, 0, ``},
		"an external reference":              {`{"$ref":"https://example.com/schema"}`, 0, ``},
		"a reference to itself":              {`{"$ref":"#"}`, 0, ``},
		"a recursive list":                   {`{"properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["next"]}`, 0, `{"next":null}`},
		"a recursive tree":                   {`{"type":"object","properties":{"name":{},"children":{"type":"array","items":{"$ref":"#"}}}}`, 0, `{"name":"sample name","children":[]}`},
		"an optional recursive field":        {`{"type":"object","properties":{"name":{},"parent":{"$ref":"#"}}}`, 0, `{"name":"sample name"}`},
		"infinite recursion":                 {`{"type":"object","properties":{"x":{"$ref":"#"}},"required":["x"]}`, 0, ``},
		"allOf":                              {`{"allOf":[{"properties":{"a":{}},"required":["a"]},{"$ref":"#/$defs/x"}],"$defs":{"x":{"properties":{"b":{}},"required":["b"]}}}`, 0, `{"a":"sample a","b":"sample b"}`},
		"recursive allOf":                    {`{"allOf":[{"$ref":"#"}]}`, 0, ``},
		"anyOf with other keywords":          {`{"type":"object","properties":{"k":{}},"anyOf":[{"required":["l"],"additionalProperties":false},{"required":["k"]}]}`, 0, `{"k":"sample k"}`},
		"oneOf":                              {`{"oneOf":[{"type":"integer"},{"type":"string"}]}`, 0, `1`},
		"strings that exceed the budget":     {`{"type":"array","items":{"type":"string","minLength":20000},"minItems":1000}`, 0, ``},
		"an array that exceeds the budget":   {`{"type":"array","items":{"type":"integer"},"minItems":30000,"uniqueItems":true}`, 0, ``},
		"exponentially many references":      {doubling(40), 0, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, ok := sample(schemaOf(t, row.schema), row.variant)
			got := ""
			if ok {
				got = string(encode(value))
			}
			if got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// doubling returns a schema whose sample has 2^depth values.
func doubling(depth int) string {
	var definitions []string
	for i := range depth {
		next := `{"$ref":"#/$defs/` + strconv.Itoa(i+1) + `"}`
		definitions = append(definitions, `"`+strconv.Itoa(i)+`":{"type":"object","properties":{"a":`+next+`,"b":`+next+`},"required":["a","b"]}`)
	}
	definitions = append(definitions, `"`+strconv.Itoa(depth)+`":{"type":"null"}`)
	return `{"$ref":"#/$defs/0","$defs":{` + strings.Join(definitions, ",") + `}}`
}

func schemaOf(t *testing.T, text string) *object {
	t.Helper()
	value, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return value.(*object)
}

// FuzzSample checks that sample terminates, and that samples are valid.
func FuzzSample(f *testing.F) {
	for _, seed := range []string{
		`{"type":"object","properties":{"a":{"type":["string","null"],"pattern":"a+b"},"b":{"type":"array","items":{"$ref":"#"},"minItems":1}},"required":["a"]}`,
		`{"type":"number","multipleOf":0.3,"minimum":1,"exclusiveMaximum":9}`,
		`{"anyOf":[{"type":"integer","maximum":-5},{"enum":[1,"2"]}],"type":"integer"}`,
		`{"type":"array","prefixItems":[{"type":"boolean"}],"items":{"type":"integer"},"minItems":4,"uniqueItems":true}`,
		`{"type":"string","minLength":3,"maxLength":5,"pattern":"^(x|y)?z*$"}`,
		`{"type":"object","minProperties":3,"maxProperties":4,"additionalProperties":{"type":"null"}}`,
	} {
		for variant := range 3 {
			f.Add(seed, variant)
		}
	}
	f.Fuzz(func(t *testing.T, text string, variant int) {
		value, err := parse([]byte(text))
		schema, ok := value.(*object)
		if err != nil || !ok || variant < 0 || variant > maxChoices {
			return
		}
		began := time.Now()
		sampled, ok := sample(schema, variant)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("sample took %v", took)
		}
		if ok && !isUnsupported(schema) && !isValid(schema, schema, sampled, 0) {
			t.Errorf("%s is not valid for %s", encode(sampled), text)
		}
	})
}

// isUnsupported reports whether a schema has keywords that sample does not support: invalid
// keywords, or keywords combined with $ref, const, enum or anyOf.
func isUnsupported(schema any) bool {
	switch schema := schema.(type) {
	case []any:
		return slices.ContainsFunc(schema, isUnsupported)
	case *object:
		for _, name := range schema.names {
			value := schema.get(name)
			_, isNumber := value.(json.Number)
			_, isString := value.(string)
			_, isList := value.([]any)
			_, isObject := value.(*object)
			_, isBoolean := value.(bool)
			switch name {
			case "$ref", "const", "enum", "anyOf":
				if len(schema.names) > 1 || name == "anyOf" && !isList {
					return true
				}
			case "allOf", "oneOf", "format", "not":
				return true
			case "pattern":
				if _, err := regexp.Compile(schema.str(name)); err != nil || !isString {
					return true
				}
				// Patterns without a match of a valid length are ignored.
				if _, ok := matchingString(schema.str(name), schema); !ok {
					return true
				}
			case "type":
				if !isString && !isList {
					return true
				}
			case "properties":
				if !isObject || slices.ContainsFunc(schema.object(name).names, func(inner string) bool {
					return isUnsupported(schema.object(name).get(inner))
				}) {
					return true
				}
				continue
			case "items", "additionalProperties":
				if !isObject && !isBoolean {
					return true
				}
			case "required", "prefixItems":
				if !isList {
					return true
				}
			case "uniqueItems":
				if !isBoolean {
					return true
				}
			case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
				bound, _ := numberOf(schema, name)
				if !isNumber || math.Abs(bound) > 1e9 {
					return true
				}
			case "multipleOf":
				bound, _ := numberOf(schema, name)
				if !isNumber || bound < 1e-3 || bound > 1e9 {
					return true
				}
			case "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties":
				count := schema.integer(name, -1)
				if count < 0 || count > 1000 {
					return true
				}
			default:
				return true
			}
			if isUnsupported(value) {
				return true
			}
		}
	}
	return false
}

// isValid is a small JSON Schema validator for supported schemas.
func isValid(root, schema, value any, depth int) bool {
	if depth > 1000 {
		return false
	}
	if allowed, ok := schema.(bool); ok {
		return allowed
	}
	obj, ok := schema.(*object)
	if !ok {
		return false
	}
	valid := func(schema, value any) bool { return isValid(root, schema, value, depth+1) }
	if reference := obj.str("$ref"); reference != "" {
		target, found := (&sampler{root: root}).resolvePointer(reference)
		return found && valid(target, value)
	}
	same := func(other any) bool { return string(encode(other)) == string(encode(value)) }
	if obj.has("const") && !same(obj.get("const")) || obj.has("enum") && !slices.ContainsFunc(obj.list("enum"), same) {
		return false
	}
	if branches := obj.list("anyOf"); len(branches) > 0 &&
		!slices.ContainsFunc(branches, func(branch any) bool { return valid(branch, value) }) {
		return false
	}
	kinds := obj.list("type")
	if kind := obj.str("type"); kind != "" {
		kinds = []any{kind}
	}
	if len(kinds) > 0 && !slices.ContainsFunc(kinds, func(kind any) bool { return isOfType(value, kind) }) {
		return false
	}
	switch value := value.(type) {
	case string:
		length := utf8.RuneCountInString(value)
		return length >= obj.integer("minLength", 0) && length <= obj.integer("maxLength", math.MaxInt) &&
			regexp.MustCompile(obj.str("pattern")).MatchString(value)
	case json.Number:
		number, err := value.Float64()
		return err == nil && satisfiesBounds(obj, number, false)
	case []any:
		prefix := obj.list("prefixItems")
		seen := map[string]bool{}
		for i, each := range value {
			seen[string(encode(each))] = true
			if i < len(prefix) && !valid(prefix[i], each) ||
				i >= len(prefix) && obj.has("items") && !valid(obj.get("items"), each) {
				return false
			}
		}
		return len(value) >= obj.integer("minItems", 0) && len(value) <= obj.integer("maxItems", math.MaxInt) &&
			(!obj.boolean("uniqueItems") || len(seen) == len(value))
	case *object:
		for _, name := range obj.list("required") {
			if text, ok := name.(string); ok && !value.has(text) {
				return false
			}
		}
		for _, name := range value.names {
			inner := any(true)
			if obj.object("properties").has(name) {
				inner = obj.object("properties").get(name)
			} else if obj.has("additionalProperties") {
				inner = obj.get("additionalProperties")
			}
			if !valid(inner, value.get(name)) {
				return false
			}
		}
		return value.len() >= obj.integer("minProperties", 0) && value.len() <= obj.integer("maxProperties", math.MaxInt)
	default:
		return true
	}
}

func isOfType(value, kind any) bool {
	switch value := value.(type) {
	case nil:
		return kind == "null"
	case bool:
		return kind == "boolean"
	case string:
		return kind == "string"
	case []any:
		return kind == "array"
	case *object:
		return kind == "object"
	case json.Number:
		number, err := value.Float64()
		return err == nil && (kind == "number" || kind == "integer" && number == math.Trunc(number))
	default:
		return false
	}
}
