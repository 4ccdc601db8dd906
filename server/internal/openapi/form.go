package openapi

import (
	"fmt"
	"math/big"
	"slices"
)

// form is one alternative of a schema after resolving references, splitting unions, and
// merging allOf.
type form struct {
	kind string // as Schema.Type
	via  []string

	values     []value // the legal strings, or nil for all
	format     string
	maxLength  int
	minimum    *big.Rat
	maximum    *big.Rat
	items      *Schema
	minItems   int
	maxItems   int
	properties []part
	additional *Schema
	free       bool
}

// value is a string of an enum. The pointers are its positions.
type value struct {
	text     string
	pointers []string
}

// part is a member of an object. The pointers are its descriptions.
type part struct {
	Property

	pointers []string
}

// forms returns the alternatives of a schema. The result is empty for a contradictory schema.
func (s *Schema) forms() []form {
	var forms []form
	switch {
	case s.Ref != nil:
		forms = s.Ref.forms()
	case s.Type != "":
		forms = []form{s.ownForm()}
	}
	for _, part := range s.AllOf {
		forms = meet(forms, part.forms())
	}
	for _, union := range [][]*Schema{s.AnyOf, s.OneOf} {
		if len(union) == 0 {
			continue
		}
		var branches []form
		for _, branch := range union {
			for _, f := range branch.forms() {
				f.via = append([]string{branch.Pointer}, f.via...)
				branches = append(branches, f)
			}
		}
		forms = meet(forms, branches)
	}
	if s.Nullable && !slices.ContainsFunc(forms, func(f form) bool { return f.kind == "null" }) {
		forms = append(forms, form{kind: "null"})
	}
	return forms
}

func (s *Schema) ownForm() form {
	f := form{
		kind: s.Type, format: s.Format, maxLength: s.maxLength, minimum: s.minimum, maximum: s.maximum,
		items: s.Items, minItems: s.minItems, maxItems: s.maxItems, additional: s.Additional, free: s.Free,
	}
	for i, text := range s.Enum {
		f.values = append(f.values, value{text, []string{s.Value(i)}})
	}
	for _, p := range s.Properties {
		f.properties = append(f.properties, part{p, []string{p.Schema.Pointer}})
	}
	return f
}

// meet returns the forms of the instances of both lists.
func meet(a, b []form) []form {
	if a == nil {
		return b
	}
	both := []form{}
	for _, x := range a {
		for _, y := range b {
			if f, ok := x.and(y); ok {
				both = append(both, f)
			}
		}
	}
	return both
}

func (f form) and(g form) (form, bool) {
	if f.kind != g.kind && (f.kind != "integer" || g.kind != "number") {
		return f, false
	}
	f.via = append(slices.Clone(f.via), g.via...)
	switch f.kind {
	case "null", "boolean":
	case "integer", "number":
		f.minimum = tighter(f.minimum, g.minimum, +1)
		f.maximum = tighter(f.maximum, g.maximum, -1)
	case "object":
		f.properties = bothProperties(f.properties, g.properties)
		f.free = f.free && g.free
		if f.additional != nil || g.additional != nil {
			panic("allOf of maps is not supported")
		}
	default:
		panic(fmt.Sprintf("allOf of schemas of type %s is not supported", f.kind))
	}
	return f, true
}

// tighter returns the tighter bound; sign is +1 for lower bounds.
func tighter(a, b *big.Rat, sign int) *big.Rat {
	if a == nil || b != nil && b.Cmp(a) == sign {
		return b
	}
	return a
}

func bothProperties(a, b []part) []part {
	all := slices.Clone(a)
	for _, p := range b {
		i := slices.IndexFunc(all, func(q part) bool { return q.Name == p.Name })
		if i < 0 {
			all = append(all, p)
			continue
		}
		q := &all[i]
		q.Required = q.Required || p.Required
		q.Schema = &Schema{AllOf: []*Schema{q.Schema, p.Schema}}
		q.pointers = append(slices.Clone(q.pointers), p.pointers...)
	}
	return all
}
