package openapi_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// library is a document with every feature that OpenAI's uses.
const library = `{
	"servers": [{"url": "https://library.example/v2"}],
	"paths": {
		"/books/{id}": {
			"post": {
				"operationId": "changeBook",
				"parameters": [
					{"name": "id", "in": "path", "schema": {"type": "string"}},
					{"name": "lang", "in": "query", "schema": {"type": "string", "enum": ["en", "fr"]}}
				],
				"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Book"}}}},
				"responses": {
					"200": {"content": {
						"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Book"}}},
						"text/event-stream": {"schema": {"$ref": "#/components/schemas/Page"}}
					}},
					"429": {"$ref": "#/components/responses/Busy"}
				}
			},
			"get": {"operationId": "getBook", "responses": {}}
		}
	},
	"components": {
		"responses": {"Busy": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page"}}}}},
		"schemas": {
			"Book": {"allOf": [
				{"$ref": "#/components/schemas/Thing"},
				{"type": "object", "required": ["title", "kind"], "properties": {
					"title": {"type": "string", "maxLength": 5},
					"pages": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/components/schemas/Page"}},
					"kind": {"type": "string", "enum": ["novel", "poem"]},
					"weight": {"type": "integer", "maximum": 9, "nullable": true},
					"shelf": {"$ref": "#/components/schemas/Page", "nullable": true},
					"labels": {"type": "object", "additionalProperties": {"type": "boolean"}},
					"notes": {"type": "object", "additionalProperties": true}
				}}
			]},
			"Thing": {"type": "object", "properties": {
				"weight": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]},
				"price": {"type": "number", "minimum": -2, "maximum": 2, "deprecated": true}
			}},
			"Page": {"oneOf": [
				{"type": "string"},
				{"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
			]}
		}
	}
}`

func parse(t *testing.T) *openapi.Document {
	t.Helper()
	d, err := openapi.Parse([]byte(library))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// change returns the library's document with a replacement in its text.
func change(t *testing.T, old, changed string) string {
	t.Helper()
	text := strings.Replace(library, old, changed, 1)
	if text == library {
		t.Fatalf("document lacks %s", old)
	}
	return text
}

func TestOperations(t *testing.T) {
	t.Parallel()
	d := parse(t)
	if len(d.Operations) != 2 {
		t.Fatalf("want 2 operations, got %+v", d.Operations)
	}
	get, post := d.Operations[0], d.Operations[1]
	if get.ID != "getBook" || get.Method != "GET" || get.Request != nil {
		t.Errorf("got %+v", get)
	}
	if post.ID != "changeBook" || post.Method != "POST" || post.Path != "/v2/books/{id}" {
		t.Errorf("got %+v", post)
	}
	if p := post.Parameters; len(p) != 2 || p[0].In != "path" || p[1].Name != "lang" || !slices.Equal(p[1].Schema.Enum, []string{"en", "fr"}) {
		t.Errorf("got %+v", p)
	}
	if post.Request.Ref.Component() != "Book" || post.Request.Component() != "" {
		t.Errorf("got %+v", post.Request)
	}
	var answers []string
	for _, r := range post.Responses {
		answers = append(answers, r.Status+" "+r.MediaType)
	}
	if !slices.Equal(answers, []string{"200 application/json", "200 text/event-stream", "429 application/json"}) {
		t.Errorf("got %q", answers)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	d := parse(t)
	parts := openapi.Parts(d.Schemas()...)
	for _, want := range []string{
		"#/components/schemas/Book/allOf/1/properties/title",
		"#/components/schemas/Book/allOf/1/properties/kind/enum/1",
		"#/components/schemas/Thing/properties/weight/anyOf/1",
		"#/components/schemas/Page/oneOf/1",
		"#/components/schemas/Page/oneOf/1/properties/text",
		"#/paths/~1books~1{id}/post/parameters/1/schema/enum/0",
	} {
		if !slices.Contains(parts, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if len(parts) != 10+4+4 {
		t.Errorf("got %d parts: %q, want 10 properties, 4 branches, and 4 values", len(parts), parts)
	}
}

func TestParse_RejectsUnknownParts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, old, changed, want string }{
		{"an unknown keyword", `"maxLength": 5`, `"pattern": "a"`, "#/components/schemas/Book/allOf/1/properties/title: unknown keyword pattern"},
		{"an unknown type", `{"type": "boolean"}`, `{"type": "file"}`, "unknown type file"},
		{"a dangling reference", `schemas/Thing"`, `schemas/Thong"`, "#/components/schemas/Thong: no value"},
		{"an empty schema", `{"type": "boolean"}`, `{}`, "anything is an instance"},
		{"an undescribed required member", `["text"]`, `["txet"]`, "unknown property txet"},
		{"an array without items", `"type": "array", "items": {"$ref": "#/components/schemas/Book"}`, `"type": "array"`, "does not fit"},
		{"an enum of numbers", `["en", "fr"]`, `[1, 2]`, "1 is not a string"},
		{"not JSON", `"servers"`, `servers`, "invalid character"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := openapi.Parse([]byte(change(t, row.old, row.changed)))
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got error %[2]v, want it to contain %[1]q", row.want, err)
			}
		})
	}
}

