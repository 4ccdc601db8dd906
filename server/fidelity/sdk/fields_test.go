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

// The SDK knows every member of generated instances that a message decoded and encoded,
// every member is valid, and the SDK encodes an equal document.
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
			"an update request", updateBody(t, d), func() codec { return new(chatv1.UpdateChatCompletionRequest) },
			asRequest, params[openai.ChatCompletionUpdateParams],
		},
		{
			"a completion", d.Component("CreateChatCompletionResponse"), func() codec { return new(chatv1.ChatCompletion) },
			restjson.AppendFull, checkResponse[openai.ChatCompletion],
		},
		{
			"a chunk", d.Component("CreateChatCompletionStreamResponse"), func() codec { return new(chatv1.ChatCompletionChunk) },
			restjson.AppendFull, checkResponse[openai.ChatCompletionChunk],
		},
		{
			"a list", d.Component("ChatCompletionList"), func() codec { return new(chatv1.ChatCompletionList) },
			restjson.AppendFull, checkItems(checkResponse[openai.ChatCompletion]),
		},
		{
			"a list of messages", d.Component("ChatCompletionMessageList"), func() codec { return new(chatv1.ChatCompletionMessageList) },
			restjson.AppendFull, checkItems(checkResponse[openai.ChatCompletionStoreMessage]),
		},
		{
			"a deletion", d.Component("ChatCompletionDeleted"), func() codec { return new(chatv1.ChatCompletionDeleted) },
			restjson.AppendFull, checkResponse[openai.ChatCompletionDeleted],
		},
		{
			"an error", d.Component("Error"), func() codec { return new(restv1.Error) },
			restjson.AppendFull, checkResponse[openai.Error],
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			check := func(text []byte) error { return checkRoundTrip(text, row.empty(), row.write, row.check) }
			for seed := range uint64(200) {
				generator := openapi.NewGenerator()
				generator.Plain = true
				v := fillZeroObjects(generator.Instance(jsontree.Random{Rand: rand.New(rand.NewPCG(seed, 11))}, row.schema))
				if check(v.Append(nil, nil)) == nil {
					continue
				}
				validator, err := d.Validator(row.schema)
				if err != nil {
					t.Fatal(err)
				}
				small := fillZeroObjects(jsontree.Shrink(v, 2000, func(v jsontree.Value) bool {
					text := fillZeroObjects(v).Append(nil, nil)
					return validator.Check(text) == nil && check(text) != nil
				})).Append(nil, nil)
				t.Fatalf("%v\nin %.2000s", check(small), small)
			}
		})
	}
}

// fillZeroObjects replaces objects that hold only zero values. The SDK omits them when
// it encodes a document.
func fillZeroObjects(v jsontree.Value) jsontree.Value {
	switch {
	case isZeroObject(v):
		return fillZeros(v)
	case v.Kind == jsontree.Array:
		items := make([]jsontree.Value, 0, len(v.Items))
		for _, item := range v.Items {
			items = append(items, fillZeroObjects(item))
		}
		v.Items = items
	case v.Kind == jsontree.Object:
		members := make([]jsontree.Member, 0, len(v.Members))
		for _, m := range v.Members {
			if m.Value = fillZeroObjects(m.Value); m.Value.Kind != jsontree.Object || len(m.Value.Members) > 0 {
				members = append(members, m)
			}
		}
		v.Members = members
	}
	return v
}

// isZeroObject reports whether a value is an object that holds only zero values.
func isZeroObject(v jsontree.Value) bool {
	return v.Kind == jsontree.Object &&
		!slices.ContainsFunc(v.Members, func(m jsontree.Member) bool { return !isZero(m.Value) && !isZeroObject(m.Value) })
}

func isZero(v jsontree.Value) bool {
	return v.Kind == jsontree.Array && len(v.Items) == 0 || slices.Contains([]string{"null", "false", "0", `""`}, v.Text)
}

// fillZeros replaces the zero values in an object.
func fillZeros(v jsontree.Value) jsontree.Value {
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
			if m.Value = fillZeros(m.Value); len(m.Value.Members) == 0 {
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
	t.Fatal("the specification has no updateChatCompletion operation")
	return nil
}

// checkRoundTrip decodes text into m, encodes m with write and checks the result.
func checkRoundTrip(text []byte, m codec, write func([]byte, restjson.Encodable) ([]byte, error), check func([]byte) error) error {
	if err := restjson.Unmarshal(text, m); err != nil {
		return err
	}
	if request, ok := m.(*chatv1.CreateChatCompletionRequest); ok && request.GetModel() == "" {
		request.Model = "m" // A request without a model is rejected.
	}
	again, err := write(nil, m)
	if err != nil {
		return err
	}
	if err := check(again); err != nil {
		return fmt.Errorf("%w in the encoded message %.3000s", err, again)
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

func checkResponse[T any](text []byte) error {
	_, err := sdkcheck.Reply[T](text)
	return err
}

// checkItems checks the items of a page. The SDK's page type lacks some of the page's
// other members.
func checkItems(check func([]byte) error) func([]byte) error {
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
