package sdk_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// The environment variables of a campaign of generated instances, which are
// those of package fidelity's.
const (
	envInstances = "OPENAI_CONNECT_INSTANCES" // how many
	envSeed      = "OPENAI_CONNECT_SEED"      // another campaign
	envInstance  = "OPENAI_CONNECT_INSTANCE"  // only this one
)

// campaign is a run of generated instances.
type campaign struct {
	tb           testing.TB
	seed         uint64
	first, count int
	isWhole      bool // at least as many instances as without being told
}

func newCampaign(tb testing.TB, instances int) *campaign {
	tb.Helper()
	c := &campaign{tb: tb, seed: uint64(setting(tb, envSeed, 1)), count: setting(tb, envInstances, instances)}
	if only := setting(tb, envInstance, -1); only >= 0 {
		c.first, c.count = only, 1
	}
	c.isWhole = c.count >= instances
	return c
}

func setting(tb testing.TB, variable string, otherwise int) int {
	tb.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("%s: %v", variable, err)
	}
	return n
}

// run checks instances, which are made of a number and of what is random about
// it. The first that fails is made as small as it can be while it is legal and
// fails alike.
func (c *campaign) run(
	generate func(int, jsontree.Random) jsontree.Value,
	legal func(jsontree.Value) bool,
	check func(int, jsontree.Value) error,
) {
	c.tb.Helper()
	for i := c.first; i < c.first+c.count; i++ {
		v := generate(i, jsontree.Random{Rand: rand.New(rand.NewPCG(c.seed, uint64(i))), Plain: true})
		err := check(i, v)
		if err == nil {
			continue
		}
		small := jsontree.Shrink(v, 1000, func(v jsontree.Value) bool { return legal(v) && isAlike(err, check(i, v)) })
		if smaller := check(i, small); smaller != nil {
			v, err = small, smaller
		}
		c.tb.Fatalf("%v\nin %.3000s\nagain: %s=%d %s=%d go test ./server/fidelity/sdk -run '^%s$'",
			err, v.Append(nil, nil), envSeed, c.seed, envInstance, i, c.tb.Name())
	}
}

// isAlike reports whether an error says of another instance what err says of
// one: by its beginning, as the rest is about the instance.
func isAlike(err, other error) bool {
	const kind = 50
	return other != nil && other.Error()[:min(kind, len(other.Error()))] == err.Error()[:min(kind, len(err.Error()))]
}

// requests makes instances of the specification's request.
type requests struct {
	generator *openapi.Generator
	schema    *openapi.Schema
	validator *openapi.Validator
}

func newRequests(tb testing.TB) requests {
	tb.Helper()
	generator := openapi.NewGenerator()
	generator.Plain = true // The SDK doesn't keep the rest.
	specification := openapi.Specification(tb)
	schema := specification.Component("CreateChatCompletionRequest")
	validator, err := specification.Validator(schema)
	if err != nil {
		tb.Fatal(err)
	}
	return requests{generator, schema, validator}
}

// isOne reports whether a value is a request of the specification, apart from
// unknown fields.
func (q requests) isOne(v jsontree.Value) bool {
	return q.validator.Check(withoutUnknown(v).Append(nil, nil)) == nil
}

// areAll is isOne for a list.
func (q requests) areAll(list jsontree.Value) bool {
	return !slices.ContainsFunc(list.Items, func(v jsontree.Value) bool { return !q.isOne(v) })
}

// next returns a request that the upstream accepts, mostly. Of most the SDK has
// all in its params.
func (q requests) next(r jsontree.Random) jsontree.Value {
	v := obeying(r, shortest(q.generator.Instance(r, q.schema)))
	if easier := obeying(r, solid(sortedSchemas(v))); r.Chance(0.9) && q.isOne(easier) {
		return easier
	}
	return v
}

// sortedSchemas returns a value in whose JSON Schemas members stand in the order
// in which the SDK writes a map.
func sortedSchemas(v jsontree.Value) jsontree.Value {
	v = eachItem(func(_ int, item jsontree.Value) jsontree.Value { return sortedSchemas(item) })(v)
	v.Members = slices.Clone(v.Members)
	for i, m := range v.Members {
		change := sortedSchemas
		if isSchema(jsontree.Unquote(m.Name), m.Value) {
			change = sorted
		}
		v.Members[i].Value = change(m.Value)
	}
	return v
}

// shortest returns a value in which each number has the digits that tell its
// double from others, as more of them are not kept.
func shortest(v jsontree.Value) jsontree.Value {
	if v.Kind == jsontree.Number && strings.ContainsAny(v.Text, ".eE") {
		if double, err := strconv.ParseFloat(v.Text, 64); err == nil {
			return number(strconv.FormatFloat(double, 'g', -1, 64))
		}
	}
	v = eachItem(func(_ int, item jsontree.Value) jsontree.Value { return shortest(item) })(v)
	v.Members = slices.Clone(v.Members)
	for i := range v.Members {
		v.Members[i].Value = shortest(v.Members[i].Value)
	}
	return v
}

// unknownPrefix is the prefix of unknown names.
const unknownPrefix = "tomorrow's "

// withUnknown returns a request with unknown fields, in its outermost object or in
// its messages.
func withUnknown(r jsontree.Random, v jsontree.Value) jsontree.Value {
	add := func(v jsontree.Value) jsontree.Value {
		for range 1 + r.IntN(3) {
			v = with(v, unknownPrefix+r.Text(), r.Value(3))
		}
		return v
	}
	if r.Chance(0.7) {
		return add(v)
	}
	return edited(v, "messages", eachItem(func(_ int, message jsontree.Value) jsontree.Value { return add(message) }))
}

// withoutUnknown takes away what withUnknown has added.
func withoutUnknown(v jsontree.Value) jsontree.Value {
	take := func(v jsontree.Value) jsontree.Value {
		v.Members = slices.DeleteFunc(slices.Clone(v.Members), func(m jsontree.Member) bool {
			return strings.HasPrefix(jsontree.Unquote(m.Name), unknownPrefix)
		})
		return v
	}
	return edited(take(v), "messages", eachItem(func(_ int, message jsontree.Value) jsontree.Value { return take(message) }))
}