func TestValidator(t *testing.T) {
	t.Parallel()
	d := parse(t)
	validator, err := d.Validator(d.Operations[1].Request)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, text string
		valid      bool
	}{
		{"what is required", `{"title":"a","kind":"poem"}`, true},
		{"everything", `{"title":"a","kind":"poem","pages":["a",{"text":"b"}],"weight":3,"shelf":null,"labels":{"x":true},"notes":{"y":[1]},"price":-2}`, true},
		{"a required member is missing", `{"title":"a"}`, false},
		{"a member that isn't described", `{"title":"a","kind":"poem","titel":1}`, false},
		{"a member that isn't described, below", `{"title":"a","kind":"poem","pages":[{"text":"b","x":1}]}`, false},
		{"null where only one of two descriptions has it", `{"title":"a","kind":"poem","weight":null}`, true},
		{"null where no description has it", `{"title":"a","kind":"poem","price":null}`, false},
		{"a member of another type", `{"title":5,"kind":"poem"}`, false},
		{"an unknown value of an enum", `{"title":"a","kind":"essay"}`, false},
		{"a number below one of two bounds", `{"title":"a","kind":"poem","weight":2}`, false},
		{"a number above the other", `{"title":"a","kind":"poem","weight":10}`, false},
		{"a text that is too long", `{"title":"abcdef","kind":"poem"}`, false},
		{"too many items", `{"title":"a","kind":"poem","pages":["a","b","c","d"]}`, false},
		{"a value of a map of another type", `{"title":"a","kind":"poem","labels":{"x":1}}`, false},
		{"another root", `[]`, false},
		{"not JSON", `{`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := validator.Check([]byte(row.text)); (err == nil) != row.valid {
				t.Errorf("got error %[2]v, want valid %[1]v", row.valid, err)
			}
		})
	}
}

func TestGenerator_InstancesAreValidAndReachEveryPart(t *testing.T) {
	t.Parallel()
	d := parse(t)
	generator := openapi.NewGenerator()
	for _, plain := range []bool{false, true} {
		generator.Plain = plain
		for _, s := range d.Schemas() {
			validator, err := d.Validator(s)
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(200) {
				r := jsontree.Random{Rand: rand.New(rand.NewPCG(seed, 0))}
				text := generator.Instance(r, s).Append(nil, r.Space)
				if err := validator.Check(text); err != nil {
					t.Fatalf("%v: %.1000s", err, text)
				}
			}
		}
	}
	for _, pointer := range openapi.Parts(d.Schemas()...) {
		if generator.Reached[pointer] == 0 {
			t.Errorf("%s was not reached", pointer)
		}
	}
}

func TestGenerator_DependsOnSeedOnly(t *testing.T) {
	t.Parallel()
	d := parse(t)
	instance := func(generator *openapi.Generator, seed uint64) string {
		r := jsontree.Random{Rand: rand.New(rand.NewPCG(seed, 0))}
		return string(generator.Instance(r, d.Operations[1].Request).Append(nil, nil))
	}
	used := openapi.NewGenerator()
	for seed := range uint64(50) {
		if a, b := instance(used, seed), instance(openapi.NewGenerator(), seed); a != b {
			t.Errorf("got %[2]s, want %[1]s", a, b)
		}
	}
}
