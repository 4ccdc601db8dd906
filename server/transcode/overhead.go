package transcode

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A message in a message takes two bytes at least, and some hundred when it is decoded:
// this much memory, in bytes, is held for each, and for each element of a list.
const (
	messageOverhead = 320
	elementOverhead = 32

	// countedFrom is the size of a request, in bytes, from which they are counted.
	countedFrom = 64 << 10
)

// jsonOverhead is how much memory JSON takes when it is decoded, beyond its own size.
func jsonOverhead(text []byte) (n int64) {
	if len(text) < countedFrom {
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

// stringLength is the length of a string of JSON, up to the quote at its end.
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

// binaryOverhead is jsonOverhead for Protobuf's own form of a message.
func binaryOverhead(text []byte, message protoreflect.MessageDescriptor) int64 {
	if len(text) < countedFrom {
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
