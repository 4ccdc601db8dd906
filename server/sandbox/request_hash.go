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

// An identity stands for all requests that mean the same: ids follow from it.
type requestHash [sha256.Size]byte

// identify hashes what a request means. It does not see how it was written
// (white space, the order of members but a schema's, null or empty for absent, a
// single stop sequence as string or array), nor whether the answer shall be streamed, so
// that both forms of an answer have the same ids.
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

// writeCanonical writes a value so that no two values look the same unless they
// mean the same. Within a schema the order of members means something, and so
// does an empty one.
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

// isEmpty reports whether a value says nothing: it is null, or a list or object
// in which there is nothing, or of an object only members that say nothing.
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

// saysNothing is isEmpty for a member. A schema says something by any member.
func isEmptyField(name string, member any) bool {
	if inner, is := member.(*object); is && isSchema(name) {
		return inner.len() == 0
	}
	return isEmpty(member)
}

func isSchema(name string) bool { return name == "schema" || name == "parameters" }

// canonicalNumber writes 1, 1.0 and 1e0 alike.
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

// idLength is the number of hexadecimal digits of an id.
const idLength = 24

// id derives a name from the identity, one for each list of numbers.
func (i requestHash) id(prefix string, numbers ...int) string {
	salted := append([]byte(prefix), i[:]...)
	for _, number := range numbers {
		salted = binary.AppendVarint(salted, int64(number))
	}
	sum := sha256.Sum256(salted)
	return prefix + hex.EncodeToString(sum[:])[:idLength]
}
