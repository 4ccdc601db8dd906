package fidelity_test

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// coverage records what carries each part of the specification. It walks the schemas
// and the messages in parallel, starting from the operations.
type coverage struct {
	rpcs []rpc
	// carriers maps the pointer to a part to the field or rule that carries it.
	carriers map[string]string
	// problems lists parts without a carrier.
	problems []string
	// uses lists the fields that carry something.
	uses map[protoreflect.FullName]*use
	// values lists the enum values that carry something.
	values map[protoreflect.FullName]bool

	// messages lists the messages that carry objects.
	messages map[protoreflect.FullName]*visits

	// The state of the walk: visited schemas, the direction, and the fields of the
	// current object that the RPC sets.
	walked  map[string]bool
	enc     encoding
	decides func(string) bool
}

// use describes how the specification uses a field.
type use struct {
	slot               slot
	isParameter        bool // of the path or the query
	inRequest, inReply bool
	// Set if it holds for any schema.
	required, optional, deprecated, lives, nullable bool
}

// visits collects what the schemas carried by a message have in common.
type visits struct {
	inRequest, inReply bool
	// lacks are the fields that some of the schemas don't have.
	lacks map[string]bool
}

// Rules that carry a part without a field.
const (
	byConstant = "rule: one legal value, no field"
	byTag      = "rule: the tag of the oneof"
	byRPC      = "rule: set by the RPC"
	byOpenSet  = "rule: an open set, a string"
	byAbsence  = "rule: null is absent"
)

func cover(d *openapi.Document) *coverage {
	c := &coverage{
		carriers: make(map[string]string), uses: make(map[protoreflect.FullName]*use), values: make(map[protoreflect.FullName]bool),
		messages: make(map[protoreflect.FullName]*visits), walked: make(map[string]bool),
	}
	c.rpcs, c.problems = matchRPCs(d)
	for _, r := range c.rpcs {
		c.enc = request
		if r.operation.Request != nil {
			c.decides = r.decides
			c.message(r.operation.Request, r.input, true)
			c.decides = nil
		}
		for _, p := range r.operation.Parameters {
			c.parameter(r, p)
		}
		c.enc = reply
		c.message(r.answer, r.output, false)
		for _, response := range r.operation.Responses {
			if response.Status != "200" {
				c.message(response.Schema, failures, false)
			}
		}
	}
	for _, pointer := range openapi.Parts(d.Schemas()...) {
		known := slices.ContainsFunc(c.problems, func(p string) bool { return strings.HasPrefix(p, short(pointer)+": ") })
		if c.carriers[pointer] == "" && !known {
			c.problemf(pointer, "nothing carries it")
		}
	}
	return c
}

func (c *coverage) problemf(pointer, format string, args ...any) {
	text := short(pointer) + ": " + fmt.Sprintf(format, args...)
	if !slices.Contains(c.problems, text) {
		c.problems = append(c.problems, text)
	}
}

// short returns the pointer to a part of a component, without its prefix.
func short(pointer string) string { return strings.TrimPrefix(pointer, "#/components/schemas/") }

// parameter covers a parameter of the path or the query.
func (c *coverage) parameter(r rpc, p openapi.Parameter) {
	where := fmt.Sprintf("%s %s, %s parameter %s", r.operation.Method, r.operation.Path, p.In, p.Name)
	field := r.input.Fields().ByName(protoreflect.Name(p.Name))
	inPath := strings.Contains(r.operation.Path, "{"+p.Name+"}")
	if field == nil || inPath != (p.In == "path") {
		c.problemf(where, "no field of %s carries it", r.input.Name())
		return
	}
	s := newSlot(field)
	c.use(s, openapi.Property{Schema: p.Schema})
	c.uses[field.FullName()].isParameter = true
	c.carriers[where] = string(field.FullName())
	if c.schema(p.Schema, []slot{s}, false) == "" {
		c.problemf(where, "%s can't carry it", field.FullName())
	}
}

// message covers a schema whose instances are messages.
func (c *coverage) message(s *openapi.Schema, desc protoreflect.MessageDescriptor, outermost bool) string {
	before := c.decides
	if !outermost {
		c.decides = nil
	}
	defer func() { c.decides = before }()
	switch {
	case s.Ref != nil:
		return c.message(s.Ref, desc, outermost)
	case len(s.AllOf) > 0:
		c.visit(s, desc)
		for _, part := range s.AllOf {
			c.part(part, desc)
		}
	case len(s.Branches()) > 0:
		for _, branch := range s.Branches() {
			c.carriers[branch.Pointer] = c.message(branch, desc, outermost)
		}
	case s.Type == "null":
		return byAbsence
	case s.Type == "object" && !s.Free && s.Additional == nil:
		c.visit(s, desc)
		c.object(s, desc)
	default:
		c.problemf(s.Pointer, "%s can't carry %s", desc.Name(), s.Type)
		return ""
	}
	return string(desc.FullName())
}

