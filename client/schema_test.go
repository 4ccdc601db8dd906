package client

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

type schemaEmbedded struct {
	Inner string `json:"inner"`
}

type schemaPart struct {
	B int `json:"b"`
	A int `json:"a"`
}

type schemaLoop struct {
	Next *schemaLoop `json:"next"`
}

func TestSchema_IsStrict(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		of   any
		want string
	}{
		{"without properties", struct{}{}, `{"type":"object","properties":{},"additionalProperties":false}`},
		{
			"with the fields in their order, all of them required",
			struct {
				Z string  `json:"z"`
				A bool    `json:"a"`
				N float64 `json:"n"`
				I int     `json:"i"`
			}{},
			`{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"boolean"},"n":{"type":"number"},"i":{"type":"integer"}},"required":["z","a","n","i"],"additionalProperties":false}`,
		},
		{
			"with null for what may be left out",
			struct {
				Pointer *string     `json:"pointer"`
				Omitted int         `json:"omitted,omitempty"`
				Zero    schemaPart  `json:"zero,omitzero"`
				Part    *schemaPart `json:"part"`
				List    *[]string   `json:"list"`
				None    []string    `json:"none,omitempty"`
			}{},
			`{"type":"object","properties":{"pointer":{"type":["string","null"]},"omitted":{"type":["integer","null"]},` +
				`"zero":{"type":["object","null"],"properties":{"b":{"type":"integer"},"a":{"type":"integer"}},"required":["b","a"],"additionalProperties":false},` +
				`"part":{"type":["object","null"],"properties":{"b":{"type":"integer"},"a":{"type":"integer"}},"required":["b","a"],"additionalProperties":false},` +
				`"list":{"type":["array","null"],"items":{"type":"string"}},"none":{"type":["array","null"],"items":{"type":"string"}}},` +
				`"required":["pointer","omitted","zero","part","list","none"],"additionalProperties":false}`,
		},
		{
			"with lists that are never null, of parts that are strict too",
			struct {
				Parts []schemaPart `json:"parts"`
				Deep  [][]string   `json:"deep"`
			}{},
			`{"type":"object","properties":{"parts":{"type":"array","items":{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"integer"}},"required":["b","a"],"additionalProperties":false}},` +
				`"deep":{"type":"array","items":{"type":"array","items":{"type":"string"}}}},"required":["parts","deep"],"additionalProperties":false}`,
		},
		{
			"with descriptions and values",
			struct {
				Unit  string   `enum:"celsius,fahrenheit" json:"unit" jsonschema:"of the degrees"`
				Maybe *string  `enum:"a"                  json:"maybe"`
				Many  []string `enum:"x,y"                json:"many"`
			}{},
			`{"type":"object","properties":{"unit":{"type":"string","description":"of the degrees","enum":["celsius","fahrenheit"]},` +
				`"maybe":{"type":["string","null"],"enum":["a",null]},"many":{"type":"array","items":{"type":"string","enum":["x","y"]}}},"required":["unit","maybe","many"],"additionalProperties":false}`,
		},
		{
			"with the fields of embedded structs and without fields that JSON omits",
			struct {
				schemaEmbedded

				Own    string
				Hidden string `json:"-"`
				secret string
			}{},
			`{"type":"object","properties":{"inner":{"type":"string"},"Own":{"type":"string"}},"required":["inner","Own"],"additionalProperties":false}`,
		},
		{
			"with times as text",
			struct {
				At time.Time `json:"at"`
			}{},
			`{"type":"object","properties":{"at":{"type":"string","format":"date-time"}},"required":["at"],"additionalProperties":false}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for range 3 { // the order is stable
				got, err := schemaOf(reflect.TypeOf(row.of))
				if err != nil {
					t.Fatal(err)
				}
				if got != row.want {
					t.Errorf("got\n%s\nwant\n%s", got, row.want)
				}
			}
		})
	}
}

func TestSchema_RejectsUnsupportedTypes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		of   any
		says string
	}{
		{"a root that is a list", []string{}, "use a struct"},
		{"a root that is text", "", "use a struct"},
		{"a map", struct{ M map[string]int }{}, ".M is a map"},
		{"a map in a list in a part", struct{ L []struct{ M map[string]int } }{}, ".L[].M is a map"},
		{"anything", struct{ V any }{}, ".V has type interface {}"},
		{"a function", struct{ F func() }{}, "func"},
		{"a type in itself", schemaLoop{}, "recursive type"},
		{"values of a number", struct {
			N int `enum:"1,2"`
		}{}, ".N has the tag enum, which requires a string"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := schemaOf(reflect.TypeOf(row.of))
			if err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("got %s and error %v, want the error to contain %q", got, err, row.says)
			}
		})
	}
}

func TestSchema_IsNamedAfterItsType(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		of   reflect.Type
		want string
	}{
		{reflect.TypeFor[schemaPart](), "schemaPart"},
		{reflect.TypeFor[struct{}](), "answer"},
		{reflect.TypeFor[generic[schemaPart]](), "generic_github_com_openai-connect_openai-connect_client_schemaPa"},
	} {
		if got := schemaName(row.of); got != row.want {
			t.Errorf("%v is named %q, not %q", row.of, got, row.want)
		}
	}
}

type generic[T any] struct{ _ T }
