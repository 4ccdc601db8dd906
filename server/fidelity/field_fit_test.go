package fidelity_test

import (
	"encoding/base64"
	"math/big"
	"regexp"
	"strconv"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// fits reports whether a field can carry a value. All other values belong in
// extra_json.
func (s slot) fits(v jsontree.Value) bool {
	switch {
	case v.Kind == jsontree.Null:
		return true
	case s.field.IsMap():
		return s.fitsMap(v)
	case s.field.IsList() && v.Kind == jsontree.Array:
		for _, item := range v.Items {
			if item.Kind == jsontree.Null || !s.fitsOne(item) {
				return false
			}
		}
		return true
	case s.field.IsList():
		return s.option.GetSingle() && s.fitsOne(v)
	default:
		return s.fitsOne(v)
	}
}

func (s slot) fitsMap(v jsontree.Value) bool {
	seen := make(map[string]bool)
	for _, member := range v.Members {
		name := jsontree.Unquote(member.Name)
		if seen[name] || !utf8.ValidString(name) || member.Value.Kind == jsontree.Null || !s.mapValue().fitsOne(member.Value) {
			return false
		}
		seen[name] = true
	}
	return v.Kind == jsontree.Object
}

// integer is the only form of an integer that round-trips.
var integer = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// fitsOne is fits for a field that is not a list, or for a list item.
func (s slot) fitsOne(v jsontree.Value) bool {
	switch s.field.Kind() {
	case protoreflect.BoolKind:
		return v.Kind == jsontree.Bool
	case protoreflect.Int32Kind:
		return within(v, -1<<31, 1<<31-1)
	case protoreflect.Int64Kind:
		return within(v, -1<<63, 1<<63-1)
	case protoreflect.DoubleKind:
		_, err := strconv.ParseFloat(v.Text, 64)
		return v.Kind == jsontree.Number && err == nil
	case protoreflect.EnumKind:
		return v.Kind == jsontree.String && spelled(s.field.Enum(), jsontree.Unquote(v.Text)) != nil
	case protoreflect.BytesKind:
		return s.fitsBytes(v)
	case protoreflect.StringKind:
		if s.isJSON() {
			return v.Kind == jsontree.Object
		}
		return isUnicode(v)
	default:
		return s.fitsMessage(v)
	}
}

func (s slot) fitsBytes(v jsontree.Value) bool {
	if s.isOctets() {
		for _, item := range v.Items {
			if !within(item, 0, 255) {
				return false
			}
		}
		return v.Kind == jsontree.Array
	}
	if !isUnicode(v) {
		return false
	}
	text := jsontree.Unquote(v.Text)
	data, err := base64.StdEncoding.DecodeString(text)
	return err == nil && base64.StdEncoding.EncodeToString(data) == text
}

func (s slot) fitsMessage(v jsontree.Value) bool {
	if s.isTime() {
		return within(v, -62_135_596_800, 253_402_300_799) // The years 1 to 9999.
	}
	switch m := mappingOf(s.field.Message()); {
	case m.array != nil:
		return v.Kind == jsontree.Array && m.array.fits(v)
	case v.Kind == jsontree.Object:
		return true
	default:
		return m.bare != nil && m.bare.fitsOne(v)
	}
}

func within(v jsontree.Value, least, most int64) bool {
	if v.Kind != jsontree.Number || !integer.MatchString(v.Text) {
		return false
	}
	n, _ := new(big.Int).SetString(v.Text, 10)
	return n.Cmp(big.NewInt(least)) >= 0 && n.Cmp(big.NewInt(most)) <= 0
}

// isUnicode reports whether the value is a string without a lone surrogate.
func isUnicode(v jsontree.Value) bool {
	return v.Kind == jsontree.String && utf8.ValidString(jsontree.Unquote(v.Text))
}

func TestFits_Values(t *testing.T) {
	t.Parallel()
	request := mappingOf((*chatv1.CreateChatCompletionRequest)(nil).ProtoReflect().Descriptor())
	completion := mappingOf((*chatv1.ChatCompletion)(nil).ProtoReflect().Descriptor())
	token := mappingOf((*chatv1.TokenLogprob)(nil).ProtoReflect().Descriptor())
	audio := mappingOf((*chatv1.InputAudio)(nil).ProtoReflect().Descriptor())
	voice := mappingOf((*chatv1.AudioParam)(nil).ProtoReflect().Descriptor())
	for _, row := range []struct {
		in         *mapping
		name, text string
		fits       bool
	}{
		{request, "n", `2147483647`, true},
		{request, "n", `2147483648`, false},
		{request, "n", `1.0`, false},
		{request, "n", `-0`, false},
		{request, "n", `"1"`, false},
		{request, "n", `null`, true},
		{request, "seed", `-9223372036854775808`, true},
		{request, "seed", `9223372036854775808`, false},
		{request, "top_p", `1e-400`, true},
		{request, "top_p", `1e400`, false},
		{request, "store", `0`, false},
		{request, "user", `"\ud83d\ude00"`, true},
		{request, "user", `"\ud83d"`, false},
		{request, "stop", `"a"`, true},
		{request, "stop", `["a",null]`, false},
		{request, "messages", `{}`, false},
		{request, "messages", `[{},5]`, false},
		{request, "metadata", `{"a":"b"}`, true},
		{request, "metadata", `{"a":"b","\u0061":"c"}`, false},
		{request, "metadata", `{"a":null}`, false},
		{request, "metadata", `{"\ud83d":"a"}`, false},
		{request, "service_tier", `"flex"`, true},
		{request, "service_tier", `"turbo"`, false},
		{request, "service_tier", `"unspecified"`, false},
		{request, "tool_choice", `"auto"`, true},
		{request, "tool_choice", `"sometimes"`, false},
		{request, "tool_choice", `{"type":"new"}`, true},
		{completion, "created", `253402300799`, true},
		{completion, "created", `253402300800`, false},
		{token, "bytes", `[0,255]`, true},
		{token, "bytes", `[256]`, false},
		{audio, "data", `"AAECAw=="`, true},
		{audio, "data", `"AAECAw"`, false},
		{audio, "data", `"AAECAx=="`, false},
		{audio, "data", `"AAEC\nAw=="`, false},
		{voice, "voice", `"alloy"`, true},
		{voice, "voice", `5`, false},
	} {
		if got := row.in.members[row.name][0].fits(mustParse(t, row.text)); got != row.fits {
			t.Errorf("%s %s: got fits %v", row.name, row.text, got)
		}
	}
}

func mustParse(t *testing.T, text string) jsontree.Value {
	t.Helper()
	v, err := jsontree.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