// visit records that a message carries the instances of a schema.
func (c *coverage) visit(s *openapi.Schema, desc protoreflect.MessageDescriptor) {
	v := c.messages[desc.FullName()]
	if v == nil {
		v = &visits{lacks: make(map[string]bool)}
		c.messages[desc.FullName()] = v
	}
	v.inRequest = v.inRequest || c.enc == request
	v.inReply = v.inReply || c.enc == reply
	for name := range mappingOf(desc).members {
		v.lacks[name] = v.lacks[name] || !hasProperty(s, name)
	}
}

func hasProperty(s *openapi.Schema, name string) bool {
	return slices.ContainsFunc(s.Properties, func(p openapi.Property) bool { return p.Name == name }) ||
		s.Ref != nil && hasProperty(s.Ref, name) ||
		slices.ContainsFunc(s.AllOf, func(part *openapi.Schema) bool { return hasProperty(part, name) })
}

// part covers a part of an allOf.
func (c *coverage) part(s *openapi.Schema, desc protoreflect.MessageDescriptor) {
	if s.Ref != nil {
		c.part(s.Ref, desc)
		return
	}
	for _, part := range s.AllOf {
		c.part(part, desc)
	}
	c.object(s, desc)
}

// object covers the properties of a schema whose instances are messages.
func (c *coverage) object(s *openapi.Schema, desc protoreflect.MessageDescriptor) {
	m := mappingOf(desc)
	key := fmt.Sprint(s.Pointer, " ", desc.FullName(), " ", c.enc, " ", c.decides != nil)
	if c.walked[key] {
		return
	}
	c.walked[key] = true
	tag := tagOf(s, m)
	for _, p := range s.Properties {
		carrier := c.property(p, m, tag)
		if carrier == "" {
			c.problemf(p.Schema.Pointer, "%s has no field for it", desc.Name())
			continue
		}
		c.carriers[p.Schema.Pointer] = carrier
	}
}

// tagOf returns the value of the schema for the tag of a message's union, or "".
func tagOf(s *openapi.Schema, m *mapping) string {
	for _, p := range s.Properties {
		if p.Name == m.tag && len(p.Schema.Enum) == 1 {
			return p.Schema.Enum[0]
		}
	}
	return ""
}

// property returns the carrier of a property of an object, or "".
func (c *coverage) property(p openapi.Property, m *mapping, tag string) string {
	constant, isConstant := m.constants[p.Name]
	switch {
	case c.decides != nil && c.decides(p.Name):
		return byRPC
	case isConstant:
		for i, value := range p.Schema.Enum {
			if `"`+value+`"` == constant {
				c.carriers[p.Schema.Value(i)] = byConstant
			}
		}
		return byConstant
	case m.tag != "" && p.Name == m.tag:
		return c.tag(p, m)
	}
	var slots []slot
	for _, s := range m.members[p.Name] {
		if s.within == nil && (!isUnion(s) || s.name() == tag) || s.within != nil && newSlot(s.within).name() == tag {
			slots = append(slots, s)
			c.use(s, p)
		}
	}
	if len(slots) == 0 {
		return ""
	}
	return c.schema(p.Schema, slots, false)
}

// tag covers the property that is the tag of a union.
func (c *coverage) tag(p openapi.Property, m *mapping) string {
	for i, value := range p.Schema.Enum {
		branch, known := m.branches[value]
		if !known {
			continue
		}
		c.carriers[p.Schema.Value(i)] = byTag
		if branch.isTagOnly() || branch.union().GetInline() {
			c.use(branch, p)
		}
	}
	return byTag
}

func isUnion(s slot) bool { return s.union().GetTag() != "" }

// use records that a property uses a field.
func (c *coverage) use(s slot, p openapi.Property) {
	u := c.uses[s.field.FullName()]
	if u == nil {
		u = &use{slot: s}
		c.uses[s.field.FullName()] = u
	}
	note := func(which *bool, is bool) { *which = *which || is }
	note(&u.inRequest, c.enc == request)
	note(&u.inReply, c.enc == reply)
	note(&u.required, p.Required)
	note(&u.optional, !p.Required)
	note(&u.deprecated, isDeprecated(p.Schema))
	note(&u.lives, !isDeprecated(p.Schema))
	note(&u.nullable, isNullable(p.Schema))
}

func isDeprecated(s *openapi.Schema) bool {
	return s.Deprecated || s.Ref != nil && isDeprecated(s.Ref) ||
		len(s.Branches()) > 0 && slices.ContainsFunc(s.Branches(), isDeprecated)
}

func isNullable(s *openapi.Schema) bool {
	return s.Nullable || s.Type == "null" || s.Ref != nil && isNullable(s.Ref) || slices.ContainsFunc(s.Branches(), isNullable)
}

