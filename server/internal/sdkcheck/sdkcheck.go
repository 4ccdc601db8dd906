// Package sdkcheck turns the official Go SDK into a strict validator of OpenAI's JSON.
//
// The SDK accepts almost anything: it drops a misspelled parameter, and a field of
// another type becomes zero. Here both are errors: everything decoded must be known to
// the SDK, have the right type, and encode to the same JSON.
package sdkcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/respjson"

	"github.com/openai-connect/openai-connect/proto/restjson/restjsontest"
)

// Params decodes the body of a request as the SDK's type T, such as
// openai.ChatCompletionNewParams. The error names the fields unknown to the SDK.
//
// The SDK's types have no field for `stream`, which its methods set. Params ignores
// it.
func Params[T any](body []byte) (params T, err error) {
	body, err = without(body, "stream")
	if err != nil {
		return params, err
	}
	if err := json.Unmarshal(body, &params); err != nil {
		return params, err
	}
	if chat, ok := any(&params).(*openai.ChatCompletionNewParams); ok {
		if err := readToolChoice(body, &chat.ToolChoice); err != nil {
			return params, err
		}
	}
	if err := checkParams("", reflect.ValueOf(params)); err != nil {
		return params, err
	}
	again, err := json.Marshal(params)
	if err != nil {
		return params, err
	}
	return params, restjsontest.Same(body, again)
}

// Reply decodes the body of a reply, or the data of an event, as the SDK's type T, such
// as openai.ChatCompletion. The error names the fields unknown to the SDK.
func Reply[T any](body []byte) (reply T, err error) {
	if err := json.Unmarshal(body, &reply); err != nil {
		return reply, err
	}
	if err := Valid(reply); err != nil {
		return reply, err
	}
	again, err := json.Marshal(reply)
	if err != nil {
		return reply, err
	}
	return reply, restjsontest.SameButEmpty(body, again)
}

// Valid checks what the SDK recorded when it decoded a reply: at no depth an unknown
// field, a field of the wrong type, or a missing required field, and each union is a
// known variant.
func Valid(reply any) error {
	return checkReply("", reflect.ValueOf(reply))
}

func without(body []byte, name string) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	if _, there := members[name]; !there {
		return body, nil
	}
	delete(members, name)
	return json.Marshal(members)
}

// readToolChoice decodes a tool choice by its tag. The SDK encodes it but has no
// discriminator: it decodes every object as allowed tools.
func readToolChoice(body []byte, choice *openai.ChatCompletionToolChoiceOptionUnionParam) error {
	var request struct {
		ToolChoice json.RawMessage `json:"tool_choice"`
	}
	var tagged struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	if len(request.ToolChoice) == 0 || request.ToolChoice[0] != '{' {
		return nil
	}
	if err := json.Unmarshal(request.ToolChoice, &tagged); err != nil {
		return err
	}
	var variant any
	switch tagged.Type {
	case "function":
		*choice = openai.ChatCompletionToolChoiceOptionUnionParam{OfFunctionToolChoice: &openai.ChatCompletionNamedToolChoiceParam{}}
		variant = choice.OfFunctionToolChoice
	case "custom":
		*choice = openai.ChatCompletionToolChoiceOptionUnionParam{OfCustomToolChoice: &openai.ChatCompletionNamedToolChoiceCustomParam{}}
		variant = choice.OfCustomToolChoice
	default:
		return nil
	}
	return json.Unmarshal(request.ToolChoice, variant)
}

func checkParams(path string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return checkParams(path, v.Elem())
	case reflect.Slice:
		return each(path, v, checkParams)
	case reflect.Struct:
	default:
		return nil
	}
	isUnion, set := false, 0
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Type == reflect.TypeFor[param.APIUnion]() {
			isUnion = true
			continue
		}
		if !field.IsExported() {
			continue
		}
		if !v.Field(i).IsZero() {
			set++
		}
		if err := checkConstant(v.Field(i), field); err != nil {
			return fmt.Errorf("%s.%s: %w", path, field.Name, err)
		}
		if err := checkParams(path+"."+field.Name, v.Field(i)); err != nil {
			return err
		}
	}
	if metadata, ok := reflect.TypeAssert[interface {
		param.ParamStruct
		ExtraFields() map[string]any
	}](v); ok {
		if raw, is := metadata.Overrides(); is {
			return fmt.Errorf("%s: the SDK keeps it raw: %s", path, raw)
		}
		if extra := metadata.ExtraFields(); len(extra) > 0 {
			return fmt.Errorf("%s: the SDK doesn't know %v", path, extra)
		}
	}
	if isUnion && set > 1 {
		return fmt.Errorf("%s: %d variants of the union are set", path, set)
	}
	return nil
}

