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

// The environment variables of a campaign of generated instances. Package fidelity
// uses the same ones.
const (
	envInstances = "OPENAI_CONNECT_INSTANCES" // number of instances
	envSeed      = "OPENAI_CONNECT_SEED"      // random seed
	envInstance  = "OPENAI_CONNECT_INSTANCE"  // index of the only instance to run
)

// campaign is a run of generated instances.
type campaign struct {
	tb           testing.TB
	seed         uint64
	first, count int
	isComplete   bool // runs at least the default number of instances
}

func newCampaign(tb testing.TB, instances int) *campaign {
	tb.Helper()
	c := &campaign{tb: tb, seed: uint64(envInt(tb, envSeed, 1)), count: envInt(tb, envInstances, instances)}
	if only := envInt(tb, envInstance, -1); only >= 0 {
		c.first, c.count = only, 1
	}
	c.isComplete = c.count >= instances
	return c
}

func envInt(tb testing.TB, variable string, otherwise int) int {
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

// run generates and checks instances. It shrinks the first failing instance while the
// instance is valid and fails in a similar way.
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
		small := jsontree.Shrink(v, 1000, func(v jsontree.Value) bool { return legal(v) && isSimilar(err, check(i, v)) })
		if smaller := check(i, small); smaller != nil {
			v, err = small, smaller
		}
		c.tb.Fatalf("%v\nin %.3000s\nreproduce with: %s=%d %s=%d go test ./server/fidelity/sdk -run '^%s$'",
			err, v.Append(nil, nil), envSeed, c.seed, envInstance, i, c.tb.Name())
	}
}

// isSimilar reports whether two errors have the same beginning. The rest of an error
// depends on the instance.
func isSimilar(err, other error) bool {
	const kind = 50
	return other != nil && other.Error()[:min(kind, len(other.Error()))] == err.Error()[:min(kind, len(err.Error()))]
}

// requests generates requests that match the specification.
type requests struct {
	generator *openapi.Generator
	schema    *openapi.Schema
	validator *openapi.Validator
}

func newRequests(tb testing.TB) requests {
	tb.Helper()
	generator := openapi.NewGenerator()
	generator.Plain = true // The SDK does not preserve other values.
	specification := openapi.Specification(tb)
	schema := specification.Component("CreateChatCompletionRequest")
	validator, err := specification.Validator(schema)
	if err != nil {
		tb.Fatal(err)
	}
	return requests{generator, schema, validator}
}

// isValid reports whether a value is a valid request, ignoring unknown fields.
func (q requests) isValid(v jsontree.Value) bool {
	return q.validator.Check(withoutUnknown(v).Append(nil, nil)) == nil
}

// areValid reports whether all items of a list are valid requests.
func (q requests) areValid(list jsontree.Value) bool {
	return !slices.ContainsFunc(list.Items, func(v jsontree.Value) bool { return !q.isValid(v) })
}

// next returns a request. The upstream accepts most of them, and most can be expressed
// in the SDK's params.
func (q requests) next(r jsontree.Random) jsontree.Value {
	v := makeValid(r, shortest(q.generator.Instance(r, q.schema)))
	if easier := makeValid(r, fillZeroObjects(sortedSchemas(v))); r.Chance(0.9) && q.isValid(easier) {
		return easier
	}
	return v
}

// sortedSchemas sorts the members of the JSON Schemas in a value, as the SDK does when
// it encodes a map.
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

// shortest rewrites each number with the fewest digits that identify its float64.
func shortest(v jsontree.Value) jsontree.Value {
	if v.Kind == jsontree.Number && strings.ContainsAny(v.Text, ".eE") {
		if double, err := strconv.ParseFloat(v.Text, 64); err == nil {
			return numberValue(strconv.FormatFloat(double, 'g', -1, 64))
		}
	}
	v = eachItem(func(_ int, item jsontree.Value) jsontree.Value { return shortest(item) })(v)
	v.Members = slices.Clone(v.Members)
	for i := range v.Members {
		v.Members[i].Value = shortest(v.Members[i].Value)
	}
	return v
}

// unknownPrefix is the prefix of the names of unknown fields.
const unknownPrefix = "tomorrow's "

// withUnknown adds unknown fields to a request or to its messages.
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

// withoutUnknown removes the fields that withUnknown added.
func withoutUnknown(v jsontree.Value) jsontree.Value {
	take := func(v jsontree.Value) jsontree.Value {
		v.Members = slices.DeleteFunc(slices.Clone(v.Members), func(m jsontree.Member) bool {
			return strings.HasPrefix(jsontree.Unquote(m.Name), unknownPrefix)
		})
		return v
	}
	return edited(take(v), "messages", eachItem(func(_ int, message jsontree.Value) jsontree.Value { return take(message) }))
}
