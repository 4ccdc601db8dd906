package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// The kinds of tools. The deprecated functions are a kind of their own, as they
// are called in another form.
const (
	toolFunction = "function"
	toolCustom   = "custom"
	toolLegacy   = "function_call"
)

// A tool is one that the model may call.
type tool struct {
	kind       string
	name       string
	parameters *object // the schema of the arguments, nil for none
	path       string  // in the request
}

// toolsOf takes the tools, or where there are none the deprecated functions.
func parseTools(tree *object) []tool {
	var result []tool
	for i, each := range tree.list("tools") {
		given, _ := each.(*object)
		kind := given.str("type")
		if kind != toolFunction && kind != toolCustom {
			continue
		}
		result = append(result, tool{
			kind:       kind,
			name:       given.object(kind).str("name"),
			parameters: given.object(kind).object("parameters"),
			path:       fmt.Sprintf("tools[%d].%s", i, kind),
		})
	}
	if len(result) > 0 {
		return result
	}
	for i, each := range tree.list("functions") {
		given, _ := each.(*object)
		result = append(result, tool{
			kind:       toolLegacy,
			name:       given.str("name"),
			parameters: given.object("parameters"),
			path:       fmt.Sprintf("functions[%d]", i),
		})
	}
	return result
}

// A toolChoice is which tools may be called, and whether one has to be.
type toolChoice struct {
	tools    []tool
	required bool
	// missing is the path of a choice that names a tool which isn't there.
	missing string
}

func (r *request) toolChoice() toolChoice {
	result := toolChoice{tools: r.tools}
	param := "tool_choice"
	if !r.tree.has(param) && r.tree.has("function_call") {
		param = "function_call"
	}
	if mode, ok := r.tree.get(param).(string); ok {
		if mode == "none" {
			result.tools = nil
		}
		result.required = mode == "required"
		return result
	}
	choice := r.tree.object(param)
	if choice == nil {
		return result
	}
	var wanted []any
	switch choice.str("type") {
	case "allowed_tools":
		wanted = choice.object("allowed_tools").list("tools")
		result.required = choice.object("allowed_tools").str("mode") == "required"
		param += ".allowed_tools.tools"
	case toolFunction, toolCustom:
		wanted = []any{choice}
		result.required = true
	default: // the deprecated form has the name alone
		legacy := newObject()
		legacy.set("type", toolLegacy)
		legacy.set(toolLegacy, choice)
		wanted = []any{legacy}
		result.required = true
	}
	result.tools = nil
	for _, each := range wanted {
		given, _ := each.(*object)
		index := slices.IndexFunc(r.tools, func(t tool) bool {
			return t.kind == given.str("type") && t.name == given.object(t.kind).str("name")
		})
		if index < 0 {
			result.missing = param
			continue
		}
		result.tools = append(result.tools, r.tools[index])
	}
	return result
}

// checkToolChoice refuses a choice of tools that are not there.
func checkToolChoice(r *request) error {
	if missing := r.toolChoice().missing; missing != "" {
		return invalid(missing, "invalid_value", "'%s' names a tool that the request doesn't have.", missing)
	}
	return nil
}

// called is which tools the model calls. With the choice left to it, that is
// when a user speaks, not when a tool answered; the tools are those whose names
// the user mentions, or else the first. More than one is called if the request
// doesn't forbid it and the user mentions several, or if it requires a call
// without saying of what.
func (r *request) toolsToCall() []tool {
	choice := r.toolChoice()
	if len(choice.tools) == 0 || !choice.required && !r.isUsersTurn() {
		return nil
	}
	var mentioned []tool
	if user := r.lastUser(); user != nil {
		for _, each := range choice.tools {
			if containsWord(user.text, each.name) {
				mentioned = append(mentioned, each)
			}
		}
	}
	parallel := choice.tools[0].kind != toolLegacy &&
		(!r.tree.has("parallel_tool_calls") || r.tree.boolean("parallel_tool_calls"))
	switch {
	case len(mentioned) > 0 && parallel:
		return mentioned
	case len(mentioned) > 0:
		return mentioned[:1]
	case choice.required && parallel:
		return choice.tools[:min(2, len(choice.tools))]
	default:
		return choice.tools[:1]
	}
}

// mentions tells whether a text has a name as a word of its own.
func containsWord(text, name string) bool {
	between := func(char rune) bool { return char != '-' && classOf(char) != word }
	for each := range strings.FieldsFuncSeq(text, between) {
		if each == name {
			return true
		}
	}
	return false
}

// userSpeaks tells whether the conversation waits for an answer to a user.
func (r *request) isUsersTurn() bool {
	for _, each := range slices.Backward(r.messages) {
		switch each.role {
		case "user":
			return true
		case "assistant", "tool", "function":
			return false
		}
	}
	return false
}

// A call is a tool call as the model writes it.
type generatedCall struct {
	id     string
	kind   string
	name   string
	tokens []string // of the arguments, or of a custom tool's input
}

func (c generatedCall) argumentText() string { return strings.Join(c.tokens, "") }

// callOf makes a call with arguments that are valid for the tool's schema.
func (r *request) generateCall(t tool, id string, variant int) (generatedCall, error) {
	result := generatedCall{id: id, kind: t.kind, name: t.name}
	if t.kind == toolCustom {
		result.tokens = tokens("sample input for " + t.name)
		return result, nil
	}
	arguments, ok := sampleObject(t.parameters, variant)
	if _, isObject := arguments.(*object); !ok || !isObject {
		path := t.path + ".parameters"
		return result, invalid(path, "invalid_function_parameters",
			"No arguments can be made that are valid for '%s'.", path)
	}
	result.tokens = tokens(string(encode(arguments)))
	return result, nil
}

func (c generatedCall) asFunction() *functionCall {
	return &functionCall{Name: c.name, Arguments: c.argumentText()}
}

func (c generatedCall) asTool() toolCall {
	result := toolCall{ID: c.id, Type: c.kind}
	if c.kind == toolCustom {
		result.Custom = &customCall{Name: c.name, Input: c.argumentText()}
	} else {
		result.Function = c.asFunction()
	}
	return result
}
