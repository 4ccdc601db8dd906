// Package restjson is what the generated REST codec stands on: it reads and
// writes OpenAI's JSON, and describes REST operations.
//
// The layers are apart so that each can be tested alone: the grammar of JSON
// (scan.go), the values of Protobuf fields (decode.go, composite.go, encode.go,
// base64.go), the members of objects (object.go, order.go, union.go), and those
// that a message cannot represent (extra.go). The mapping itself is in the .proto
// files, from which protoc-gen-go-rest generates the callers.
package restjson

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// MaxDepth bounds how deeply objects and arrays may nest, in either direction.
const MaxDepth = 10_000

// Decodable is a message with a generated decoder.
type Decodable interface {
	// DecodeREST reads the value that the decoder stands before. It reports
	// false where the value is valid JSON but not of the message's kind; the
	// caller then keeps the value's text.
	DecodeREST(d *Decoder) bool
}

// Encodable is a message with a generated encoder.
type Encodable interface {
	// EncodeREST writes the message. The error is a [*FieldError].
	EncodeREST(e *Encoder) error
}

// Unmarshal reads the JSON object data into the message m, which must be empty,
// and keeps nothing of data. What m cannot represent goes to its extra_json. The
// error is a [*SyntaxError]. The messages of a stream are for an [Unmarshaler].
//
// Two deviations from RFC 8259 are accepted, since servers have them. Data may
// begin with a byte order mark. The tokens NaN, Infinity and -Infinity, which
// Python's json module writes, count as numbers: a double field takes them, as it
// takes the same words in quotes, and elsewhere they become strings, so that
// extra_json is valid JSON. [AppendFull] writes them as strings too, as
// Protobuf's own JSON does.
func Unmarshal(data []byte, m Decodable) error {
	d := decoders.Get().(*Decoder)
	err := d.unmarshal(data, m)
	d.strings, d.texts = slab[string]{}, textSlab{} // or one message would keep another one's texts alive
	decoders.Put(d)
	return err
}

var decoders = sync.Pool{New: func() any { return &Decoder{order: new(order)} }}

// AppendRequest appends m as the JSON of a request, without output-only fields.
// The decided members are those that m may not set itself. The error is a
// [*FieldError].
func AppendRequest(b []byte, m Encodable, decided []Constant) ([]byte, error) {
	e := Encoder{buf: b, decided: decided}
	err := m.EncodeREST(&e)
	return e.buf, err
}

// AppendFull appends m as the JSON of a reply, with all that the schema
// requires. The error is a [*FieldError].
func AppendFull(b []byte, m Encodable) ([]byte, error) {
	e := Encoder{buf: b, full: true}
	err := m.EncodeREST(&e)
	return e.buf, err
}

// SyntaxError says where a text is not the JSON that it should be.
type SyntaxError struct {
	// Offset is the byte at which the error was seen, from 0.
	Offset int
	// Path is the value that was being read, such as `choices[0].message`.
	// Empty at the top.
	Path string
	// Reason is what is wrong.
	Reason string
}

func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("malformed JSON at byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("malformed JSON at byte %d, in %s: %s", e.Offset, e.Path, e.Reason)
}

// FieldError says which field of a message cannot be translated, and why.
type FieldError struct {
	// Path is the field, such as `messages[3].content_parts[0].text`.
	Path string
	// Reason is what is wrong with it.
	Reason string
}

// isRequired is the reason of a field that is missing.
const isRequired = "is required"

func (e *FieldError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// Field puts a field's name before the path of an error from within it.
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

// Index puts a list's index before the path of an error from within it.
func Index(i int, err error) error {
	return Field("["+strconv.Itoa(i)+"]", err)
}

// Key puts a map's key before the path of an error from within it.
func Key(key string, err error) error {
	return Field("["+strconv.Quote(key)+"]", err)
}
