package fidelity_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// vocabulary lists the names in the specification.
type vocabulary struct {
	values  map[string]bool // of enums
	tags    map[string]bool // members with one legal value
	members []string        // of any object
}

func vocabularyOf(d *openapi.Document) *vocabulary {
	v := &vocabulary{values: make(map[string]bool), tags: make(map[string]bool)}
	members := make(map[string]bool)
	openapi.Walk(func(s *openapi.Schema) {
		for _, value := range s.Enum {
			v.values[value] = true
		}
		for _, p := range s.Properties {
			members[p.Name] = true
			if len(p.Schema.Enum) == 1 {
				v.tags[p.Name] = true
			}
		}
	}, d.Schemas()...)
	v.members = slices.Sorted(maps.Keys(members))
	return v
}

// mutator changes an instance into one that future or OpenAI-compatible upstreams
// may send.
type mutator struct {
	name string
	// outermost reports whether the outermost object can be changed too, and stays an
	// object.
	outermost bool
	// suits reports whether a value with this field name can be changed. List items
	// have no name.
	suits func(name string, v jsontree.Value) bool
	spoil func(r jsontree.Random, v jsontree.Value) jsontree.Value
}

func mutators(words *vocabulary) []mutator {
	isObject := func(_ string, v jsontree.Value) bool { return v.Kind == jsontree.Object }
	isAnything := func(string, jsontree.Value) bool { return true }
	add := func(name func(jsontree.Random) jsontree.Value, value func(jsontree.Random) jsontree.Value) func(jsontree.Random, jsontree.Value) jsontree.Value {
		return func(r jsontree.Random, v jsontree.Value) jsontree.Value {
			return withMember(r, v, jsontree.Member{Name: name(r).Text, Value: value(r)})
		}
	}
	anyName := func(r jsontree.Random) jsontree.Value { return r.Quote(r.Text()) }
	knownName := func(r jsontree.Random) jsontree.Value { return r.Quote(jsontree.Pick(r, words.members...)) }
	anyValue := func(r jsontree.Random) jsontree.Value { return r.Value(3) }
	deepValue := func(r jsontree.Random) jsontree.Value { return nested(r, 1+r.IntN(300)) }
	return []mutator{
		{"an unknown field", true, isObject, add(anyName, anyValue)},
		{"a field of another object", true, isObject, add(knownName, anyValue)},
		{"a field named with half a character", true, isObject, add(jsontree.Random.LoneSurrogate, anyValue)},
		{"a deeply nested field", true, isObject, add(knownName, deepValue)},
		{
			"a repeated field", true,
			func(_ string, v jsontree.Value) bool { return v.Kind == jsontree.Object && len(v.Members) > 0 },
			func(r jsontree.Random, v jsontree.Value) jsontree.Value {
				again := jsontree.Pick(r, v.Members...)
				switch r.IntN(3) {
				case 0:
					again.Value = jsontree.Pick(r, v.Members...).Value
				case 1:
					again.Value = r.Value(2)
				}
				return withMember(r, v, again)
			},
		},
		{
			"a missing tag", true,
			func(_ string, v jsontree.Value) bool {
				_, has := v.Find("type")
				return has
			},
			func(_ jsontree.Random, v jsontree.Value) jsontree.Value {
				v.Members = slices.DeleteFunc(slices.Clone(v.Members), func(m jsontree.Member) bool { return jsontree.Unquote(m.Name) == "type" })
				return v
			},
		},
		{
			"an unknown value of an enum", false,
			func(_ string, v jsontree.Value) bool {
				return v.Kind == jsontree.String && words.values[jsontree.Unquote(v.Text)]
			},
			func(r jsontree.Random, v jsontree.Value) jsontree.Value {
				known := jsontree.Unquote(v.Text)
				return r.Quote(jsontree.Pick(r, known+"s", strings.ToUpper(known), "", r.Text(), "unspecified", known[1:]))
			},
		},
		{
			"an unknown tag", false,
			func(name string, _ jsontree.Value) bool { return words.tags[name] },
			func(r jsontree.Random, _ jsontree.Value) jsontree.Value {
				return jsontree.Pick(r, r.Quote(r.Text()), r.Value(1), r.Quote(jsontree.Pick(r, slices.Sorted(maps.Keys(words.values))...)))
			},
		},
		{"a value of another type", false, isAnything, func(r jsontree.Random, _ jsontree.Value) jsontree.Value { return r.Value(2) }},
		{
			"half a character in a string", false,
			func(_ string, v jsontree.Value) bool { return v.Kind == jsontree.String },
			func(r jsontree.Random, _ jsontree.Value) jsontree.Value { return r.LoneSurrogate() },
		},
		{
			"a number that no type holds", false,
			func(_ string, v jsontree.Value) bool { return v.Kind == jsontree.Number },
			func(r jsontree.Random, _ jsontree.Value) jsontree.Value {
				return jsontree.Scalar(jsontree.Number, jsontree.Pick(r, "9007199254740993", "9223372036854775808", "-9223372036854775809",
					"1e400", "-0", "1.0", "0.1000000000000000055511151231257827021181583404541015625",
					"31415926535897932384626433832795028841971693993751"))
			},
		},
		{
			"null in a list", false,
			func(_ string, v jsontree.Value) bool { return v.Kind == jsontree.Array },
			func(r jsontree.Random, v jsontree.Value) jsontree.Value {
				v.Items = slices.Insert(slices.Clone(v.Items), r.IntN(len(v.Items)+1), jsontree.Scalar(jsontree.Null, "null"))
				return v
			},
		},
	}
}

