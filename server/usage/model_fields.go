package usage

import (
	"maps"
	"slices"
	"strings"
)

// fieldKind represents how a field chooses models.
type fieldKind uint8

const (
	// fieldStructure only contains other fields.
	fieldStructure fieldKind = iota
	// fieldMain is the model that processes the request.
	fieldMain
	// fieldAlternative is that model if there is no fieldMain.
	fieldAlternative
	// fieldAdditional is another model, used in addition or instead, or a list of models.
	fieldAdditional
	// fieldPossible is a field with a name like "model". Only a string or a list of strings
	// is read as models.
	fieldPossible
	// fieldOpaque chooses models in a way that cannot be read.
	fieldOpaque
)

// modelField represents a field of a request that contains names of models. Fields that
// are not in the table contain none: schemas, arguments, metadata and content.
type modelField struct {
	kind        fieldKind
	fields      map[string]*modelField // by folded name
	otherFields *modelField            // represents the fields not in fields; nil if they contain no models
	guessByName bool                   // fields not in fields are fieldPossible if isModelName accepts their names
}

var (
	additionalField = &modelField{kind: fieldAdditional}
	opaqueField     = &modelField{kind: fieldOpaque}
	possibleField   = &modelField{kind: fieldPossible}
	ignoredField    = &modelField{}

	requestFields = newRequestFields(nil)
	ollamaFields  = newRequestFields(map[string]*modelField{
		"name": {kind: fieldAlternative}, "from": additionalField, "source": additionalField, "destination": additionalField, "modelfile": opaqueField,
	})
	messageFields = newRequestFields(map[string]*modelField{"response": requestFields.fields["extra_body"]})
)

// newRequestFields returns the fields of a request's JSON body or of a WebSocket message
// from which OpenAI, Azure, vLLM, Ollama, LiteLLM and OpenRouter read a model, and the
// fields in more. A test compares them with OpenAI's specification.
func newRequestFields(more map[string]*modelField) *modelField {
	tool := &modelField{fields: map[string]*modelField{"model": additionalField}}
	tool.fields["tools"] = tool // a namespace contains tools
	tools := map[string]*modelField{"tools": tool}
	item := &modelField{fields: tools}

	transcription := &modelField{fields: map[string]*modelField{"model": additionalField}}
	audio := &modelField{fields: map[string]*modelField{
		"input":  {fields: map[string]*modelField{"transcription": transcription}},
		"output": transcription,
	}}
	session := &modelField{fields: map[string]*modelField{
		"model":                     {kind: fieldMain},
		"audio":                     audio,
		"input_audio_transcription": transcription,
		"tools":                     tool,
	}, guessByName: true}

	grader := &modelField{fields: map[string]*modelField{"model": additionalField}}
	grader.fields["graders"] = &modelField{fields: grader.fields, otherFields: grader} // a grader, or graders by name

	// LiteLLM: names, objects that map a name to names, or requests with a name.
	fallback := &modelField{kind: fieldAdditional, fields: map[string]*modelField{"model": additionalField, "messages": ignoredField}}
	fallback.otherFields = fallback

	// Azure:
	// https://learn.microsoft.com/azure/ai-foundry/openai/references/on-your-data
	embedding := &modelField{fields: map[string]*modelField{
		"deployment_name": additionalField, "deploymentname": additionalField, "model_id": additionalField, "modelid": additionalField,
	}}

	root := &modelField{guessByName: true, fields: map[string]*modelField{
		"model":  {kind: fieldMain},
		"models": additionalField,

		"session":                   session,
		"audio":                     audio,
		"input_audio_transcription": transcription,

		"tools":      tool,
		"input":      item,
		"items":      item,
		"moderation": {fields: map[string]*modelField{"model": additionalField}},

		"data_source": {fields: map[string]*modelField{
			"model":           additionalField,
			"sampling_params": item,
			"source":          {fields: map[string]*modelField{"model": additionalField}},
		}},
		"testing_criteria": grader,
		"grader":           grader,
		"method": {fields: map[string]*modelField{
			"reinforcement": {fields: map[string]*modelField{"grader": grader}},
		}},
		"model_sample": ignoredField, // the output of a model

		"data_sources": {fields: map[string]*modelField{"parameters": {fields: map[string]*modelField{
			"embedding_dependency": embedding, "embeddingdependency": embedding, "embeddingdeploymentname": additionalField,
		}}}},

		"engine":        {kind: fieldAlternative},
		"deployment":    {kind: fieldAlternative},
		"deployment_id": {kind: fieldAlternative},
		"lora_name":     additionalField,
		"lora_path":     additionalField,

		"fallbacks":                fallback,
		"default_fallbacks":        fallback,
		"context_window_fallbacks": fallback,
		"content_policy_fallbacks": fallback,
		"router_settings_override": opaqueField,
		"user_config":              opaqueField,
		"model_list":               opaqueField,
		"model_group_alias":        opaqueField,
		"litellm_params":           opaqueField,
	}}
	nestedFields := &modelField{guessByName: true, fields: maps.Clone(root.fields)}
	for _, name := range []string{"model", "engine", "deployment", "deployment_id"} {
		nestedFields.fields[name] = additionalField
	}
	nestedFields.fields["extra_body"] = nestedFields
	root.fields["extra_body"] = nestedFields // LiteLLM replaces the fields of the request with these.
	root.fields["requests"] = &modelField{fields: map[string]*modelField{"model": additionalField, "params": nestedFields}}
	maps.Copy(root.fields, more)
	return root
}

// field returns the field with a name, or nil if it contains no models.
func (p *modelField) field(name []byte) *modelField {
	folded := fold(name)
	if field, ok := p.fields[folded]; ok {
		return field
	}
	if p.guessByName && isModelName(folded) {
		return possibleField
	}
	return p.otherFields
}

