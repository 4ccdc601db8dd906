package client

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/proto/restjson"
)

// extraPieces are the members that extra_json had, in the order in which they
// came first. Names and values are kept as they are written.
type extraPieces struct {
	members []extraMember
}

type extraMember struct {
	name  string // With its quotes.
	value []byte
}

// concatenate adds the extra_json of a delta: what it says comes after what was
// said.
func (e *extraPieces) concatenate(extraJSON string) {
	for name, value := range members(extraJSON) {
		member := e.member(name)
		if isString(member.value) && isString(value) && !isStatement(name) {
			member.value = append(member.value[:len(member.value)-1], value[1:]...)
		} else {
			member.replace(value)
		}
	}
}

// replace adds the extra_json of what is said of the whole.
func (e *extraPieces) replace(extraJSON string) {
	for name, value := range members(extraJSON) {
		e.member(name).replace(value)
	}
}

func (e *extraPieces) member(name string) *extraMember {
	for i := range e.members {
		if e.members[i].name == name {
			return &e.members[i]
		}
	}
	e.members = append(e.members, extraMember{name: name})
	return &e.members[len(e.members)-1]
}

func (m *extraMember) replace(value []byte) {
	if m.value == nil || string(value) != "null" {
		m.value = value
	}
}

// isStatement reports whether a member says what a thing is, whole each time. Such
// a one is among the unknown where its value is.
func isStatement(name string) bool { return name == `"role"` || name == `"type"` }

func isString(value []byte) bool { return len(value) > 1 && value[0] == '"' }

// into makes the members those of a message: its fields where it has any, as
// annotations of a message, which a delta lacks, and else its extra_json.
func (e *extraPieces) into(message interface {
	proto.Message
	restjson.Decodable
},
) {
	if len(e.members) == 0 {
		return
	}
	text := []byte{'{'}
	for i, member := range e.members {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, member.name...)
		text = append(text, ':')
		text = append(text, member.value...)
	}
	text = append(text, '}')
	typed, ok := message.ProtoReflect().New().Interface().(restjson.Decodable)
	if !ok || restjson.Unmarshal(text, typed) != nil {
		return // It has the same type, and the text is put together of valid values.
	}
	proto.Merge(message, typed.(proto.Message)) //nolint:forcetypeassert // see above
}

// members are the names, in their quotes, and values of an extra_json, as they
// are written. One that is no JSON object, which no server sends, has as many as
// can be read.
func members(extraJSON string) func(yield func(name string, value []byte) bool) {
	return func(yield func(name string, value []byte) bool) {
		if extraJSON == "" {
			return
		}
		text := []byte(extraJSON)
		decoder := json.NewDecoder(bytes.NewReader(text))
		if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
			return
		}
		for decoder.More() {
			before := decoder.InputOffset()
			if _, err := decoder.Token(); err != nil {
				return
			}
			name := bytes.TrimLeft(text[before:decoder.InputOffset()], " \t\r\n,")
			var value json.RawMessage
			if decoder.Decode(&value) != nil || !yield(string(name), value) {
				return
			}
		}
	}
}