// checkConstant checks a field with one legal value, such as `type`. If unset, it is
// encoded as that value.
func checkConstant(v reflect.Value, field reflect.StructField) error {
	want, ok := field.Tag.Lookup("default")
	if !ok || v.Kind() != reflect.String || v.IsZero() || v.String() == want {
		return nil
	}
	return fmt.Errorf("want %q, got %q", want, v.String())
}

func checkReply(path string, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return checkReply(path, v.Elem())
	case reflect.Slice:
		return each(path, v, checkReply)
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if err := checkReply(fmt.Sprintf("%s[%q]", path, key), v.MapIndex(key)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		noted := v.FieldByName("JSON")
		if !noted.IsValid() {
			return nil
		}
		if !noted.FieldByName("ExtraFields").IsValid() {
			return checkUnion(path, v)
		}
		return checkObject(path, v, noted, names(v.Type()))
	default:
		return nil
	}
}

// names returns the fields that a type knows, itself or in embedded structs.
func names(t reflect.Type) map[string]bool {
	known := make(map[string]bool)
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		known[name] = true
	}
	return known
}

// checkObject checks an object with these known fields. The SDK records the fields of
// an embedding struct as unknown to the embedded one, and vice versa.
func checkObject(path string, v, noted reflect.Value, known map[string]bool) error {
	extra, _ := reflect.TypeAssert[map[string]respjson.Field](noted.FieldByName("ExtraFields"))
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if !known[name] {
			return fmt.Errorf("%s.%s: the SDK doesn't know it: %s", path, name, extra[name].Raw())
		}
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Anonymous {
			if err := checkObject(path, v.Field(i), v.Field(i).FieldByName("JSON"), known); err != nil {
				return err
			}
			continue
		}
		note, ok := fieldNote(noted, field.Name)
		if !ok {
			continue
		}
		at := path + "." + field.Name
		switch {
		case note.Valid():
		case note.Raw() == respjson.Omitted:
			_, isConstant := field.Tag.Lookup("default")
			if isConstant || strings.Contains(field.Tag.Get("api"), "required") {
				return fmt.Errorf("%s: is missing", at)
			}
			continue
		case note.Raw() == respjson.Null:
			continue
		default:
			return fmt.Errorf("%s: is of another type: %s", at, note.Raw())
		}
		if err := checkConstant(v.Field(i), field); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if err := checkReply(at, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func fieldNote(noted reflect.Value, name string) (note respjson.Field, ok bool) {
	field := noted.FieldByName(name)
	if !field.IsValid() {
		return note, false
	}
	return reflect.TypeAssert[respjson.Field](field)
}

// checkUnion checks that a variant of a union is valid: the one returned by AsAny or,
// without that method, one returned by an As… method.
func checkUnion(path string, v reflect.Value) error {
	if asAny := v.MethodByName("AsAny"); asAny.IsValid() {
		variant := asAny.Call(nil)[0]
		if variant.IsNil() {
			return fmt.Errorf("%s: unknown variant to the SDK", path)
		}
		return checkReply(path, variant)
	}
	var errs []error
	for i := range v.NumMethod() {
		method := v.Type().Method(i)
		if !strings.HasPrefix(method.Name, "As") || method.Type.NumIn() != 1 {
			continue
		}
		err := checkReply(path, v.Method(i).Call(nil)[0])
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func each(path string, v reflect.Value, check func(string, reflect.Value) error) error {
	for i := range v.Len() {
		if err := check(fmt.Sprintf("%s[%d]", path, i), v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}
