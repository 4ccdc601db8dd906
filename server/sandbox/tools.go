package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// The kinds of tools. Deprecated functions are a separate kind, because calls to them have
// a different format.
const (
	toolFunction = "function"
	toolCustom   = "custom"
	toolLegacy   = "function_call"
)

// A tool is a tool that the model may call.
type tool struct {
	kind       string
	name       string
	parameters *object // schema of the arguments, or nil
	path       string  // in the request
}

// parseTools returns the request's tools, or its deprecated functions if it has no tools.
func parseTools(tree *object) []tool {
	var result []tool
	for i, each := range tree.list("tools") {
		obj, _ := each.(*object)
		kind := obj.str("type")
		if kind != toolFunction && kind != toolCustom {
			continue
		}
		result = append(result, tool{
			kind:       kind,
			name:       obj.object(kind).str("name"),
			parameters: obj.object(kind).object("parameters"),
			path:       fmt.Sprintf("tools[%d].%s", i, kind),
		})
	}
	if len(result) > 0 {
		return result
	}
	for i, each := range tree.list("functions") {
		obj, _ := each.(*object)
		result = append(result, tool{
			kind:       toolLegacy,
			name:       obj.str("name"),
			parameters: obj.object("parameters"),
			path:       fmt.Sprintf("functions[%d]", i),
		})
	}
	return result
}

// A toolChoice holds the tools that may be called, and whether a call is required.
type toolChoice struct {
	tools    []tool
	required bool
	// missing is the path of a reference to a missing tool, or empty.
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
	default: // the deprecated form has only a name
		legacy := newObject()
		legacy.set("type", toolLegacy)
		legacy.set(toolLegacy, choice)
		wanted = []any{legacy}
		result.required = true
	}
	result.tools = nil
	for _, each := range wanted {
		obj, _ := each.(*object)
		index := slices.IndexFunc(r.tools, func(t tool) bool {
			return t.kind == obj.str("type") && t.name == obj.object(t.kind).str("name")
		})
		if index < 0 {
			result.missing = param
			continue
		}
		result.tools = append(result.tools, r.tools[index])
	}
	return result
}

// checkToolChoice rejects a choice of missing tools.
func checkToolChoice(r *request) error {
	if missing := r.toolChoice().missing; missing != "" {
		return invalid(missing, "invalid_value", "Invalid '%s': the request has no such tool.", missing)
	}
	return nil
}

// toolsToCall returns the tools that the model calls. Unless a call is required, the model
// calls tools only in response to a user message. It calls the tools mentioned in the
// last user message. If none is mentioned, it calls the first tool, or the first two if a
// call is required. It calls only one tool if the request disables parallel calls.
func (r *request) toolsToCall() []tool {
	choice := r.toolChoice()
	if len(choice.tools) == 0 || !choice.required && !r.awaitsReply() {
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

// containsWord reports whether text contains a name as a separate word.
func containsWord(text, name string) bool {
	between := func(char rune) bool { return char != '-' && classOf(char) != word }
	for each := range strings.FieldsFuncSeq(text, between) {
		if each == name {
			return true
		}
	}
	return false
}

// awaitsReply reports whether the conversation awaits a response to a user message.
func (r *request) awaitsReply() bool {
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

// A generatedCall is a tool call of the model.
type generatedCall struct {
	id     string
	kind   string
	name   string
	tokens []string // of the arguments, or of the input of a custom tool
}

func (c generatedCall) argumentText() string { return strings.Join(c.tokens, "") }

// generateCall returns a call with arguments that are valid for the tool's schema.
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
			"Invalid schema '%s': no valid sample was found.", path)
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
