package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// A request is a validated body of POST /v1/chat/completions.
type request struct {
	tree     *object // the whole body
	messages []message
	tools    []tool

	stream      bool
	usage       bool // send usage at the end of a stream
	obfuscation bool

	choices        int
	limit          int // maximum tokens per choice, 0 for no limit
	stops          []string
	logprobs       bool
	topLogprobs    int
	audioFormat    string // empty for a text response
	prediction     string
	moderation     *object
	metadata       *object
	serviceTier    string
	responseFormat string // text, json_object or json_schema
}

// A message is a parsed message of the conversation.
type message struct {
	tree   *object
	role   string
	text   string // of all parts
	images int
	audios []string // base64
	files  int
}

// parseRequest parses a body and validates it as OpenAI does before running the model.
func parseRequest(validate validator, body []byte, s strictness) (*request, error) {
	tree, err := parseObjectBody(validate, body, s)
	if err != nil {
		return nil, err
	}
	result := &request{
		tree:           tree,
		tools:          parseTools(tree),
		stream:         tree.boolean("stream"),
		usage:          tree.object("stream_options").boolean("include_usage"),
		obfuscation:    tree.object("stream_options").boolean("include_obfuscation"),
		choices:        tree.integer("n", 1),
		limit:          tree.integer("max_completion_tokens", tree.integer("max_tokens", 0)),
		logprobs:       tree.boolean("logprobs"),
		topLogprobs:    tree.integer("top_logprobs", 0),
		prediction:     joinText(tree.object("prediction").get("content")),
		moderation:     tree.object("moderation"),
		metadata:       tree.object("metadata"),
		serviceTier:    tree.str("service_tier"),
		responseFormat: tree.object("response_format").str("type"),
	}
	for _, each := range tree.list("messages") {
		obj, _ := each.(*object)
		result.messages = append(result.messages, parseMessage(obj))
	}
	for _, each := range append(tree.list("stop"), tree.str("stop")) {
		if stop, _ := each.(string); stop != "" {
			result.stops = append(result.stops, stop)
		}
	}
	if slices.Contains(tree.list("modalities"), any("audio")) {
		result.audioFormat = tree.object("audio").str("format")
	}
	if err := checkConversation(result.messages); err != nil {
		return nil, err
	}
	return result, checkCombination(result)
}

// parseObjectBody parses a JSON object and validates it.
func parseObjectBody(validate validator, body []byte, s strictness) (*object, error) {
	value, err := parse(body)
	if err != nil {
		return nil, invalid("", "", "The body is not valid JSON: %v.", err)
	}
	tree, ok := value.(*object)
	if !ok {
		return nil, invalid("", "", "The body must be a JSON object, but is %s.", typeName(value))
	}
	return tree, validate(s, "", tree)
}

func parseMessage(tree *object) message {
	result := message{tree: tree, role: tree.str("role"), text: joinText(tree.get("content"))}
	for _, each := range tree.list("content") {
		part, _ := each.(*object)
		switch part.str("type") {
		case "image_url":
			result.images++
		case "input_audio":
			result.audios = append(result.audios, part.object("input_audio").str("data"))
		case "file":
			result.files++
		}
	}
	return result
}

// joinText returns the text of a content, which is a string or a list of parts.
func joinText(content any) string {
	if text, ok := content.(string); ok {
		return text
	}
	parts, _ := content.([]any)
	texts := make([]string, 0, len(parts))
	for _, each := range parts {
		part, _ := each.(*object)
		if kind := part.str("type"); kind == "text" || kind == "refusal" {
			texts = append(texts, part.str(kind))
		}
	}
	return strings.Join(texts, "\n")
}

