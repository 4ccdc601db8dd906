package openapi

import (
	"math/big"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
)

// Generator generates random instances of schemas.
type Generator struct {
	// Plain excludes what many programs do not preserve; see
	// [jsontree.Random.Plain].
	Plain bool
	// Huge requests an instance with thousands of values, or with a string of a
	// megabyte or more.
	Huge bool
	// Reached counts, by pointer, how often each of [Parts] was generated.
	Reached map[string]int

	forms map[*Schema][]form
}

// NewGenerator returns a generator with empty counts.
func NewGenerator() *Generator {
	return &Generator{Reached: make(map[string]int), forms: make(map[*Schema][]form)}
}

// maker generates one instance.
type maker struct {
	jsontree.Random

	generator *Generator
	optional  float64 // probability of an optional member
	null      float64 // probability of null if allowed
	room      int     // number of values that may still be added
	items     int     // maximum number of list items
	long      bool    // whether one string has megabytes
}

// Instance returns an instance of a schema. It depends only on the state of r. Its size
// ranges from the minimum to some hundred values.
func (g *Generator) Instance(r jsontree.Random, s *Schema) jsontree.Value {
	r.Plain = g.Plain || r.Chance(0.6)
	m := &maker{
		Random:    r,
		generator: g,
		optional:  jsontree.Pick(r, 0, 0.2, 0.5, 0.8, 1),
		null:      jsontree.Pick(r, 0, 0.1, 0.5),
		room:      jsontree.Pick(r, 10, 50, 100, 200, 500),
		items:     4,
	}
	switch {
	case g.Huge && r.Chance(0.5):
		m.room, m.items = 10_000, 5_000
	case g.Huge:
		m.long, m.optional = true, 0.8
	}
	return m.instance(s)
}

func (m *maker) instance(s *Schema) jsontree.Value {
	m.room--
	f := m.choose(s)
	for _, pointer := range f.via {
		m.generator.Reached[pointer]++
	}
	switch f.kind {
	case "null":
		return jsontree.Scalar(jsontree.Null, "null")
	case "boolean":
		return jsontree.Scalar(jsontree.Bool, jsontree.Pick(m.Random, "true", "false"))
	case "integer":
		return m.number(f, jsontree.Random.Integer)
	case "number":
		return m.number(f, jsontree.Random.Fraction)
	case "string":
		return m.string(f)
	case "array":
		return m.array(f)
	default:
		return m.object(f)
	}
}

func (m *maker) choose(s *Schema) form {
	forms, known := m.generator.forms[s]
	if !known {
		forms = s.forms()
		m.generator.forms[s] = forms
	}
	var nulls, others []form
	for _, f := range forms {
		if f.kind == "null" {
			nulls = append(nulls, f)
		} else {
			others = append(others, f)
		}
	}
	if len(nulls) > 0 && m.Chance(m.null) {
		return jsontree.Pick(m.Random, nulls...)
	}
	return jsontree.Pick(m.Random, others...)
}

// number generates numbers until one is within the bounds, or returns a bound.
func (m *maker) number(f form, random func(jsontree.Random) jsontree.Value) jsontree.Value {
	for range 20 {
		v := random(m.Random)
		n, ok := new(big.Rat).SetString(v.Text)
		if ok && (f.minimum == nil || n.Cmp(f.minimum) >= 0) && (f.maximum == nil || n.Cmp(f.maximum) <= 0) && !m.Chance(0.02) {
			return v
		}
	}
	bound := f.minimum
	if f.maximum != nil && m.Chance(0.5) {
		bound = f.maximum
	}
	if bound == nil || m.Plain && !bound.Num().IsInt64() {
		bound = big.NewRat(1, 1)
	}
	return jsontree.Scalar(jsontree.Number, bound.RatString())
}

func (m *maker) string(f form) jsontree.Value {
	if f.values != nil {
		v := jsontree.Pick(m.Random, f.values...)
		for _, pointer := range v.pointers {
			m.generator.Reached[pointer]++
		}
		return m.quote(v.text)
	}
	text := m.Text()
	if m.long && f.maxLength < 0 && m.Chance(0.3) {
		text, m.long = m.LongText(1<<20+m.IntN(1<<19)), false
	}
	if runes := []rune(text); f.maxLength >= 0 && len(runes) > f.maxLength {
		text = string(runes[:f.maxLength])
	}
	return m.Quote(text)
}

// quote returns a name or a value of the schema. The spelling is nearly always the
// simplest one, as upstreams use it.
func (m *maker) quote(text string) jsontree.Value {
	if m.Chance(0.01) {
		return m.Quote(text)
	}
	return jsontree.Scalar(jsontree.String, jsontree.Quote(text))
}

func (m *maker) array(f form) jsontree.Value {
	most := max(f.minItems, min(m.items, m.room/2))
	if f.maxItems >= 0 {
		most = min(most, f.maxItems)
	}
	v := jsontree.Value{Kind: jsontree.Array}
	for range f.minItems + m.IntN(most-f.minItems+1) {
		v.Items = append(v.Items, m.instance(f.items))
	}
	return v
}

func (m *maker) object(f form) jsontree.Value {
	if f.free {
		return m.Object(3)
	}
	v := jsontree.Value{Kind: jsontree.Object}
	for _, p := range f.properties {
		if !p.Required && (m.room <= 0 || !m.Chance(m.optional)) {
			continue
		}
		for _, pointer := range p.pointers {
			m.generator.Reached[pointer]++
		}
		v.Members = append(v.Members, jsontree.Member{Name: m.quote(p.Name).Text, Value: m.instance(p.Schema)})
	}
	if f.additional != nil {
		taken := make(map[string]bool)
		for range m.IntN(max(1, min(m.items, m.room/2))) {
			if name := m.Text(); !taken[name] {
				taken[name] = true
				v.Members = append(v.Members, jsontree.Member{Name: m.Quote(name).Text, Value: m.instance(f.additional)})
			}
		}
	}
	if m.Chance(0.5) {
		m.Shuffle(len(v.Members), func(i, j int) { v.Members[i], v.Members[j] = v.Members[j], v.Members[i] })
	}
	return v
}
