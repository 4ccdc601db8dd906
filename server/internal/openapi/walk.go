package openapi

import "slices"

// Schemas returns the schemas named by the operations: of parameters, bodies, and
// responses.
func (d *Document) Schemas() (named []*Schema) {
	for _, op := range d.Operations {
		for _, p := range op.Parameters {
			named = append(named, p.Schema)
		}
		if op.Request != nil {
			named = append(named, op.Request)
		}
		for _, r := range op.Responses {
			named = append(named, r.Schema)
		}
	}
	return named
}

// Walk visits the schemas and everything that they contain or refer to, each once.
func Walk(visit func(*Schema), schemas ...*Schema) {
	seen := make(map[*Schema]bool)
	var walk func(*Schema)
	walk = func(s *Schema) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		visit(s)
		walk(s.Ref)
		for _, p := range s.Properties {
			walk(p.Schema)
		}
		for _, part := range slices.Concat(s.AllOf, s.AnyOf, s.OneOf) {
			walk(part)
		}
		walk(s.Items)
		walk(s.Additional)
	}
	for _, s := range schemas {
		walk(s)
	}
}

// Parts returns pointers to everything that an instance can have: every property, every
// branch of a union, every value of an enum.
func Parts(schemas ...*Schema) (pointers []string) {
	Walk(func(s *Schema) {
		for _, p := range s.Properties {
			pointers = append(pointers, p.Schema.Pointer)
		}
		for _, branch := range s.Branches() {
			pointers = append(pointers, branch.Pointer)
		}
		for i := range s.Enum {
			pointers = append(pointers, s.Value(i))
		}
	}, schemas...)
	return pointers
}
