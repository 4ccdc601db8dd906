package sandbox

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxSample      = 20_000 // values of a sample, and characters of a string
	bytesPerValue  = 100    // this many bytes of a string count as a value
	maxSampleDepth = 100
)

// maxOptionalDepth is the maximum depth of optional fields.
const maxOptionalDepth = 8

// sample returns a value that is valid for a JSON Schema. It is deterministic, and
// preserves the order of the schema's properties.
//
// It supports the keywords of OpenAI's structured outputs, and also allOf, oneOf (treated
// as anyOf), prefixItems, uniqueItems, minProperties and maxProperties. The sample may be
// invalid if the schema has other keywords, such as not, or repeats a keyword in a branch
// and outside of it, or combines enum with other keywords. Recursion ends as early as the
// schema allows. ok is false if it never ends, or if no sample was found.
func sample(schema *object, variant int) (value any, ok bool) {
	s := &sampler{root: schema, budget: maxSample, entered: map[string]bool{"#": true}}
	return s.value(schema, valueContext{name: "text", variant: variant})
}

// sampleObject is sample for a schema whose type is object by default. A nil schema
// yields an empty object.
func sampleObject(schema *object, variant int) (value any, ok bool) {
	base := newObject()
	base.set("type", "object")
	return sample(merge(base, schema), variant)
}

type sampler struct {
	root    any
	budget  int
	entered map[string]bool // references being sampled
}

// A valueContext describes the position of a value.
type valueContext struct {
	name    string // of the field
	variant int
	depth   int
}

func (s *sampler) value(schema any, at valueContext) (any, bool) {
	if s.budget--; s.budget < 0 || at.depth > maxSampleDepth {
		return nil, false
	}
	if allowed, isBool := schema.(bool); isBool {
		return sampleText(newObject(), at), allowed
	}
	obj, ok := schema.(*object)
	if !ok {
		return nil, false
	}
	if reference, ok := obj.get("$ref").(string); ok {
		return s.reference(reference, at)
	}
	if obj.has("const") {
		return obj.get("const"), true
	}
	if values := obj.list("enum"); len(values) > 0 {
		return values[at.variant%len(values)], true
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		if branches := obj.list(keyword); len(branches) > 0 {
			return s.branches(keyword, obj, branches, at)
		}
	}
	for _, kind := range typesOf(obj) {
		if value, ok := s.valueOfType(kind, obj, at); ok {
			return value, true
		}
	}
	return nil, false
}

// reference samples the target of a $ref. To end recursion, it fails for a reference that
// is already being sampled.
func (s *sampler) reference(reference string, at valueContext) (any, bool) {
	target, ok := s.resolvePointer(reference)
	if !ok || s.entered[reference] {
		return nil, false
	}
	s.entered[reference] = true
	defer delete(s.entered, reference)
	return s.value(target, at)
}

// resolvePointer follows a JSON pointer (RFC 6901) within the schema.
func (s *sampler) resolvePointer(reference string) (any, bool) {
	pointer, local := strings.CutPrefix(reference, "#")
	target := s.root
	if pointer == "" {
		return target, local
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		switch inner := target.(type) {
		case *object:
			target = inner.get(step)
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil || index < 0 || index >= len(inner) {
				return nil, false
			}
			target = inner[index]
		}
	}
	return target, local
}

// branches samples the first possible branch, combined with the keywords outside of it.
// For allOf, it combines all branches.
func (s *sampler) branches(keyword string, obj *object, branches []any, at valueContext) (any, bool) {
	siblings := copyWithout(obj, keyword)
	at.depth++
	if keyword == "allOf" {
		for _, branch := range branches {
			siblings = merge(siblings, s.resolveReferences(branch))
		}
		return s.value(siblings, at)
	}
	for _, branch := range branches {
		inner, isObject := branch.(*object)
		if isObject && !inner.has("$ref") {
			branch = merge(siblings, inner)
		}
		if value, ok := s.value(branch, at); ok {
			return value, true
		}
	}
	return nil, false
}