// schema returns the slot that carries the instances of a schema, or "". In an open
// set, listed strings may also be unknown to the enum.
func (c *coverage) schema(s *openapi.Schema, slots []slot, inOpenSet bool) string {
	switch {
	case s.Ref != nil:
		return c.schema(s.Ref, slots, inOpenSet)
	case len(s.AllOf) > 0:
		for _, slot := range slots {
			if slot.isMessage() && !slot.isList() {
				return c.message(s, slot.field.Message(), false)
			}
		}
		c.problemf(s.Pointer, "only a message can carry an allOf")
		return ""
	case len(s.Branches()) > 0:
		return c.branches(s, slots, inOpenSet)
	}
	if s.Type == "null" {
		return byAbsence
	}
	for _, slot := range slots {
		if carrier := c.carry(s, slot, inOpenSet); carrier != "" {
			return carrier
		}
	}
	var tried []string
	for _, s := range slots {
		tried = append(tried, string(s.field.FullName()))
	}
	c.problemf(s.Pointer, "%s can't carry %s", strings.Join(tried, ", "), s.Type)
	return ""
}

func (c *coverage) branches(s *openapi.Schema, slots []slot, inOpenSet bool) string {
	inOpenSet = inOpenSet || slices.ContainsFunc(s.Branches(), func(b *openapi.Schema) bool { return b.Type == "string" && b.Enum == nil })
	var all []string
	for _, branch := range s.Branches() {
		carrier := c.schema(branch, slots, inOpenSet)
		if carrier == "" {
			continue
		}
		c.carriers[branch.Pointer] = carrier
		if carrier != byAbsence && !slices.Contains(all, carrier) {
			all = append(all, carrier)
		}
	}
	return strings.Join(all, ", ")
}

// carry returns the slot's name if it carries the instances of a schema that is not
// a union.
func (c *coverage) carry(s *openapi.Schema, in slot, inOpenSet bool) string {
	name := string(in.field.FullName())
	var carries bool
	switch {
	case in.field.IsMap():
		carries = s.Additional != nil && c.schema(s.Additional, []slot{in.mapValue()}, false) != ""
	case in.isList() && s.Type == "array":
		carries = c.schema(s.Items, []slot{in.listItem()}, false) != ""
	case in.isList() && !in.option.GetSingle():
		carries = false
	default:
		return c.carryOne(s, in, inOpenSet)
	}
	if !carries {
		return ""
	}
	return name
}

// carryOne is carry for a field that is not a list or a map.
func (c *coverage) carryOne(s *openapi.Schema, in slot, inOpenSet bool) string {
	name := string(in.field.FullName())
	kind := in.field.Kind()
	carries := false
	switch s.Type {
	case "string":
		switch {
		case kind == protoreflect.EnumKind:
			return c.carryEnum(s, in)
		case in.isMessage():
			bare := mappingOf(in.field.Message()).bare
			if bare == nil {
				return ""
			}
			c.use(*bare, openapi.Property{Schema: s})
			return c.carryOne(s, *bare, inOpenSet)
		case s.Enum != nil && kind == protoreflect.StringKind && inOpenSet:
			for i := range s.Enum {
				c.carriers[s.Value(i)] = byOpenSet
			}
			return byOpenSet
		case s.Enum == nil:
			carries = kind == protoreflect.StringKind && !in.isJSON() || kind == protoreflect.BytesKind && !in.isOctets()
		}
	case "integer":
		if s.Format == "unixtime" {
			carries = in.isTime()
		} else {
			carries = kind == protoreflect.Int32Kind || kind == protoreflect.Int64Kind
		}
	case "number":
		carries = kind == protoreflect.DoubleKind
	case "boolean":
		carries = kind == protoreflect.BoolKind
	case "array":
		if in.isOctets() {
			carries = s.Items.Type == "integer"
		} else if in.isMessage() {
			list := mappingOf(in.field.Message()).array
			if list == nil {
				return ""
			}
			c.use(*list, openapi.Property{Schema: s})
			return c.carry(s, *list, false)
		}
	case "object":
		switch {
		case s.Free:
			carries = in.isJSON()
		case in.isMessage() && s.Additional == nil:
			return c.message(s, in.field.Message(), false)
		}
	}
	if !carries {
		return ""
	}
	return name
}

// carryEnum covers the strings of an enum.
func (c *coverage) carryEnum(s *openapi.Schema, in slot) string {
	if s.Enum == nil {
		return ""
	}
	for i, text := range s.Enum {
		value := spelled(in.field.Enum(), text)
		if value == nil {
			c.problemf(s.Value(i), "the enum %s has no %q", in.field.Enum().Name(), text)
			continue
		}
		c.carriers[s.Value(i)] = string(value.FullName())
		c.values[value.FullName()] = true
	}
	return string(in.field.FullName())
}
