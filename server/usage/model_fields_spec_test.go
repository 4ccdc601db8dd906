package usage

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/openapi"
)

// specModelName matches the names of fields for models in OpenAI's specification.
var specModelName = regexp.MustCompile(`(^|_)(models?|deployments?|engines?)(_ids?|_names?)?$`)

// specification is OpenAI's specification: of the whole API if openapi.json is in the
// directory, otherwise of the Chat operations.
type specification struct {
	schemas map[string]any
	found   map[string]bool // places such as "tools[].model"
}

func readSpecification(t *testing.T) (document map[string]any, s *specification) {
	t.Helper()
	text := openapi.Text(t)
	if whole, err := os.ReadFile(filepath.Join(filepath.Dir(os.Getenv(openapi.Environment)), "openapi.json")); err == nil {
		text = whole
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	schemas, _ := member(member(document, "components"), "schemas").(map[string]any)
	return document, &specification{schemas: schemas, found: make(map[string]bool)}
}

func member(value any, name string) any {
	object, _ := value.(map[string]any)
	return object[name]
}

// walk adds the places of models in a schema. path has the names of the enclosing schemas.
// A schema is followed at most twice, because deeper recursion adds no new places.
func (s *specification) walk(schema any, place string, path []string) {
	if ref, ok := member(schema, "$ref").(string); ok {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		if count := len(slices.DeleteFunc(slices.Clone(path), func(other string) bool { return other != name })); count < 2 {
			s.walk(s.schemas[name], place, append(slices.Clone(path), name))
		}
		return
	}
	for _, kind := range []string{"allOf", "anyOf", "oneOf"} {
		branches, _ := member(schema, kind).([]any)
		for _, branch := range branches {
			s.walk(branch, place, path)
		}
	}
	properties, _ := member(schema, "properties").(map[string]any)
	for name, property := range properties {
		field := strings.TrimPrefix(place+"."+name, ".")
		if specModelName.MatchString(name) {
			s.found[field] = true
		}
		s.walk(property, field, path)
	}
	if items := member(schema, "items"); items != nil {
		s.walk(items, place+"[]", path)
	}
}

// TestModelFields_CoverTheSpecification finds the models of all requests in the
// specification, and makes a request with each.
func TestModelFields_CoverTheSpecification(t *testing.T) {
	t.Parallel()
	document, s := readSpecification(t)
	paths, _ := member(document, "paths").(map[string]any)
	for path, item := range paths {
		for _, method := range []string{"post", "put", "patch", "delete"} {
			content, _ := member(member(member(item, method), "requestBody"), "content").(map[string]any)
			for _, body := range content {
				s.walk(member(body, "schema"), "", nil)
			}
		}
		for _, method := range []string{"get", "post", "delete"} {
			parameters, _ := member(member(item, method), "parameters").([]any)
			for _, parameter := range parameters {
				name, _ := member(parameter, "name").(string)
				if !specModelName.MatchString(name) && !strings.Contains(name, "model") {
					continue
				}
				target := "/v1" + path
				if member(parameter, "in") == "query" {
					target += "?" + name + "=probe"
				}
				target = strings.ReplaceAll(target, "{"+name+"}", "probe")
				got, _, err := ReadRequest(t.Context(), strings.ToUpper(method), target, nil, nil, 0)
				if err != nil || got.Model != "probe" && !slices.Contains(got.OtherModels, "probe") {
					t.Errorf("%s %s: ReadRequest() = %+v, %v", method, target, got, err)
				}
			}
		}
	}
	if len(s.found) == 0 {
		t.Fatal("no request of the specification names a model")
	}
	for place := range s.found {
		body := probe(place)
		got, _, err := ReadRequest(t.Context(), "POST", "/v1/tomorrow", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(body), 1<<20)
		if err != nil || !got.Complete || got.Model != "probe" && !slices.Contains(got.OtherModels, "probe") {
			t.Errorf("%s: ReadRequest() = %+v, %v", body, got, err)
		}
	}
	t.Logf("%d model fields of requests", len(s.found))
	clear(s.found)
	for name, schema := range s.schemas {
		if strings.HasPrefix(name, "Realtime") && strings.Contains(name, "ClientEvent") || strings.HasPrefix(name, "ResponsesClientEvent") {
			s.walk(schema, "", []string{name})
		}
	}
	for place := range s.found {
		m := NewMessageChecker(func(model string) bool { return model != "probe" })
		m.begin(false)
		m.data([]byte(probe(place)))
		if m.end(); !m.rejected {
			t.Errorf("%s: the message was allowed, want ErrMessageRejected", place)
		}
	}
	t.Logf("%d model fields of messages", len(s.found))
}

// probe returns a JSON object with a model at a place.
func probe(place string) string {
	text := `"probe"`
	for _, name := range slices.Backward(strings.Split(place, ".")) {
		bare, list := strings.CutSuffix(name, "[]")
		if list {
			text = "[" + text + "]"
		}
		text = `{"` + bare + `":` + text + `}`
	}
	return text
}
