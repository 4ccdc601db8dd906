package transcode

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Estimated memory of decoded values, in bytes. A nested message can be encoded in two
// bytes, but takes some hundred when it is decoded.
const (
	messageOverhead = 320
	elementOverhead = 32

	// minCounted is the size of a request from which values are counted, in bytes.
	minCounted = 64 << 10
)

// jsonOverhead returns the estimated memory of decoded JSON in addition to its size.
func jsonOverhead(text []byte) (n int64) {
	if len(text) < minCounted {
		return 0
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += 1 + stringLength(text[i+1:])
		case '{', '[':
			n += messageOverhead
		case ',':
			n += elementOverhead
		}
	}
	return n
}

// stringLength returns the length of a JSON string up to its closing quote.
func stringLength(text []byte) int {
	for from := 0; ; {
		n := bytes.IndexByte(text[from:], '"')
		if n < 0 {
			return len(text)
		}
		slashes := 0
		for slashes < n && text[from+n-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return from + n
		}
		from += n + 1
	}
}

// binaryOverhead is jsonOverhead for the binary encoding of a message.
func binaryOverhead(text []byte, message protoreflect.MessageDescriptor) int64 {
	if len(text) < minCounted {
		return 0
	}
	return fieldsOverhead(text, message, protowire.DefaultRecursionLimit)
}

func fieldsOverhead(text []byte, message protoreflect.MessageDescriptor, levels int) (n int64) {
	for len(text) > 0 && levels > 0 {
		number, kind, tag := protowire.ConsumeTag(text)
		if tag < 0 {
			return n
		}
		size := protowire.ConsumeFieldValue(number, kind, text[tag:])
		if size < 0 {
			return n
		}
		value := text[tag : tag+size]
		text = text[tag+size:]
		field := message.Fields().ByNumber(number)
		if field == nil || !field.IsList() && !field.IsMap() && field.Message() == nil {
			continue
		}
		n += elementOverhead
		if kind != protowire.BytesType {
			continue
		}
		value, _ = protowire.ConsumeBytes(value)
		switch {
		case field.Message() != nil:
			n += messageOverhead + fieldsOverhead(value, field.Message(), levels-1)
		case field.IsPacked():
			n += 16 * int64(len(value))
		}
	}
	return n
}