// isModelName reports whether a folded field name is a name for models, such as
// "judge_model", "model_ids" and "deployment_name".
func isModelName(folded string) bool {
	name := folded
	for _, ending := range [...]string{"ids", "id", "names", "name"} {
		if shorter, found := strings.CutSuffix(name, ending); found {
			name = strings.TrimSuffix(shorter, "_")
			break
		}
	}
	name = strings.TrimSuffix(name, "s")
	for _, word := range [...]string{"model", "deployment", "engine"} {
		if before, found := strings.CutSuffix(name, word); found {
			return before == "" || strings.HasSuffix(before, "_")
		}
	}
	return false
}

// fold returns the form of a name that the most lenient servers compare: with the case
// folded as encoding/json does, and without spaces and control characters.
func fold(name []byte) string {
	var folded []byte
	for _, c := range string(name) {
		switch {
		case c <= ' ' || c == 0x7f:
		case c >= 'A' && c <= 'Z':
			folded = append(folded, byte(c)+'a'-'A')
		case c == 'ſ':
			folded = append(folded, 's')
		case c == '\u212a': // the Kelvin sign
			folded = append(folded, 'k')
		default:
			folded = append(folded, string(c)...)
		}
	}
	return string(folded)
}

// maxModels bounds the number of different models in modelNames.others.
const maxModels = 64

// modelNames holds the models that a part of a request names.
type modelNames struct {
	main         string   // the last of fieldMain, empty if it cannot be read
	mainCount    int      // the number of values of fieldMain
	alternative  string   // the first of fieldAlternative
	others       []string // without duplicates
	undetermined bool     // the value of a field cannot be read
	fieldCount   int      // the number of fields that name models
}

// add adds the string value of a field. complete reports whether text is all of it.
func (n *modelNames) add(kind fieldKind, text string, complete bool) {
	if kind == fieldStructure {
		return
	}
	n.fieldCount++
	switch kind {
	case fieldMain:
		n.mainCount++
		if n.main = ""; complete {
			n.main = text
		}
	case fieldOpaque:
		n.undetermined = n.undetermined || !complete || text != ""
	case fieldAlternative:
		if complete && n.alternative == "" {
			n.alternative = text
			return
		}
		fallthrough
	default:
		n.undetermined = n.undetermined || !complete
		n.addOther(text)
	}
}

func (n *modelNames) addOther(text string) {
	switch {
	case text == "" || slices.Contains(n.others, text):
	case len(n.others) == maxModels:
		n.undetermined = true
	default:
		n.others = append(n.others, text)
	}
}

// addOtherType adds a value that is not a string. first is the first byte of a number or
// a literal, '{' for an object, and '[' for an array.
func (n *modelNames) addOtherType(kind fieldKind, first byte) {
	switch {
	case kind == fieldStructure || kind == fieldPossible:
		return
	case kind == fieldMain:
		n.add(kind, "", false)
		return
	case first == 'n' || first == 'f' && kind == fieldOpaque: // null or false
		return
	}
	n.fieldCount++
	n.undetermined = true
}

// modelFinder finds the models in a JSON text, whose structure a scanner passes to it.
type modelFinder struct {
	modelNames

	root      *modelField
	fields    [maxDepth + 1]*modelField // the field of the container at each depth
	inArray   uint64                    // bit d-1: the container at depth d is an array
	nextField *modelField               // the field of the next value in an object
}

// beginField is called for the name of a field of the object at a depth. complete reports
// whether name is all of it.
func (f *modelFinder) beginField(depth int, name []byte, complete bool) {
	f.nextField = nil
	if depth <= maxDepth && f.fields[depth] != nil && complete {
		f.nextField = f.fields[depth].field(name)
	}
}

// current returns the field of the value that begins in the container at a depth.
func (f *modelFinder) current(depth int) *modelField {
	switch {
	case depth == 0:
		return f.root
	case depth > maxDepth:
		return nil
	case f.inArray>>(depth-1)&1 != 0:
		return f.fields[depth]
	default:
		return f.nextField
	}
}

// beginContainer is called for a container inside the container at a depth.
func (f *modelFinder) beginContainer(depth int, object bool) {
	field := f.current(depth)
	if field == nil {
		f.enterContainer(depth+1, nil, object)
		return
	}
	nested := !object && depth > 0 && depth <= maxDepth && f.inArray>>(depth-1)&1 != 0
	readable := field.kind == fieldStructure || field.fields != nil ||
		!object && (field.kind == fieldAdditional || field.kind == fieldPossible)
	if depth == maxDepth {
		f.undetermined = f.undetermined || field != ignoredField // the models in this container cannot be found
	}
	if nested || depth == maxDepth || !readable {
		first := byte('{')
		if !object {
			first = '['
		}
		f.addOtherType(field.kind, first)
		field = nil // No server reads a list of lists.
	}
	f.enterContainer(depth+1, field, object)
}

func (f *modelFinder) enterContainer(depth int, field *modelField, object bool) {
	if depth > maxDepth {
		return
	}
	f.fields[depth], f.nextField = field, nil
	bit := uint64(1) << (depth - 1)
	f.inArray &^= bit
	if !object {
		f.inArray |= bit
	}
}

// addString is called for a string. complete reports whether text is all of it.
func (f *modelFinder) addString(depth int, text []byte, complete bool) {
	if field := f.current(depth); field != nil && field.kind != fieldStructure {
		f.add(field.kind, string(text), complete)
	}
}

// addScalar is called for the first byte of a number or a literal.
func (f *modelFinder) addScalar(depth int, first byte) {
	if field := f.current(depth); field != nil {
		f.addOtherType(field.kind, first)
	}
}
