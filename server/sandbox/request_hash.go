package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A requestHash is the same for equivalent requests. IDs are derived from it.
type requestHash [sha256.Size]byte

// hashRequest hashes the meaning of a request. It ignores white space, the order of fields
// (except in schemas), null and empty fields, and whether a single stop sequence is a
// string or an array. It also ignores stream, so that a stream has the same IDs as the
// unary response.
func hashRequest(tree *object, controls controls) requestHash {
	sum := sha256.New()
	writeCanonical(sum, copyWithout(tree, "stream", "stream_options", "stop"), false)
	if stop := tree.get("stop"); stop != nil {
		if _, single := stop.(string); single {
			stop = []any{stop}
		}
		writeCanonical(sum, stop, false)
	}
	writeCanonical(sum, string(controls.answer), false)
	writeCanonical(sum, json.Number(strconv.Itoa(controls.tokens)), false)
	return requestHash(sum.Sum(nil))
}

func copyWithout(tree *object, names ...string) *object {
	result := newObject()
	for _, name := range tree.names {
		if !slices.Contains(names, name) {
			result.set(name, tree.get(name))
		}
	}
	return result
}

// writeCanonical hashes an unambiguous encoding of a value. In a schema, the order of
// fields and empty fields are significant.
func writeCanonical(out hash.Hash, value any, inSchema bool) {
	write := func(tag string, length int) {
		_, _ = out.Write(binary.AppendVarint([]byte(tag), int64(length)))
	}
	switch value := value.(type) {
	case nil:
		write("z", 0)
	case bool:
		write(strconv.FormatBool(value)[:1], 0)
	case json.Number:
		writeCanonicalText(out, write, "n", canonicalNumber(value.String()))
	case string:
		writeCanonicalText(out, write, "s", value)
	case []any:
		write("a", len(value))
		for _, each := range value {
			writeCanonical(out, each, inSchema)
		}
	case *object:
		names := slices.Clone(value.names)
		if !inSchema {
			slices.Sort(names)
			names = slices.DeleteFunc(names, func(name string) bool { return isEmptyField(name, value.get(name)) })
		}
		write("o", len(names))
		for _, name := range names {
			writeCanonicalText(out, write, "k", name)
			writeCanonical(out, value.get(name), inSchema || isSchema(name))
		}
	}
}

func writeCanonicalText(out hash.Hash, write func(string, int), tag, text string) {
	write(tag, len(text))
	_, _ = out.Write([]byte(text))
}

// isEmpty reports whether a value is null, an empty array, or an object with only empty
// fields.
func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case []any:
		return len(value) == 0
	case *object:
		return !slices.ContainsFunc(value.names, func(name string) bool { return !isEmptyField(name, value.get(name)) })
	default:
		return false
	}
}

// isEmptyField is isEmpty for an object's field. A schema is empty only if it has no
// fields.
func isEmptyField(name string, value any) bool {
	if inner, is := value.(*object); is && isSchema(name) {
		return inner.len() == 0
	}
	return isEmpty(value)
}

func isSchema(name string) bool { return name == "schema" || name == "parameters" }

// canonicalNumber returns the same string for 1, 1.0 and 1e0.
func canonicalNumber(literal string) string {
	if !strings.ContainsAny(literal, ".eE") {
		return literal
	}
	number, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return literal
	}
	if number == math.Trunc(number) && math.Abs(number) < 1<<53 {
		return strconv.FormatInt(int64(number), 10)
	}
	return strconv.FormatFloat(number, 'g', -1, 64)
}

// idLength is the number of hexadecimal digits in an ID.
const idLength = 24

// id derives an ID from the hash and numbers.
func (i requestHash) id(prefix string, numbers ...int) string {
	salted := append([]byte(prefix), i[:]...)
	for _, number := range numbers {
		salted = binary.AppendVarint(salted, int64(number))
	}
	sum := sha256.Sum256(salted)
	return prefix + hex.EncodeToString(sum[:])[:idLength]
}