// withMember adds a field to an object at a random position.
func withMember(r jsontree.Random, v jsontree.Value, m jsontree.Member) jsontree.Value {
	v.Members = slices.Insert(slices.Clone(v.Members), r.IntN(len(v.Members)+1), m)
	return v
}

// nested returns a value with this depth.
func nested(r jsontree.Random, depth int) jsontree.Value {
	v := r.Value(0)
	for range depth {
		if r.Chance(0.5) {
			v = jsontree.Value{Kind: jsontree.Array, Items: []jsontree.Value{v}}
		} else {
			v = jsontree.Value{Kind: jsontree.Object, Members: []jsontree.Member{{Name: `"a"`, Value: v}}}
		}
	}
	return v
}

// mutateAny changes one suitable value, and reports whether there is one. The
// outermost value stays an object.
func (s mutator) mutateAny(r jsontree.Random, v jsontree.Value) (jsontree.Value, bool) {
	suits := func(depth int, name string, v jsontree.Value) bool {
		return (depth > 0 || s.outermost) && s.suits(name, v)
	}
	count := 0
	walk(v, func(depth int, name string, v jsontree.Value) (jsontree.Value, bool) {
		if suits(depth, name, v) {
			count++
		}
		return v, false
	})
	if count == 0 {
		return v, false
	}
	chosen := r.IntN(count)
	return walk(v, func(depth int, name string, v jsontree.Value) (jsontree.Value, bool) {
		if !suits(depth, name, v) {
			return v, false
		}
		chosen--
		if chosen >= 0 {
			return v, false
		}
		return s.spoil(r, v), true
	}), true
}

// walk visits a value and its parts until visit reports true, and returns the value
// with the changes made by visit.
func walk(v jsontree.Value, visit func(depth int, name string, v jsontree.Value) (jsontree.Value, bool)) jsontree.Value {
	done := false
	var descend func(depth int, name string, v jsontree.Value) jsontree.Value
	descend = func(depth int, name string, v jsontree.Value) jsontree.Value {
		if v, done = visit(depth, name, v); done {
			return v
		}
		for i := 0; i < len(v.Items) && !done; i++ {
			if item := descend(depth+1, "", v.Items[i]); done {
				v.Items = slices.Clone(v.Items)
				v.Items[i] = item
			}
		}
		for i := 0; i < len(v.Members) && !done; i++ {
			if value := descend(depth+1, jsontree.Unquote(v.Members[i].Name), v.Members[i].Value); done {
				v.Members = slices.Clone(v.Members)
				v.Members[i].Value = value
			}
		}
		return v
	}
	return descend(0, "", v)
}

func TestMutators_ChangeOneThing(t *testing.T) {
	t.Parallel()
	words := &vocabulary{values: map[string]bool{"auto": true}, tags: map[string]bool{"type": true}, members: []string{"name"}}
	v := mustParse(t, `{"type":"x","mode":"auto","list":[1,{"a":"b"}]}`)
	before := string(v.Append(nil, nil))
	for i, s := range mutators(words) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(50) {
				r := randomOf(seed, uint64(i))
				mutated, did := s.mutateAny(r, v)
				text := mutated.Append(nil, nil)
				if !did {
					t.Fatal("no suitable value")
				}
				if again := mustParse(t, string(text)); again.Kind != jsontree.Object {
					t.Errorf("got %s", text)
				}
				if after := string(v.Append(nil, nil)); after != before {
					t.Fatalf("original value changed to %s", after)
				}
			}
		})
	}
}
