package usage

import (
	"maps"
	"slices"
	"strings"
)

// placeKind is what a value at a place of a request means.
type placeKind uint8

const (
	// placeStructure leads to other places, or to none.
	placeStructure placeKind = iota
	// placeMain is the name of the model that does the work.
	placeMain
	// placeInstead is the same where placeMain is missing.
	placeInstead
	// placeFurther is the name of a model that works beside the main one or in its
	// place, or a list of names.
	placeFurther
	// placePerhaps is a member that is called like a model. A string, or a list of
	// strings, is taken for names, and anything else for something different.
	placePerhaps
	// placeOpaque chooses models in a way that is not read.
	placeOpaque
)

// modelPlace is a place in the structure of a request, as far as that leads to names
// of models. The values of members that it doesn't list are free: nothing within
// schemas, arguments, metadata or content is the name of a model.
type modelPlace struct {
	kind    placeKind
	members map[string]*modelPlace // by the name that fold returns
	other   *modelPlace            // of members that are not listed; nil if they are free
	named   bool                   // other members that are called like a model are placePerhaps
}

var (
	further = &modelPlace{kind: placeFurther}
	opaque  = &modelPlace{kind: placeOpaque}
	perhaps = &modelPlace{kind: placePerhaps}
	free    = &modelPlace{}

	requestPlaces = newRequestPlaces(nil)
	ollamaPlaces  = newRequestPlaces(map[string]*modelPlace{
		"name": {kind: placeInstead}, "from": further, "source": further, "destination": further, "modelfile": opaque,
	})
	messagePlaces = newRequestPlaces(map[string]*modelPlace{"response": requestPlaces.members["extra_body"]})
)

// newRequestPlaces returns the places of a request's JSON body, or of an event of a
// WebSocket: those of OpenAI's specification, which a test compares, and those from
// which Azure, vLLM, Ollama, LiteLLM and OpenRouter read a model. The members in more
// are added.
func newRequestPlaces(more map[string]*modelPlace) *modelPlace {
	tool := &modelPlace{members: map[string]*modelPlace{"model": further}}
	tool.members["tools"] = tool // within namespaces
	tools := map[string]*modelPlace{"tools": tool}
	item := &modelPlace{members: tools}

	transcription := &modelPlace{members: map[string]*modelPlace{"model": further}}
	audio := &modelPlace{members: map[string]*modelPlace{
		"input":  {members: map[string]*modelPlace{"transcription": transcription}},
		"output": transcription,
	}}
	session := &modelPlace{members: map[string]*modelPlace{
		"model":                     {kind: placeMain},
		"audio":                     audio,
		"input_audio_transcription": transcription,
		"tools":                     tool,
	}, named: true}

	grader := &modelPlace{members: map[string]*modelPlace{"model": further}}
	grader.members["graders"] = &modelPlace{members: grader.members, other: grader} // one, or several by name

	// LiteLLM's: names, objects that map a name to names, or requests with a name.
	fallback := &modelPlace{kind: placeFurther, members: map[string]*modelPlace{"model": further, "messages": free}}
	fallback.other = fallback

	// Azure's: https://learn.microsoft.com/azure/ai-foundry/openai/references/on-your-data
	embedding := &modelPlace{members: map[string]*modelPlace{
		"deployment_name": further, "deploymentname": further, "model_id": further, "modelid": further,
	}}

	root := &modelPlace{named: true, members: map[string]*modelPlace{
		"model":  {kind: placeMain},
		"models": further,

		"session":                   session,
		"audio":                     audio,
		"input_audio_transcription": transcription,

		"tools":      tool,
		"input":      item,
		"items":      item,
		"moderation": {members: map[string]*modelPlace{"model": further}},

		"data_source": {members: map[string]*modelPlace{
			"model":           further,
			"sampling_params": item,
			"source":          {members: map[string]*modelPlace{"model": further}},
		}},
		"testing_criteria": grader,
		"grader":           grader,
		"method": {members: map[string]*modelPlace{
			"reinforcement": {members: map[string]*modelPlace{"grader": grader}},
		}},
		"model_sample": free, // what a model said

		"data_sources": {members: map[string]*modelPlace{"parameters": {members: map[string]*modelPlace{
			"embedding_dependency": embedding, "embeddingdependency": embedding, "embeddingdeploymentname": further,
		}}}},

		"engine":        {kind: placeInstead},
		"deployment":    {kind: placeInstead},
		"deployment_id": {kind: placeInstead},
		"lora_name":     further,
		"lora_path":     further,

		"fallbacks":                fallback,
		"default_fallbacks":        fallback,
		"context_window_fallbacks": fallback,
		"content_policy_fallbacks": fallback,
		"router_settings_override": opaque,
		"user_config":              opaque,
		"model_list":               opaque,
		"model_group_alias":        opaque,
		"litellm_params":           opaque,
	}}
	within := &modelPlace{named: true, members: maps.Clone(root.members)}
	for _, name := range []string{"model", "engine", "deployment", "deployment_id"} {
		within.members[name] = further
	}
	within.members["extra_body"] = within
	root.members["extra_body"] = within // LiteLLM puts its members over those of the request.
	root.members["requests"] = &modelPlace{members: map[string]*modelPlace{"model": further, "params": within}}
	maps.Copy(root.members, more)
	return root
}

