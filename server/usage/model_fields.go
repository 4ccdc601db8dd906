package usage

import (
	"maps"
	"slices"
	"strings"
)

// fieldKind is the meaning of a field for the choice of models.
type fieldKind uint8

const (
	// fieldStructure contains other fields, or none.
	fieldStructure fieldKind = iota
	// fieldMain is the model that does the work.
	fieldMain
	// fieldAlternative is the model if there is no fieldMain.
	fieldAlternative
	// fieldAdditional is a model that is used as well or instead, or a list of models.
	fieldAdditional
	// fieldPossible is a field named like a model. A string or a list of strings counts
	// as models. Another value does not.
	fieldPossible
	// fieldOpaque chooses models in a way that is not understood.
	fieldOpaque
)

// modelField is a field of a request that contains names of models. Fields that it does
// not list contain none: schemas, arguments, metadata and content.
type modelField struct {
	kind        fieldKind
	fields      map[string]*modelField // by the name that fold returns
	otherFields *modelField            // of fields that are not listed; nil if they contain no models
	guessByName bool                   // fields that are not listed but named like models are fieldPossible
}

var (
	additionalField = &modelField{kind: fieldAdditional}
	opaqueField     = &modelField{kind: fieldOpaque}
	possibleField   = &modelField{kind: fieldPossible}
	freeField       = &modelField{}

	requestFields = newRequestFields(nil)
	ollamaFields  = newRequestFields(map[string]*modelField{
		"name": {kind: fieldAlternative}, "from": additionalField, "source": additionalField, "destination": additionalField, "modelfile": opaqueField,
	})
	messageFields = newRequestFields(map[string]*modelField{"response": requestFields.fields["extra_body"]})
)

// newRequestFields returns the fields of a request's JSON body or of a WebSocket message:
// those of OpenAI's specification, which a test compares, and those from which Azure,
// vLLM, Ollama, LiteLLM and OpenRouter read a model. The fields in more are added.
func newRequestFields(more map[string]*modelField) *modelField {
	tool := &modelField{fields: map[string]*modelField{"model": additionalField}}
	tool.fields["tools"] = tool // in namespaces
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
	grader.fields["graders"] = &modelField{fields: grader.fields, otherFields: grader} // one, or several by name

	// Of LiteLLM: names, objects that map a name to names, or requests with a name.
	fallback := &modelField{kind: fieldAdditional, fields: map[string]*modelField{"model": additionalField, "messages": freeField}}
	fallback.otherFields = fallback

	// Of Azure:
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
		"model_sample": freeField, // the output of a model

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
	within := &modelField{guessByName: true, fields: maps.Clone(root.fields)}
	for _, name := range []string{"model", "engine", "deployment", "deployment_id"} {
		within.fields[name] = additionalField
	}
	within.fields["extra_body"] = within
	root.fields["extra_body"] = within // LiteLLM replaces the fields of the request by them.
	root.fields["requests"] = &modelField{fields: map[string]*modelField{"model": additionalField, "params": within}}
	maps.Copy(root.fields, more)
	return root
}

// field returns the field of a name, nil if it contains no models.
func (p *modelField) field(name []byte) *modelField {
	folded := fold(name)
	if place, ok := p.fields[folded]; ok {
		return place
	}
	if p.guessByName && isModelName(folded) {
		return possibleField
	}
	return p.otherFields
}

// isModelName reports whether a folded field name is one of models, such as
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

// fold returns a name as the most lenient server compares it: without regard to case,
// with Unicode's simple folding as encoding/json has it, and without spaces and control
// characters.
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

// maxModels bounds the different models that a request may name.
const maxModels = 64

// modelNames are the models that a part of a request names.
type modelNames struct {
	main         string   // the last of fieldMain, empty if it cannot be read
	mainCount    int      // the number of values of fieldMain
	alternative  string   // the first of fieldAlternative
	others       []string // without duplicates
	undetermined bool     // A field names a model in a way that is not understood.
	fieldCount   int      // the number of fields that name models
}

// add adds the value of a field. known is false if it is longer than maxName bytes.
func (n *modelNames) add(kind fieldKind, text string, known bool) {
	if kind == fieldStructure {
		return
	}
	n.fieldCount++
	switch kind {
	case fieldMain:
		n.mainCount++
		if n.main = ""; known {
			n.main = text
		}
	case fieldOpaque:
		n.undetermined = n.undetermined || !known || text != ""
	case fieldAlternative:
		if known && n.alternative == "" {
			n.alternative = text
			return
		}
		fallthrough
	default:
		n.undetermined = n.undetermined || !known
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

// addOtherType adds a value of another type: a number or a literal by its first byte, '{'
// for an object, '[' for an array.
func (n *modelNames) addOtherType(kind fieldKind, begins byte) {
	switch {
	case kind == fieldStructure || kind == fieldPossible:
		return
	case kind == fieldMain:
		n.add(kind, "", false)
		return
	case begins == 'n' || begins == 'f' && kind == fieldOpaque: // null or false
		return
	}
	n.fieldCount++
	n.undetermined = true
}

// modelFinder finds the models in the structure of a JSON text that a scanner reads.
type modelFinder struct {
	modelNames

	root      *modelField
	fields    [maxDepth + 1]*modelField // of the container at each depth, or of its elements
	inArray   uint64                    // bit d-1: the container at depth d is an array
	nextField *modelField               // of the next value
}

// beginField is called for the name of a field of the object at a depth. known is false
// if it is longer than maxName bytes.
func (f *modelFinder) beginField(depth int, name []byte, known bool) {
	f.nextField = nil
	if depth <= maxDepth && f.fields[depth] != nil && known {
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

// beginContainer is called for a container in the one at a depth.
func (f *modelFinder) beginContainer(depth int, object bool) {
	place := f.current(depth)
	if place == nil {
		f.enterContainer(depth+1, nil, object)
		return
	}
	nested := !object && depth > 0 && depth <= maxDepth && f.inArray>>(depth-1)&1 != 0
	readable := place.kind == fieldStructure || place.fields != nil ||
		!object && (place.kind == fieldAdditional || place.kind == fieldPossible)
	if depth == maxDepth {
		f.undetermined = f.undetermined || place != freeField // the rest is too deep
	}
	if nested || depth == maxDepth || !readable {
		begins := byte('{')
		if !object {
			begins = '['
		}
		f.addOtherType(place.kind, begins)
		place = nil // No server reads a list of lists.
	}
	f.enterContainer(depth+1, place, object)
}

func (f *modelFinder) enterContainer(depth int, place *modelField, object bool) {
	if depth > maxDepth {
		return
	}
	f.fields[depth], f.nextField = place, nil
	bit := uint64(1) << (depth - 1)
	f.inArray &^= bit
	if !object {
		f.inArray |= bit
	}
}

// addString is called for a string. known is false if it is longer than maxName bytes.
func (f *modelFinder) addString(depth int, text []byte, known bool) {
	if place := f.current(depth); place != nil && place.kind != fieldStructure {
		f.add(place.kind, string(text), known)
	}
}

// addScalar is called for the first byte of a number or a literal.
func (f *modelFinder) addScalar(depth int, begins byte) {
	if place := f.current(depth); place != nil {
		f.addOtherType(place.kind, begins)
	}
}
