package sdk_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/openai/openai-go/v3"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
	"github.com/openai-connect/openai-connect/server/internal/sdkcheck"
)

// codec is a message with a generated codec.
type codec interface {
	restjson.Decodable
	restjson.Encodable
}

// TestDifferential_SDKKnowsEveryField is about generated instances that were read into
// a message and written again: the SDK knows every member, each is valid, and
// what it writes is equal.
func TestDifferential_SDKKnowsEveryField(t *testing.T) {
	t.Parallel()
	d := openapi.Specification(t)
	for _, row := range []struct {
		name   string
		schema *openapi.Schema
		empty  func() codec
		write  func([]byte, restjson.Encodable) ([]byte, error)
		check  func(text []byte) error
	}{
		{
			"a request", d.Component("CreateChatCompletionRequest"), func() codec { return new(chatv1.CreateChatCompletionRequest) },
			asRequest, params[openai.ChatCompletionNewParams],
		},
		{
			"a request to update", updateBody(t, d), func() codec { return new(chatv1.UpdateChatCompletionRequest) },
			asRequest, params[openai.ChatCompletionUpdateParams],
		},
		{
			"a completion", d.Component("CreateChatCompletionResponse"), func() codec { return new(chatv1.ChatCompletion) },
			restjson.AppendFull, reply[openai.ChatCompletion],
		},
		{
			"a chunk", d.Component("CreateChatCompletionStreamResponse"), func() codec { return new(chatv1.ChatCompletionChunk) },
			restjson.AppendFull, reply[openai.ChatCompletionChunk],
		},
		{
			"a list", d.Component("ChatCompletionList"), func() codec { return new(chatv1.ChatCompletionList) },
			restjson.AppendFull, each(reply[openai.ChatCompletion]),
		},
		{
			"a list of messages", d.Component("ChatCompletionMessageList"), func() codec { return new(chatv1.ChatCompletionMessageList) },
			restjson.AppendFull, each(reply[openai.ChatCompletionStoreMessage]),
		},
		{
			"a deletion", d.Component("ChatCompletionDeleted"), func() codec { return new(chatv1.ChatCompletionDeleted) },
			restjson.AppendFull, reply[openai.ChatCompletionDeleted],
		},
		{
			"an error", d.Component("Error"), func() codec { return new(restv1.Error) },
			restjson.AppendFull, reply[openai.Error],
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			check := func(text []byte) error { return written(text, row.empty(), row.write, row.check) }
			for seed := range uint64(200) {
				generator := openapi.NewGenerator()
				generator.Plain = true
				v := solid(generator.Instance(jsontree.Random{Rand: rand.New(rand.NewPCG(seed, 11))}, row.schema))
				if check(v.Append(nil, nil)) == nil {
					continue
				}
				validator, err := d.Validator(row.schema)
				if err != nil {
					t.Fatal(err)
				}
				small := solid(jsontree.Shrink(v, 2000, func(v jsontree.Value) bool {
					text := solid(v).Append(nil, nil)
					return validator.Check(text) == nil && check(text) != nil
				})).Append(nil, nil)
				t.Fatalf("%v\nin %.2000s", check(small), small)
			}
		})
	}
}

// solid returns a value in which no object has only zeros: the SDK takes such a
// one for absent, when it writes.
func solid(v jsontree.Value) jsontree.Value {
	switch {
	case isHollow(v):
		return filled(v)
	case v.Kind == jsontree.Array:
		items := make([]jsontree.Value, 0, len(v.Items))
		for _, item := range v.Items {
			items = append(items, solid(item))
		}
		v.Items = items
	case v.Kind == jsontree.Object:
		members := make([]jsontree.Member, 0, len(v.Members))
		for _, m := range v.Members {
			if m.Value = solid(m.Value); m.Value.Kind != jsontree.Object || len(m.Value.Members) > 0 {
				members = append(members, m)
			}
		}
		v.Members = members
	}
	return v
}

// isHollow reports whether a value is an object of zeros.
func isHollow(v jsontree.Value) bool {
	return v.Kind == jsontree.Object &&
		!slices.ContainsFunc(v.Members, func(m jsontree.Member) bool { return !isZero(m.Value) && !isHollow(m.Value) })
}

func isZero(v jsontree.Value) bool {
	return v.Kind == jsontree.Array && len(v.Items) == 0 || slices.Contains([]string{"null", "false", "0", `""`}, v.Text)
}

// filled returns a hollow object with other values than zeros.
func filled(v jsontree.Value) jsontree.Value {
	members := make([]jsontree.Member, 0, len(v.Members))
	for _, m := range v.Members {
		switch m.Value.Kind {
		case jsontree.Bool:
			m.Value.Text = "true"
		case jsontree.Number:
			m.Value.Text = "1"
		case jsontree.String:
			m.Value.Text = `"a"`
		case jsontree.Object:
			if m.Value = filled(m.Value); len(m.Value.Members) == 0 {
				continue
			}
		default:
			continue
		}
		members = append(members, m)
	}
	v.Members = members
	return v
}

func updateBody(t *testing.T, d *openapi.Document) *openapi.Schema {
	t.Helper()
	for _, op := range d.Operations {
		if op.ID == "updateChatCompletion" {
			return op.Request
		}
	}
	t.Fatal("there is no such operation")
	return nil
}

// written checks what is written of a message that was read from a text.
func written(text []byte, m codec, write func([]byte, restjson.Encodable) ([]byte, error), check func([]byte) error) error {
	if err := restjson.Unmarshal(text, m); err != nil {
		return err
	}
	if request, is := m.(*chatv1.CreateChatCompletionRequest); is && request.GetModel() == "" {
		request.Model = "m" // Without one, a request is refused.
	}
	again, err := write(nil, m)
	if err != nil {
		return err
	}
	if err := check(again); err != nil {
		return fmt.Errorf("%w, which is written as %.3000s", err, again)
	}
	return nil
}

func asRequest(b []byte, m restjson.Encodable) ([]byte, error) {
	return restjson.AppendRequest(b, m, nil)
}

func params[T any](text []byte) error {
	_, err := sdkcheck.Params[T](text)
	return err
}

func reply[T any](text []byte) error {
	_, err := sdkcheck.Reply[T](text)
	return err
}

// each checks the items of a page, for which the SDK's type has only some of
// the other members.
func each(check func([]byte) error) func([]byte) error {
	return func(text []byte) error {
		var page struct {
			Data []json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return err
		}
		for _, item := range page.Data {
			if err := check(item); err != nil {
				return err
			}
		}
		return nil
	}
}
