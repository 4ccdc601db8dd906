package sandbox

import (
	"fmt"
	"slices"
	"strings"
)

// A request is a valid body of POST /v1/chat/completions.
type request struct {
	tree     *object // the whole body
	messages []message
	tools    []tool

	stream      bool
	usage       bool // a stream ends with its usage
	obfuscation bool

	choices      int
	limit        int // most tokens of a choice, 0 for no limit
	stops        []string
	logprobs     bool
	topLogprobs  int
	audioFormat  string // empty for an answer in text
	prediction   string
	moderation   *object
	metadata     *object
	serviceTier  string
	answerFormat string // text, json_object or json_schema
}

// A message is what the answer needs to know of one.
type message struct {
	tree   *object
	role   string
	text   string // the text of all its parts
	images int
	audios []string // base64
	files  int
}

// readRequest validates a body as far as OpenAI would before asking the model.
func parseRequest(validator validator, body []byte, s strictness) (*request, error) {
	tree, err := parseObjectBody(validator, body, s)
	if err != nil {
		return nil, err
	}
	result := &request{
		tree:         tree,
		tools:        parseTools(tree),
		stream:       tree.boolean("stream"),
		usage:        tree.object("stream_options").boolean("include_usage"),
		obfuscation:  tree.object("stream_options").boolean("include_obfuscation"),
		choices:      tree.integer("n", 1),
		limit:        tree.integer("max_completion_tokens", tree.integer("max_tokens", 0)),
		logprobs:     tree.boolean("logprobs"),
		topLogprobs:  tree.integer("top_logprobs", 0),
		prediction:   joinText(tree.object("prediction").get("content")),
		moderation:   tree.object("moderation"),
		metadata:     tree.object("metadata"),
		serviceTier:  tree.str("service_tier"),
		answerFormat: tree.object("response_format").str("type"),
	}
	for _, each := range tree.list("messages") {
		given, _ := each.(*object)
		result.messages = append(result.messages, parseMessage(given))
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

// readObject parses a body and holds it against a shape.
func parseObjectBody(validator validator, body []byte, s strictness) (*object, error) {
	value, err := parse(body)
	if err != nil {
		return nil, invalid("", "", "The body is not valid JSON: %v.", err)
	}
	tree, ok := value.(*object)
	if !ok {
		return nil, invalid("", "", "The body has to be a JSON object, not %s.", typeName(value))
	}
	return tree, validator(s, "", tree)
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

// contentText is the text of a content, which is a string or has parts.
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

// checkConversation holds what messages owe to each other: an assistant's tool
// calls are answered by the tool messages right after it, and only they are.
func checkConversation(messages []message) error {
	var callIDs []string // the ids of the calls that the tool messages may answer
	var answeredIDs []string
	var callsPath string // the path of the message that asked
	settle := func() error {
		for _, id := range callIDs {
			if !slices.Contains(answeredIDs, id) {
				return invalid(callsPath, "", "'%s' has the call '%s' without an answer: a tool message for each "+
					"tool_call_id has to come right after the assistant's message.", callsPath, truncate(id, maxQuotedValue))
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
					"'%s.role' is tool, which has to follow an assistant's message with tool_calls.", path)
			case !slices.Contains(callIDs, id):
				return invalid(path+".tool_call_id", "",
					"'%s.tool_call_id' is '%s', which no call of the assistant's message before has.", path, truncate(id, maxQuotedValue))
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
			given, _ := call.(*object)
			callIDs = append(callIDs, given.str("id"))
		}
		if callIDs == nil && !hasContent(each.tree) {
			return invalid(path+".content", "missing_required_parameter",
				"'%s.content' is required of an assistant that calls no tool.", path)
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

// checkCombination holds what parameters owe to each other.
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
			"'max_tokens' and 'max_completion_tokens' can't both be given; the latter replaced the former.")
	case tree.has("tool_choice") && len(tree.list("tools")) == 0:
		return needs("tool_choice", "tools")
	case tree.has("parallel_tool_calls") && len(tree.list("tools")) == 0:
		return needs("parallel_tool_calls", "tools")
	case tree.has("function_call") && len(tree.list("functions")) == 0:
		return needs("function_call", "functions")
	case audio && tree.object("audio") == nil:
		return invalid("audio", "missing_required_parameter", "'audio' is required when 'modalities' has \"audio\".")
	case tree.object("audio") != nil && !audio:
		return invalid("audio", "invalid_value", "'audio' is only allowed when 'modalities' has \"audio\".")
	case r.answerFormat == "json_object" && !slices.ContainsFunc(r.messages, mentionsJSON):
		return invalid("messages", "", "'messages' have to ask for json, in that word, "+
			"when 'response_format' is json_object.")
	}
	if err := checkAudioFormat(r); err != nil {
		return err
	}
	return checkToolChoice(r)
}

func mentionsJSON(m message) bool { return strings.Contains(strings.ToLower(m.text), "json") }

// lastUser is the last message of a user, or nil.
func (r *request) lastUser() *message {
	for i := range slices.Backward(r.messages) {
		if r.messages[i].role == "user" {
			return &r.messages[i]
		}
	}
	return nil
}
