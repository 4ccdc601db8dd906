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
func readRequest(shape shape, body []byte, c check) (*request, error) {
	tree, err := readObject(shape, body, c)
	if err != nil {
		return nil, err
	}
	result := &request{
		tree:         tree,
		tools:        toolsOf(tree),
		stream:       tree.flag("stream"),
		usage:        tree.object("stream_options").flag("include_usage"),
		obfuscation:  tree.object("stream_options").flag("include_obfuscation"),
		choices:      tree.integer("n", 1),
		limit:        tree.integer("max_completion_tokens", tree.integer("max_tokens", 0)),
		logprobs:     tree.flag("logprobs"),
		topLogprobs:  tree.integer("top_logprobs", 0),
		prediction:   contentText(tree.object("prediction").get("content")),
		moderation:   tree.object("moderation"),
		metadata:     tree.object("metadata"),
		serviceTier:  tree.text("service_tier"),
		answerFormat: tree.object("response_format").text("type"),
	}
	for _, each := range tree.list("messages") {
		given, _ := each.(*object)
		result.messages = append(result.messages, messageOf(given))
	}
	for _, each := range append(tree.list("stop"), tree.text("stop")) {
		if stop, _ := each.(string); stop != "" {
			result.stops = append(result.stops, stop)
		}
	}
	if slices.Contains(tree.list("modalities"), any("audio")) {
		result.audioFormat = tree.object("audio").text("format")
	}
	if err := checkConversation(result.messages); err != nil {
		return nil, err
	}
	return result, checkCombination(result)
}

// readObject parses a body and holds it against a shape.
func readObject(shape shape, body []byte, c check) (*object, error) {
	value, err := parse(body)
	if err != nil {
		return nil, invalid("", "", "The body is not valid JSON: %v.", err)
	}
	tree, ok := value.(*object)
	if !ok {
		return nil, invalid("", "", "The body has to be a JSON object, not %s.", kindOf(value))
	}
	return tree, shape(c, "", tree)
}

func messageOf(tree *object) message {
	result := message{tree: tree, role: tree.text("role"), text: contentText(tree.get("content"))}
	for _, each := range tree.list("content") {
		part, _ := each.(*object)
		switch part.text("type") {
		case "image_url":
			result.images++
		case "input_audio":
			result.audios = append(result.audios, part.object("input_audio").text("data"))
		case "file":
			result.files++
		}
	}
	return result
}

// contentText is the text of a content, which is a string or has parts.
func contentText(content any) string {
	if text, ok := content.(string); ok {
		return text
	}
	parts, _ := content.([]any)
	texts := make([]string, 0, len(parts))
	for _, each := range parts {
		part, _ := each.(*object)
		if kind := part.text("type"); kind == "text" || kind == "refusal" {
			texts = append(texts, part.text(kind))
		}
	}
	return strings.Join(texts, "\n")
}

// checkConversation holds what messages owe to each other: an assistant's tool
// calls are answered by the tool messages right after it, and only they are.
func checkConversation(messages []message) error {
	var asked []string // the ids of the calls that the tool messages may answer
	var answered []string
	var caller string // the path of the message that asked
	settle := func() error {
		for _, id := range asked {
			if !slices.Contains(answered, id) {
				return invalid(caller, "", "'%s' has the call '%s' without an answer: a tool message for each "+
					"tool_call_id has to come right after the assistant's message.", caller, clip(id, maxName))
			}
		}
		return nil
	}
	for i, each := range messages {
		path := fmt.Sprintf("messages[%d]", i)
		if each.role == "tool" {
			id := each.tree.text("tool_call_id")
			switch {
			case asked == nil:
				return invalid(path+".role", "",
					"'%s.role' is tool, which has to follow an assistant's message with tool_calls.", path)
			case !slices.Contains(asked, id):
				return invalid(path+".tool_call_id", "",
					"'%s.tool_call_id' is '%s', which no call of the assistant's message before has.", path, clip(id, maxName))
			}
			answered = append(answered, id)
			continue
		}
		if err := settle(); err != nil {
			return err
		}
		asked, answered, caller = nil, nil, path+".tool_calls"
		if each.role != "assistant" {
			continue
		}
		for _, call := range each.tree.list("tool_calls") {
			given, _ := call.(*object)
			asked = append(asked, given.text("id"))
		}
		if asked == nil && !saysSomething(each.tree) {
			return invalid(path+".content", "missing_required_parameter",
				"'%s.content' is required of an assistant that calls no tool.", path)
		}
	}
	return settle()
}

func saysSomething(assistant *object) bool {
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
