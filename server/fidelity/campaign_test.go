package fidelity_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// Environment variables of a campaign of generated instances.
const (
	envInstances = "OPENAI_CONNECT_INSTANCES" // number of instances of each body
	envSeed      = "OPENAI_CONNECT_SEED"      // seed of the campaign
	envInstance  = "OPENAI_CONNECT_INSTANCE"  // number of the only instance
)

// body is the body of a request, a response, or an event, and the message that it
// maps to.
type body struct {
	name      string
	schema    *openapi.Schema
	validator *openapi.Validator
	message   protoreflect.MessageType
	enc       encoding
	// decided are the fields that an RPC sets in a request, by RPC.
	decided map[protoreflect.Name][]restjson.Constant
}

// codec is a message with a generated codec.
type codec interface {
	protoreflect.ProtoMessage
	restjson.Decodable
	restjson.Encodable
}

func (b *body) newMessage(tb testing.TB) codec {
	tb.Helper()
	m, ok := b.message.New().Interface().(codec)
	if !ok {
		tb.Fatalf("%s has no codec", b.name)
	}
	return m
}

// bodies returns the bodies of the specification, each once.
func bodies(tb testing.TB, d *openapi.Document) (all []*body) {
	tb.Helper()
	rpcs, problems := matchRPCs(d)
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	add := func(s *openapi.Schema, desc protoreflect.MessageDescriptor, enc encoding) *body {
		name := string(desc.Name())
		if i := slices.IndexFunc(all, func(b *body) bool { return b.name == name }); i >= 0 {
			return all[i]
		}
		validator, err := d.Validator(s)
		if err != nil {
			tb.Fatal(err)
		}
		message, err := protoregistry.GlobalTypes.FindMessageByName(desc.FullName())
		if err != nil {
			tb.Fatal(err)
		}
		b := &body{name, s, validator, message, enc, make(map[protoreflect.Name][]restjson.Constant)}
		all = append(all, b)
		return b
	}
	for _, r := range rpcs {
		add(r.answer, r.output, reply)
		if r.operation.Request != nil {
			b := add(r.operation.Request, r.input, request)
			for _, c := range r.option.GetFixed() {
				b.decided[r.name] = append(b.decided[r.name], restjson.Constant{Name: c.GetName(), JSON: c.GetJson()})
			}
		}
		for _, response := range r.operation.Responses {
			if response.Status != "200" {
				add(response.Schema, failures, reply)
			}
		}
	}
	return all
}

// campaign is a run of generated instances of a body.
type campaign struct {
	tb        testing.TB
	body      *body
	generator *openapi.Generator
	seed      uint64
	// The numbers of its instances, and how many cover every part.
	first, count, enough int
	// The size in bytes of the smallest, of the largest, and of all.
	least, most, all int
}

// newCampaign returns a campaign of this many instances, unless the environment
// selects others.
func newCampaign(tb testing.TB, b *body, instances int) *campaign {
	tb.Helper()
	c := &campaign{tb: tb, body: b, seed: 1, count: instances, enough: instances, generator: openapi.NewGenerator()}
	if n, set := number(tb, envSeed); set {
		c.seed = uint64(n)
	}
	if n, set := number(tb, envInstances); set {
		c.count = n
	}
	if n, set := number(tb, envInstance); set {
		c.first, c.count = n, 1
	}
	return c
}

func number(tb testing.TB, variable string) (n int, set bool) {
	tb.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("%s: %v", variable, err)
	}
	return n, true
}

// run checks instances after modification by change. It shrinks the first failing
// instance while that stays legal and fails.
func (c *campaign) run(
	change func(jsontree.Random, jsontree.Value) jsontree.Value,
	legal func(text []byte) bool,
	check func(text []byte) error,
) {
	c.tb.Helper()
	hash := fnv.New64()
	_, _ = hash.Write([]byte(c.tb.Name()))
	stream := hash.Sum64() // Each test has its own instances.
	for i := c.first; i < c.first+c.count; i++ {
		r := jsontree.Random{Rand: rand.New(rand.NewPCG(c.seed, stream+uint64(i)))}
		c.generator.Huge = i%300 == 100
		text := change(r, c.generator.Instance(r, c.body.schema)).Append(nil, r.Space)
		c.measure(len(text))
		err := check(text)
		if err == nil {
			continue
		}
		v, parseErr := jsontree.Parse(text)
		if parseErr != nil {
			c.tb.Fatalf("%v: %.1000s", parseErr, text)
		}
		small := jsontree.Shrink(v, 5000, func(v jsontree.Value) bool {
			text := v.Append(nil, nil)
			return legal(text) && check(text) != nil
		}).Append(nil, nil)
		if smaller := check(small); smaller != nil {
			text, err = small, smaller
		}
		c.tb.Fatalf("%v\nin %.2000q\nreproduce: %s=%d %s=%d go test ./server/fidelity -run '^%s$'",
			err, text, envSeed, c.seed, envInstance, i, c.tb.Name())
	}
	c.tb.Logf("seed %d: %d instances of %d to %d bytes, %d bytes in total", c.seed, c.count, c.least, c.most, c.all)
}

func (c *campaign) measure(size int) {
	if c.all == 0 || size < c.least {
		c.least = size
	}
	c.most = max(c.most, size)
	c.all += size
}

// isComplete reports whether the campaign has at least the default number of
// instances.
func (c *campaign) isComplete() bool { return c.first == 0 && c.count >= c.enough }

func TestCampaign_ShrinksFailingInstance(t *testing.T) {
	t.Parallel()
	d := openapi.Specification(t)
	for _, b := range bodies(t, d) {
		if b.name != "ChatCompletion" {
			continue
		}
		failed := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			newCampaign(failed, b, 1000).run(
				asGenerated, b.isLegal,
				func(text []byte) error {
					v, err := jsontree.Parse(text)
					if choices, _ := v.Find("choices"); err == nil && len(choices.Items) > 1 {
						return errors.New("more than one choice")
					}
					return err
				})
		}()
		if len(failed.text) == 0 || len(failed.text) > 700 {
			t.Errorf("got %d bytes: %s", len(failed.text), failed.text)
		}
	}
}

// recorder records the failure message of a test.
type recorder struct {
	testing.TB

	text string
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.text = fmt.Sprintf(format, args...)
	panic(r.text)
}
