// Package openapi reads an OpenAI specification, an OpenAPI 3.1 document, for tests:
// its contents ([Document]), random instances of its schemas ([Generator]), and
// validation of instances ([Validator]).
//
// An unknown keyword is an error, so that no part of a new specification is ignored.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Document is an OpenAPI document.
type Document struct {
	// Operations are the REST operations, in order of paths and methods.
	Operations []Operation

	root    any
	schemas map[string]*Schema // by pointer
}

// Operation is a REST operation.
type Operation struct {
	// ID is its operationId.
	ID string
	// Method is the HTTP method in upper case.
	Method string
	// Path is the path below the host, such as `/v1/chat/completions/{id}`.
	Path string
	// Parameters are the path and query parameters.
	Parameters []Parameter
	// Request is the schema of the body, or nil.
	Request *Schema
	// Responses are the documented responses.
	Responses []Response
}

// Parameter is a parameter of an operation.
type Parameter struct {
	// Name is the name of the parameter.
	Name string
	// In is its location: `path` or `query`.
	In string
	// Schema is the schema of its values.
	Schema *Schema
}

// Response is a documented response.
type Response struct {
	// Status is the HTTP status.
	Status string
	// MediaType is the type of the body, such as `application/json`.
	MediaType string
	// Schema is the schema of the body, or of the data of an event.
	Schema *Schema
}

// Parse reads a document.
func Parse(text []byte) (*Document, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	d := &Document{schemas: make(map[string]*Schema)}
	if err := decoder.Decode(&d.root); err != nil {
		return nil, err
	}
	paths, _ := d.at("#/paths")
	for _, path := range slices.Sorted(maps.Keys(object(paths))) {
		if err := d.addPath(path); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Document) addPath(path string) error {
	pointer := "#/paths/" + escape(path)
	item, err := d.at(pointer)
	if err != nil {
		return err
	}
	for _, method := range slices.Sorted(maps.Keys(object(item))) {
		op, err := d.operation(pointer + "/" + method)
		if err != nil {
			return err
		}
		op.Method, op.Path = strings.ToUpper(method), d.basePath()+path
		d.Operations = append(d.Operations, op)
	}
	return nil
}

// basePath returns the path of the server's URL.
func (d *Document) basePath() string {
	url, _ := d.at("#/servers/0/url")
	text, _ := url.(string)
	_, rest, _ := strings.Cut(text, "://")
	_, path, found := strings.Cut(rest, "/")
	if !found {
		return ""
	}
	return "/" + strings.TrimSuffix(path, "/")
}

func (d *Document) operation(pointer string) (op Operation, err error) {
	raw, err := d.at(pointer)
	if err != nil {
		return op, err
	}
	op.ID, _ = object(raw)["operationId"].(string)
	for i, parameter := range list(object(raw)["parameters"]) {
		p := Parameter{}
		p.Name, _ = object(parameter)["name"].(string)
		p.In, _ = object(parameter)["in"].(string)
		if p.Schema, err = d.schema(fmt.Sprintf("%s/parameters/%d/schema", pointer, i)); err != nil {
			return op, err
		}
		op.Parameters = append(op.Parameters, p)
	}
	if _, has := object(raw)["requestBody"]; has {
		if op.Request, err = d.schema(pointer + "/requestBody/content/application~1json/schema"); err != nil {
			return op, err
		}
	}
	for _, status := range slices.Sorted(maps.Keys(object(object(raw)["responses"]))) {
		if err := d.addResponses(&op, pointer+"/responses/"+status, status); err != nil {
			return op, err
		}
	}
	return op, nil
}

func (d *Document) addResponses(op *Operation, pointer, status string) error {
	response, err := d.at(pointer)
	if err != nil {
		return err
	}
	if to, is := object(response)["$ref"].(string); is {
		return d.addResponses(op, to, status)
	}
	for _, mediaType := range slices.Sorted(maps.Keys(object(object(response)["content"]))) {
		schema, err := d.schema(pointer + "/content/" + escape(mediaType) + "/schema")
		if err != nil {
			return err
		}
		op.Responses = append(op.Responses, Response{status, mediaType, schema})
	}
	return nil
}

// Component returns the schema of a component used by the operations, or nil.
func (d *Document) Component(name string) *Schema {
	return d.schemas["#/components/schemas/"+escape(name)]
}

// at returns the target of a JSON pointer in the form of a URI fragment.
func (d *Document) at(pointer string) (any, error) {
	v := d.root
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "#/"), "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		found := false
		switch parent := v.(type) {
		case map[string]any:
			v, found = parent[token]
		case []any:
			for i := range parent {
				if strconv.Itoa(i) == token {
					v, found = parent[i], true
					break
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("%s: no value", pointer)
		}
	}
	return v, nil
}

// escape returns a name as a token of a JSON pointer (RFC 6901).
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