// resolveReferences follows a schema's top-level references.
func (s *sampler) resolveReferences(schema any) *object {
	obj, _ := schema.(*object)
	for range maxOptionalDepth {
		if !obj.has("$ref") {
			break
		}
		target, _ := s.resolvePointer(obj.str("$ref"))
		obj, _ = target.(*object)
	}
	return obj
}

// merge combines the keywords of two schemas. It concatenates properties and required.
// Other keywords of the second schema override those of the first.
func merge(first, added *object) *object {
	result := copyWithout(first)
	if added == nil {
		return result
	}
	for _, name := range added.names {
		switch {
		case name == "properties" && result.object(name) != nil:
			joined := copyWithout(result.object(name))
			for _, property := range added.object(name).names {
				joined.set(property, added.object(name).get(property))
			}
			result.set(name, joined)
		case name == "required":
			result.set(name, slices.Concat(result.list(name), added.list(name)))
		default:
			result.set(name, added.get(name))
		}
	}
	return result
}

// typesOf returns the schema's types, or a type inferred from its other keywords.
func typesOf(schema *object) []string {
	if kind := schema.str("type"); kind != "" {
		return []string{kind}
	}
	if kinds := schema.list("type"); len(kinds) > 0 {
		result := make([]string, len(kinds))
		for i, kind := range kinds {
			result[i], _ = kind.(string)
		}
		return result
	}
	for _, hint := range []struct {
		kind     string
		keywords []string
	}{
		{"object", []string{"properties", "required", "additionalProperties", "minProperties"}},
		{"array", []string{"items", "prefixItems", "minItems", "uniqueItems"}},
		{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
	} {
		if slices.ContainsFunc(hint.keywords, schema.has) {
			return []string{hint.kind}
		}
	}
	return []string{"string"}
}

func (s *sampler) valueOfType(kind string, schema *object, at valueContext) (any, bool) {
	switch kind {
	case "object":
		return s.object(schema, at)
	case "array":
		return s.array(schema, at)
	case "string":
		text := sampleText(schema, at)
		s.budget -= len(text) / bytesPerValue
		return text, hasValidLength(text, schema)
	case "integer":
		return sampleNumber(schema, at.variant, true)
	case "number":
		return sampleNumber(schema, at.variant, false)
	case "boolean":
		return at.variant%2 == 0, true
	case "null":
		return nil, true
	default:
		return nil, false
	}
}

func (s *sampler) object(schema *object, at valueContext) (any, bool) {
	result := newObject()
	required := map[string]bool{}
	for _, each := range schema.list("required") {
		name, _ := each.(string)
		required[name] = true
	}
	maximum := schema.integer("maxProperties", math.MaxInt)
	minimum := schema.integer("minProperties", 0)
	if maximum < max(minimum, len(required)) {
		return nil, false
	}
	remaining := len(required) // remaining required fields
	properties := schema.object("properties")
	if properties == nil {
		properties = newObject()
	}
	for _, name := range properties.names {
		if required[name] {
			remaining--
		} else if at.depth >= maxOptionalDepth || result.len()+remaining >= maximum {
			continue
		}
		value, ok := s.value(properties.get(name), valueContext{name, at.variant, at.depth + 1})
		switch {
		case ok:
			result.set(name, value)
		case required[name]:
			return nil, false
		}
	}
	for _, each := range schema.list("required") {
		if name, _ := each.(string); !properties.has(name) && !s.additional(result, schema, name, at) {
			return nil, false
		}
	}
	for number := 1; result.len() < minimum; number++ {
		if !s.additional(result, schema, fmt.Sprintf("member%d", number), at) {
			return nil, false
		}
	}
	return result, true
}

// additional sets a field that is not in properties.
func (s *sampler) additional(result, schema *object, name string, at valueContext) bool {
	var inner any = true
	if schema.has("additionalProperties") {
		inner = schema.get("additionalProperties")
	}
	value, ok := s.value(inner, valueContext{name, at.variant, at.depth + 1})
	if ok {
		result.set(name, value)
	}
	return ok
}

func (s *sampler) array(schema *object, at valueContext) (any, bool) {
	result := []any{}
	prefix := schema.list("prefixItems")
	minimum := schema.integer("minItems", 0)
	count := min(max(minimum, len(prefix), 1), schema.integer("maxItems", math.MaxInt))
	var items any = true
	if schema.has("items") {
		items = schema.get("items")
	} else if len(prefix) > 0 {
		count = min(count, max(minimum, len(prefix)))
	}
	unique, seen := schema.boolean("uniqueItems"), map[string]bool{}
	for i := range count {
		inner := items
		if i < len(prefix) {
			inner = prefix[i]
		}
		value, ok := s.value(inner, valueContext{at.name, at.variant + i, at.depth + 1})
		if !ok {
			break
		}
		if unique {
			text := string(encode(value))
			if seen[text] {
				break
			}
			seen[text] = true
		}
		result = append(result, value)
	}
	return result, len(result) >= minimum
}

// sampleNumber tries numbers that schemas commonly allow: small ones, the bounds, and
// numbers between the bounds.
func sampleNumber(schema *object, variant int, whole bool) (any, bool) {
	step, _ := numberOf(schema, "multipleOf")
	if whole {
		step = max(step, 1)
	}
	gap := step
	if gap <= 0 {
		gap = 0.5
	}
	first := float64(variant + 1)
	candidates := []float64{first}
	low, hasLow := bound(schema, "minimum", "exclusiveMinimum", math.Max)
	if hasLow {
		candidates = append(candidates, low+first, low, low+gap)
	}
	high, hasHigh := bound(schema, "maximum", "exclusiveMaximum", math.Min)
	if hasHigh {
		candidates = append(candidates, high, high-gap)
	}
	if hasLow && hasHigh {
		candidates = append(candidates, low+(high-low)/2)
	}
	for _, each := range slices.Clone(candidates) {
		for multiple := range 10 {
			candidates = append(candidates, (math.Ceil(each/gap)+float64(multiple))*gap, math.Floor(each/gap)*gap)
		}
	}
	for _, each := range candidates {
		// A double preserves 15 digits: 0.3 rather than 3 × 0.1.
		text := strconv.FormatFloat(each, 'g', 15, 64)
		if number, err := strconv.ParseFloat(text, 64); err == nil && satisfiesBounds(schema, number, whole) {
			return json.Number(strconv.FormatFloat(number, 'f', -1, 64)), true
		}
	}
	return nil, false
}

// bound returns the lower or upper bound of a schema's numbers, inclusive or not.
func bound(schema *object, inclusive, exclusive string, closer func(x, y float64) float64) (float64, bool) {
	first, hasFirst := numberOf(schema, inclusive)
	second, hasSecond := numberOf(schema, exclusive)
	switch {
	case hasFirst && hasSecond:
		return closer(first, second), true
	case hasSecond:
		return second, true
	default:
		return first, hasFirst
	}
}

func satisfiesBounds(schema *object, number float64, whole bool) bool {
	for keyword, holds := range map[string]func(bound float64) bool{
		"minimum":          func(bound float64) bool { return number >= bound },
		"exclusiveMinimum": func(bound float64) bool { return number > bound },
		"maximum":          func(bound float64) bool { return number <= bound },
		"exclusiveMaximum": func(bound float64) bool { return number < bound },
		"multipleOf": func(bound float64) bool {
			times := number / bound
			return math.Abs(times-math.Round(times)) < 1e-9
		},
	} {
		if bound, ok := numberOf(schema, keyword); ok && !holds(bound) {
			return false
		}
	}
	return !math.IsInf(number, 0) && (!whole || number == math.Trunc(number))
}

func numberOf(schema *object, keyword string) (float64, bool) {
	number, ok := schema.get(keyword).(json.Number)
	if !ok {
		return 0, false
	}
	value, err := number.Float64()
	return value, err == nil
}

// sampleText returns a string for the format or pattern, or a description.
func sampleText(schema *object, at valueContext) string {
	if text, ok := sampleFormat(schema.str("format")); ok {
		return text
	}
	if pattern := schema.str("pattern"); pattern != "" {
		if text, ok := matchingString(pattern, schema); ok {
			return text
		}
	}
	text := "sample " + at.name
	if at.variant > 0 {
		text += " " + strconv.Itoa(at.variant+1)
	}
	minimum := min(schema.integer("minLength", 0), maxSample)
	text += strings.Repeat(".", max(0, minimum-utf8.RuneCountInString(text)))
	runes := []rune(text)
	return string(runes[:max(0, min(len(runes), schema.integer("maxLength", len(runes))))])
}

func hasValidLength(text string, schema *object) bool {
	length := utf8.RuneCountInString(text)
	return length >= schema.integer("minLength", 0) && length <= schema.integer("maxLength", math.MaxInt)
}

// sampleFormat returns a string for each format of OpenAI's structured outputs, and for
// uri. Addresses are from ranges reserved for documentation.
func sampleFormat(format string) (string, bool) {
	text, ok := map[string]string{
		"date-time": "2025-01-02T03:04:05Z",
		"date":      "2025-01-02",
		"time":      "03:04:05Z",
		"duration":  "P1D",
		"email":     "sample@example.com",
		"hostname":  "example.com",
		"ipv4":      "192.0.2.1",
		"ipv6":      "2001:db8::1",
		"uuid":      "00000000-0000-4000-8000-000000000001",
		"uri":       "https://example.com/sample",
	}[format]
	return text, ok
}

const (
	maxRepeat  = 64    // maximum number of repetitions
	maxPattern = 1_000 // maximum bytes of a pattern, and of a match
)

// matchingString returns a string that matches a pattern and has a valid length. It does
// not support long patterns, and patterns that are invalid in Go (RE2).
func matchingString(pattern string, schema *object) (string, bool) {
	if len(pattern) > maxPattern {
		return "", false
	}
	expression, err := regexp.Compile(pattern)
	if err != nil {
		return "", false
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", false
	}
	for repeat := range maxRepeat {
		var text strings.Builder
		writeMatch(&text, tree, repeat)
		if text.Len() > maxPattern {
			break
		}
		if hasValidLength(text.String(), schema) && expression.MatchString(text.String()) {
			return text.String(), true
		}
	}
	return "", false
}

// writeMatch writes a match of a regular expression, with repeat repetitions if possible.
func writeMatch(out *strings.Builder, tree *syntax.Regexp, repeat int) {
	if out.Len() > maxPattern {
		return
	}
	switch tree.Op {
	case syntax.OpLiteral:
		out.WriteString(string(tree.Rune))
	case syntax.OpCharClass:
		out.WriteRune(printable(tree.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		out.WriteByte('a')
	case syntax.OpAlternate:
		writeMatch(out, tree.Sub[0], repeat)
	case syntax.OpCapture, syntax.OpConcat:
		for _, each := range tree.Sub {
			writeMatch(out, each, repeat)
		}
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		low, high := repetitions(tree)
		for range max(low, min(repeat, high)) {
			writeMatch(out, tree.Sub[0], repeat)
		}
	default: // assertions such as ^ and \b are empty
	}
}

func repetitions(tree *syntax.Regexp) (low, high int) {
	switch tree.Op {
	case syntax.OpStar:
		return 0, maxRepeat
	case syntax.OpPlus:
		return 1, maxRepeat
	case syntax.OpQuest:
		return 0, 1
	default:
		if tree.Max < 0 {
			return tree.Min, max(tree.Min, maxRepeat)
		}
		return tree.Min, tree.Max
	}
}

// printable returns a character of a class, which is a list of ranges. It prefers letters
// and digits.
func printable(class []rune) rune {
	for _, want := range "aA0" {
		for i := 0; i+1 < len(class); i += 2 {
			if class[i] <= want && want <= class[i+1] {
				return want
			}
		}
	}
	for i := 0; i+1 < len(class); i += 2 {
		if class[i+1] > ' ' {
			return max(class[i], '!')
		}
	}
	if len(class) == 0 {
		return 'a'
	}
	return class[0]
}
