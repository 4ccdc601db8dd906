package fidelity_test

import (
	"math/rand/v2"

	"google.golang.org/protobuf/reflect/protoreflect"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

func randomOf(seed, stream uint64) jsontree.Random {
	return jsontree.Random{Rand: rand.New(rand.NewPCG(seed, stream))}
}

// fill sets random fields of a message to random values that JSON can represent: at
// most one field of a oneof, and at most one of the forms of a JSON field.
func fill(r jsontree.Random, m protoreflect.Message) {
	in := mappingOf(m.Descriptor())
	for field := range fields(m.Descriptor()) {
		s := newSlot(field)
		isOtherForm := len(in.members[s.name()]) > 1 && field.IsList() && m.Has(in.members[s.name()][0].field)
		taken := s.isBranch() && m.WhichOneof(field.ContainingOneof()) != nil
		if r.Chance(0.6) || isOtherForm || taken || s.option.GetTypedOnly() || isInPath(field) {
			continue
		}
		switch {
		case field == in.remainder:
			if in.bare == nil || !m.Has(in.bare.field) {
				m.Set(field, protoreflect.ValueOfString(unknownMembers(r)))
			}
		case field.IsMap():
			fillMap(r, m.Mutable(field).Map(), s.mapValue())
		case field.IsList():
			list := m.Mutable(field).List()
			for range 1 + r.IntN(3) {
				list.Append(filled(r, s, list.NewElement()))
			}
		default:
			m.Set(field, filled(r, s, m.NewField(field)))
		}
	}
}

// isInPath reports whether the field is in the path of a request. All such fields
// have this name.
func isInPath(field protoreflect.FieldDescriptor) bool { return field.Name() == "completion_id" }

// unknownMembers returns an extra_json with unknown fields.
func unknownMembers(r jsontree.Random) string {
	v := jsontree.Value{Kind: jsontree.Object}
	for range 1 + r.IntN(3) {
		v.Members = append(v.Members, jsontree.Member{Name: r.Quote("x-" + r.Text()).Text, Value: r.Value(3)})
	}
	return string(v.Append(nil, nil))
}

func fillMap(r jsontree.Random, m protoreflect.Map, value slot) {
	for range 1 + r.IntN(3) {
		m.Set(protoreflect.ValueOfString(r.Text()).MapKey(), filled(r, value, m.NewValue()))
	}
}

// filled returns a random value for a field that is not a list, or for an item. For
// message fields, empty is a new message.
func filled(r jsontree.Random, s slot, empty protoreflect.Value) protoreflect.Value {
	switch s.field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.Chance(0.5))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(jsontree.Pick(r, r.Int32(), -r.Int32(), 0, 1<<31-1, -1<<31))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(jsontree.Pick(r, r.Int64(), -r.Int64(), 0, 1<<63-1, -1<<63))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(jsontree.Pick(r, r.NormFloat64(), r.ExpFloat64()*1e300, 0, 1e21, 1e-7, 5e-324, -1.7976931348623157e308))
	case protoreflect.EnumKind:
		values := s.field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(1 + r.IntN(values.Len()-1)).Number())
	case protoreflect.StringKind:
		if s.option.GetFormat() == restv1.Format_FORMAT_JSON_OBJECT {
			return protoreflect.ValueOfString(string(r.Object(3).Append(nil, r.Space)))
		}
		return protoreflect.ValueOfString(r.Text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(r.Text()))
	default:
		if s.isTime() {
			seconds := s.field.Message().Fields().ByName("seconds")
			empty.Message().Set(seconds, protoreflect.ValueOfInt64(jsontree.Pick(r, r.Int64N(253_402_300_800), -r.Int64N(62_135_596_801), 0)))
			return empty
		}
		fill(r, empty.Message())
		return empty
	}
}
