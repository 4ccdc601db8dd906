// Package restjson is the runtime of the generated REST codec. It reads and
// writes OpenAI's JSON and describes REST operations.
//
// The layers are separate so that each can be tested alone: the grammar of JSON
// (scan.go), the values of Protobuf fields (decode.go, composite.go, encode.go,
// base64.go), the members of objects (object.go, member_order.go, union.go), and
// the members that a message does not define (extra.go). The mapping itself is in
// the .proto files, from which protoc-gen-go-rest generates the callers.
package restjson

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// MaxDepth is the maximum nesting of objects and arrays, in requests and
// responses.
const MaxDepth = 10_000

// Decodable is a message with a generated decoder.
type Decodable interface {
	// DecodeREST reads the next value. It returns false if the value is valid
	// JSON but does not match the message; the caller then keeps its text.
	DecodeREST(d *Decoder) bool
}

// Encodable is a message with a generated encoder.
type Encodable interface {
	// EncodeREST writes the message. The error is a [*FieldError].
	EncodeREST(e *Encoder) error
}

// Unmarshal reads the JSON object data into the message m, which must be empty.
// It does not retain data. Members that m does not define go to its extra_json.
// The error is a [*SyntaxError]. Use an [Unmarshaler] for the messages of a
// stream.
//
// Two deviations from RFC 8259 are accepted because servers send them. Data may
// begin with a byte order mark. The tokens NaN, Infinity and -Infinity, which
// Python's json module writes, are numbers. A double field accepts them, with and
// without quotes. Elsewhere they become strings, so that extra_json is valid
// JSON. [AppendFull] also writes them as strings, as Protobuf's JSON does.
func Unmarshal(data []byte, m Decodable) error {
	d := decoders.Get().(*Decoder)
	err := d.unmarshal(data, m)
	d.stringFields, d.shortStrings = slab[string]{}, stringSlab{} // else one message would keep the strings of another alive
	decoders.Put(d)
	return err
}

var decoders = sync.Pool{New: func() any { return &Decoder{order: new(memberOrder)} }}

// AppendRequest appends m as the JSON of a request, without output-only fields
// and with the fixed members, which m must not set itself. The error is a
// [*FieldError].
func AppendRequest(b []byte, m Encodable, fixed []Constant) ([]byte, error) {
	e := Encoder{buf: b, fixed: fixed}
	err := m.EncodeREST(&e)
	return e.buf, err
}

// AppendFull appends m as the JSON of a response, with all members that the
// schema requires. The error is a [*FieldError].
func AppendFull(b []byte, m Encodable) ([]byte, error) {
	e := Encoder{buf: b, full: true}
	err := m.EncodeREST(&e)
	return e.buf, err
}

// SyntaxError describes where and why JSON is malformed.
type SyntaxError struct {
	// Offset is the offset of the byte at which the error was found.
	Offset int
	// Path is the path of the value being read, such as `choices[0].message`.
	// It is empty for the outermost value.
	Path string
	// Reason describes the error.
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("malformed JSON at byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("malformed JSON at byte %d, in %s: %s", e.Offset, e.Path, e.Reason)
}

// FieldError describes which field of a message cannot be encoded and why.
type FieldError struct {
	// Path is the path of the field, such as `messages[3].content_parts[0].text`.
	Path string
	// Reason describes the error.
	Reason string
}

// required is the reason of a missing required field.
const required = "is required"

func (e *FieldError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// Field prefixes the path of an error with the name of a field.
func Field(name string, err error) error {
	field, ok := errors.AsType[*FieldError](err)
	if !ok {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case field.Path == "", strings.HasPrefix(field.Path, "["):
		field.Path = name + field.Path
	default:
		field.Path = name + "." + field.Path
	}
	return field
}

// Index prefixes the path of an error with the index of a list item.
func Index(i int, err error) error {
	return Field("["+strconv.Itoa(i)+"]", err)
}

// Key prefixes the path of an error with the key of a map entry.
func Key(key string, err error) error {
	return Field("["+strconv.Quote(key)+"]", err)
}