// checkConversation checks that each tool call of an assistant message has a tool
// message right after it, and that each tool message belongs to a call.
func checkConversation(messages []message) error {
	var callIDs []string // of the last assistant message
	var answeredIDs []string
	var callsPath string // the path of these calls
	settle := func() error {
		for _, id := range callIDs {
			if !slices.Contains(answeredIDs, id) {
				return invalid(callsPath, "", "'%s' has a call '%s' without a tool message. An assistant message with tool calls "+
					"must be followed by a tool message for each tool_call_id.", callsPath, truncate(id, maxQuotedValue))
			}
		}
		return nil
	}
	for i, each := range messages {
		path := fmt.Sprintf("messages[%d]", i)
		if each.role == "tool" {
			id := each.tree.str("tool_call_id")
			switch {
			case callIDs == nil:
				return invalid(path+".role", "",
					"Invalid '%s.role': a tool message must follow an assistant message with tool_calls.", path)
			case !slices.Contains(callIDs, id):
				return invalid(path+".tool_call_id", "",
					"Invalid '%s.tool_call_id': the previous assistant message has no call '%s'.", path, truncate(id, maxQuotedValue))
			}
			answeredIDs = append(answeredIDs, id)
			continue
		}
		if err := settle(); err != nil {
			return err
		}
		callIDs, answeredIDs, callsPath = nil, nil, path+".tool_calls"
		if each.role != "assistant" {
			continue
		}
		for _, call := range each.tree.list("tool_calls") {
			obj, _ := call.(*object)
			callIDs = append(callIDs, obj.str("id"))
		}
		if callIDs == nil && !hasContent(each.tree) {
			return invalid(path+".content", "missing_required_parameter",
				"'%s.content' is required in an assistant message without tool calls.", path)
		}
	}
	return settle()
}

func hasContent(assistant *object) bool {
	for _, name := range []string{"content", "refusal", "audio", "function_call"} {
		if assistant.get(name) != nil {
			return true
		}
	}
	return false
}

// checkCombination rejects parameters that require or exclude each other.
func checkCombination(r *request) error {
	needs := func(param, other string) error {
		return invalid(param, "invalid_value", "'%s' is only allowed together with '%s'.", param, other)
	}
	tree := r.tree
	audio := slices.Contains(tree.list("modalities"), any("audio"))
	switch {
	case tree.object("stream_options") != nil && !r.stream:
		return needs("stream_options", "stream")
	case tree.get("top_logprobs") != nil && !r.logprobs:
		return needs("top_logprobs", "logprobs")
	case tree.get("max_tokens") != nil && tree.get("max_completion_tokens") != nil:
		return invalid("max_tokens", "invalid_value",
			"'max_tokens' and 'max_completion_tokens' are mutually exclusive: use 'max_completion_tokens'.")
	case tree.has("tool_choice") && len(tree.list("tools")) == 0:
		return needs("tool_choice", "tools")
	case tree.has("parallel_tool_calls") && len(tree.list("tools")) == 0:
		return needs("parallel_tool_calls", "tools")
	case tree.has("function_call") && len(tree.list("functions")) == 0:
		return needs("function_call", "functions")
	case audio && tree.object("audio") == nil:
		return invalid("audio", "missing_required_parameter", "'audio' is required when 'modalities' includes \"audio\".")
	case tree.object("audio") != nil && !audio:
		return invalid("audio", "invalid_value", "'audio' is only allowed when 'modalities' includes \"audio\".")
	case r.responseFormat == "json_object" && !slices.ContainsFunc(r.messages, mentionsJSON):
		return invalid("messages", "", "'messages' must contain the word 'json' when 'response_format' is json_object.")
	}
	if err := checkAudioFormat(r); err != nil {
		return err
	}
	return checkToolChoice(r)
}

func mentionsJSON(m message) bool { return strings.Contains(strings.ToLower(m.text), "json") }

// lastUser returns the last user message, or nil.
func (r *request) lastUser() *message {
	for i := range slices.Backward(r.messages) {
		if r.messages[i].role == "user" {
			return &r.messages[i]
		}
	}
	return nil
}