// member returns the place of a member, nil if it is free.
func (p *modelPlace) member(name []byte) *modelPlace {
	folded := fold(name)
	if place, ok := p.members[folded]; ok {
		return place
	}
	if p.named && isCalledModel(folded) {
		return perhaps
	}
	return p.other
}

// isCalledModel reports whether a member, by its folded name, is called like a model, as
// "judge_model", "model_ids" and "deployment_name" are.
func isCalledModel(folded string) bool {
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
const maxNamed = 64

// modelNames are the names of models that were found in a part of a request.
type modelNames struct {
	main     string   // the last of placeMain, empty if it can't be read
	mains    int      // how many there were, of any type
	instead  string   // the first of placeInstead
	others   []string // each once
	unjudged bool     // something names a model in a way that can't be read
	count    int      // of all places that were found
}

// add notes a value at a place, as text of up to maxWord bytes. It is not known if it
// is longer.
func (n *modelNames) add(kind placeKind, text string, known bool) {
	if kind == placeStructure {
		return
	}
	n.count++
	switch kind {
	case placeMain:
		n.mains++
		if n.main = ""; known {
			n.main = text
		}
	case placeOpaque:
		n.unjudged = n.unjudged || !known || text != ""
	case placeInstead:
		if known && n.instead == "" {
			n.instead = text
			return
		}
		fallthrough
	default:
		n.unjudged = n.unjudged || !known
		n.addOther(text)
	}
}

func (n *modelNames) addOther(text string) {
	switch {
	case text == "" || slices.Contains(n.others, text):
	case len(n.others) == maxNamed:
		n.unjudged = true
	default:
		n.others = append(n.others, text)
	}
}

// addForeign notes a value of a type that is not read: a literal or a number by its
// first byte, '{' for an object, '[' for an array.
func (n *modelNames) addForeign(kind placeKind, begins byte) {
	switch {
	case kind == placeStructure || kind == placePerhaps:
		return
	case kind == placeMain:
		n.add(kind, "", false)
		return
	case begins == 'n' || begins == 'f' && kind == placeOpaque: // null or false
		return
	}
	n.count++
	n.unjudged = true
}

// modelFinder follows the structure of a JSON text to the names of models in it. A
// scanner tells it of names and values.
type modelFinder struct {
	modelNames

	root    *modelPlace
	places  [maxLevels + 1]*modelPlace // of the container at each depth, or of its elements
	inArray uint64                     // bit d-1: the container at depth d is an array
	next    *modelPlace                // of the member whose value comes
}

// name is told the name of a member of the object at a depth. It is not known if it is
// longer than maxWord bytes.
func (f *modelFinder) name(depth int, name []byte, known bool) {
	f.next = nil
	if depth <= maxLevels && f.places[depth] != nil && known {
		f.next = f.places[depth].member(name)
	}
}

// place returns the place of the value that begins in the container at a depth.
func (f *modelFinder) place(depth int) *modelPlace {
	switch {
	case depth == 0:
		return f.root
	case depth > maxLevels:
		return nil
	case f.inArray>>(depth-1)&1 != 0:
		return f.places[depth]
	default:
		return f.next
	}
}

// open is told that a container begins within the one at a depth.
func (f *modelFinder) open(depth int, object bool) {
	place := f.place(depth)
	if place == nil {
		f.enter(depth+1, nil, object)
		return
	}
	nested := !object && depth > 0 && depth <= maxLevels && f.inArray>>(depth-1)&1 != 0
	readable := place.kind == placeStructure || place.members != nil ||
		!object && (place.kind == placeFurther || place.kind == placePerhaps)
	if depth == maxLevels {
		f.unjudged = f.unjudged || place != free // It goes on too deep.
	}
	if nested || depth == maxLevels || !readable {
		begins := byte('{')
		if !object {
			begins = '['
		}
		f.addForeign(place.kind, begins)
		place = nil // No server reads a list of lists.
	}
	f.enter(depth+1, place, object)
}

func (f *modelFinder) enter(depth int, place *modelPlace, object bool) {
	if depth > maxLevels {
		return
	}
	f.places[depth], f.next = place, nil
	bit := uint64(1) << (depth - 1)
	f.inArray &^= bit
	if !object {
		f.inArray |= bit
	}
}

// text is told a string. It is not known if it is longer than maxWord bytes.
func (f *modelFinder) text(depth int, text []byte, known bool) {
	if place := f.place(depth); place != nil && place.kind != placeStructure {
		f.add(place.kind, string(text), known)
	}
}

// scalar is told the first byte of a number or a literal.
func (f *modelFinder) scalar(depth int, begins byte) {
	if place := f.place(depth); place != nil {
		f.addForeign(place.kind, begins)
	}
}
