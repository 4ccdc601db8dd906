package usage

import (
	"maps"
	"slices"
	"strings"
)

// placeKind is what a value at a place of a request means.
type fieldKind uint8

const (
	// placeStructure leads to other places, or to none.
	fieldStructure fieldKind = iota
	// placeMain is the name of the model that does the work.
	fieldMain
	// placeInstead is the same where placeMain is missing.
	fieldAlternative
	// placeFurther is the name of a model that works beside the main one or in its
	// place, or a list of names.
	fieldAdditional
	// placePerhaps is a member that is called like a model. A string, or a list of
	// strings, is taken for names, and anything else for something different.
	fieldPossible
	// placeOpaque chooses models in a way that is not read.
	fieldOpaque
)

// modelPlace is a place in the structure of a request, as far as that leads to names
// of models. The values of members that it doesn't list are free: nothing within
// schemas, arguments, metadata or content is the name of a model.
type modelField struct {
	kind        fieldKind
	fields      map[string]*modelField // by the name that fold returns
	otherFields *modelField            // of members that are not listed; nil if they are free
	guessByName bool                   // other members that are called like a model are placePerhaps
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

// newRequestPlaces returns the places of a request's JSON body, or of an event of a
// WebSocket: those of OpenAI's specification, which a test compares, and those from
// which Azure, vLLM, Ollama, LiteLLM and OpenRouter read a model. The members in more
// are added.
func newRequestFields(more map[string]*modelField) *modelField {
	tool := &modelField{fields: map[string]*modelField{"model": additionalField}}
	tool.fields["tools"] = tool // within namespaces
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

	// LiteLLM's: names, objects that map a name to names, or requests with a name.
	fallback := &modelField{kind: fieldAdditional, fields: map[string]*modelField{"model": additionalField, "messages": freeField}}
	fallback.otherFields = fallback

	// Azure's: https://learn.microsoft.com/azure/ai-foundry/openai/references/on-your-data
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
		"model_sample": freeField, // what a model said

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
	root.fields["extra_body"] = within // LiteLLM puts its members over those of the request.
	root.fields["requests"] = &modelField{fields: map[string]*modelField{"model": additionalField, "params": within}}
	maps.Copy(root.fields, more)
	return root
}

// member returns the place of a member, nil if it is free.
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

// isCalledModel reports whether a member, by its folded name, is called like a model, as
// "judge_model", "model_ids" and "deployment_name" are.
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
// as encoding/json does with Unicode's simple folding, and without spaces and control
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

// maxNamed bounds how many different models a request may name.
const maxModels = 64

// modelNames are the names of models that were found in a part of a request.
type modelNames struct {
	main         string   // the last of placeMain, empty if it can't be read
	mainCount    int      // how many there were, of any type
	alternative  string   // the first of placeInstead
	others       []string // each once
	undetermined bool     // something names a model in a way that can't be read
	fieldCount   int      // of all places that were found
}

// add notes a value at a place, as text of up to maxWord bytes. It is not known if it
// is longer.
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

// addForeign notes a value of a type that is not read: a literal or a number by its
// first byte, '{' for an object, '[' for an array.
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

// modelFinder follows the structure of a JSON text to the names of models in it. A
// scanner tells it of names and values.
type modelFinder struct {
	modelNames

	root      *modelField
	fields    [maxDepth + 1]*modelField // of the container at each depth, or of its elements
	inArray   uint64                    // bit d-1: the container at depth d is an array
	nextField *modelField               // of the member whose value comes
}

// name is told the name of a member of the object at a depth. It is not known if it is
// longer than maxWord bytes.
func (f *modelFinder) beginField(depth int, name []byte, known bool) {
	f.nextField = nil
	if depth <= maxDepth && f.fields[depth] != nil && known {
		f.nextField = f.fields[depth].field(name)
	}
}

// place returns the place of the value that begins in the container at a depth.
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

// open is told that a container begins within the one at a depth.
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
		f.undetermined = f.undetermined || place != freeField // It goes on too deep.
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

// text is told a string. It is not known if it is longer than maxWord bytes.
func (f *modelFinder) addString(depth int, text []byte, known bool) {
	if place := f.current(depth); place != nil && place.kind != fieldStructure {
		f.add(place.kind, string(text), known)
	}
}

// scalar is told the first byte of a number or a literal.
func (f *modelFinder) addScalar(depth int, begins byte) {
	if place := f.current(depth); place != nil {
		f.addOtherType(place.kind, begins)
	}
}
