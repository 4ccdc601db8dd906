package client

import (
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// Accumulator assembles the chunks of a stream into the completion that the unary
// call would have returned, with any number of choices and tool calls. The zero
// value is ready to use. An Accumulator is not safe for concurrent use. It takes time
// linear in the total size of the chunks.
//
// The message of each choice can be appended to the next request unchanged. Its
// role is assistant if no chunk contains a role.
//
// A stream does not contain the request's metadata field, and contains usage only
// with stream_options.include_usage; the same is true of the completion. Obfuscation
// padding is dropped.
//
// Strings of a delta are concatenated, including strings in extra_json, such as the
// halves of a surrogate pair in two chunks. Content that arrives in parts becomes
// content_parts; consecutive text parts are joined. Fields unknown to the schema
// are merged: objects field by field, lists by the index of their items or else
// appended. Of other values, the last one wins, but null replaces nothing. Fields
// outside the deltas repeat in every chunk; their last non-empty value wins.
//
// A tool call delta continues the call with the same id or index. A delta with a
// name and a new id starts a new call, even at an index already in use.
type Accumulator struct {
	completion *chatv1.ChatCompletion // without choices and extra_json; nil if empty
	choices    map[int32]*choiceBuilder
	extra      jsonObject
	added      addedText
}

// Add adds the next chunk. The chunk must not be modified afterwards.
func (a *Accumulator) Add(chunk *chatv1.ChatCompletionChunk) {
	if a.completion == nil {
		a.completion = new(chatv1.ChatCompletion)
		a.choices = make(map[int32]*choiceBuilder)
	}
	whole := a.completion
	replace(&whole.Id, chunk.GetId())
	replace(&whole.Model, chunk.GetModel())
	replace(&whole.ServiceTier, chunk.GetServiceTier())
	replace(&whole.Moderation, chunk.GetModeration())
	if chunk.GetCreated().GetSeconds() != 0 {
		whole.Created = chunk.GetCreated()
	}
	if whole.GetUsage() == nil || hasTokens(chunk.GetUsage()) {
		replace(&whole.Usage, chunk.GetUsage())
	}
	if chunk.GetSystemFingerprint() != "" { //nolint:staticcheck // deprecated, but sent
		whole.SystemFingerprint = chunk.SystemFingerprint //nolint:staticcheck // deprecated, but sent
	}
	for name, value := range jsonFields([]byte(chunk.GetExtraJson())) {
		if name == `"choices"` {
			a.addMalformed(value)
		} else {
			a.extra.replace(name, value)
		}
	}
	for _, piece := range chunk.GetChoices() {
		a.addChoice(piece)
	}
	a.added.next(a.choices[0])
}

// addMalformed adds the valid choices from a list that also contains other values.
func (a *Accumulator) addMalformed(choices []byte) {
	for value := range jsonItems(choices) {
		piece := new(chatv1.ChunkChoice)
		if jsonKind(value) == '{' && restjson.Unmarshal(value, piece) == nil {
			a.addChoice(piece)
		}
	}
}

func (a *Accumulator) addChoice(piece *chatv1.ChunkChoice) {
	index := piece.GetIndex()
	for name, value := range jsonFields([]byte(piece.GetExtraJson())) {
		if stated, ok := indexOf(value); ok && name == `"index"` {
			index = stated
		}
	}
	choice := at(a.choices, index)
	choice.content.recording = index == 0
	choice.add(piece)
}

// Added returns the text that the last chunk added to the first choice, for
// incremental display: content (a string or parts) and refusal. A character split
// across two chunks is returned with the second one.
func (a *Accumulator) Added() string { return a.added.text }

// Completion returns the completion so far, as a new message.
func (a *Accumulator) Completion() *chatv1.ChatCompletion {
	result := new(chatv1.ChatCompletion)
	if a.completion == nil {
		return result
	}
	// The JSON consists of valid values unless a caller constructed a chunk with
	// invalid extra_json. The typed fields are kept in this case.
	_ = restjson.Unmarshal(a.extra.appendTo(nil, typedFields(a.completion)...), result)
	proto.Merge(result, a.completion)
	for _, index := range slices.Sorted(maps.Keys(a.choices)) {
		result.Choices = append(result.Choices, a.choices[index].choice(index))
	}
	return result
}

// typedFields returns "choices" and the names of the set fields of whole, all quoted.
func typedFields(whole *chatv1.ChatCompletion) []string {
	names := []string{`"choices"`}
	for name, set := range map[string]bool{
		`"id"`: whole.GetId() != "", `"created"`: whole.GetCreated() != nil, `"model"`: whole.GetModel() != "",
		`"usage"`: whole.GetUsage() != nil, `"service_tier"`: whole.GetServiceTier() != 0, `"moderation"`: whole.GetModeration() != nil,
		`"system_fingerprint"`: whole.SystemFingerprint != nil, //nolint:staticcheck // deprecated, but sent
	} {
		if set {
			names = append(names, name)
		}
	}
	return names
}

// hasTokens reports whether usage has a non-zero token count.
func hasTokens(usage *chatv1.Usage) bool {
	return usage.GetPromptTokens() != 0 || usage.GetCompletionTokens() != 0 || usage.GetTotalTokens() != 0
}

// choiceBuilder assembles a choice.
type choiceBuilder struct {
	fields   jsonObject // except the following
	logprobs *chatv1.Logprobs
	message  jsonObject // except the following
	content  contentBuilder
	calls    toolCallsBuilder
	audio    *audioBuilder
	function *functionBuilder

	logprobsExtra jsonObject
}

func (c *choiceBuilder) add(piece *chatv1.ChunkChoice) {
	for name, value := range jsonFields([]byte(piece.GetExtraJson())) {
		c.fields.replace(name, value)
	}
	if reason := chatv1.FinishReasonToREST(piece.GetFinishReason()); reason != "" {
		c.fields.replace(`"finish_reason"`, []byte(reason))
	}
	if tokens := piece.GetLogprobs(); tokens != nil {
		logprobs := getOrNew(&c.logprobs)
		logprobs.Content = append(logprobs.Content, tokens.GetContent()...)
		logprobs.Refusal = append(logprobs.Refusal, tokens.GetRefusal()...)
		for name, value := range jsonFields([]byte(tokens.GetExtraJson())) {
			c.logprobsExtra.replace(name, value)
		}
	}
	if piece.GetDelta() != nil {
		c.addDelta(piece.GetDelta())
	}
}

func (c *choiceBuilder) addDelta(delta *chatv1.Delta) {
	if role := chatv1.RoleToREST(delta.GetRole()); role != "" {
		c.message.add(`"role"`, []byte(role), 0)
	}
	c.content.addText(delta.Content)
	c.message.addText(`"refusal"`, delta.Refusal)
	if delta.Refusal != nil {
		c.content.record(quote(delta.GetRefusal()))
	}
	for _, call := range delta.GetToolCalls() {
		c.calls.add(call)
	}
	if audio := delta.GetAudio(); audio != nil {
		getOrNew(&c.audio).add(audio)
	}
	if function := delta.GetFunctionCall(); function != nil { //nolint:staticcheck // deprecated, but sent
		getOrNew(&c.function).add(function.Name, function.Arguments, function.GetExtraJson())
	}
	for name, value := range jsonFields([]byte(delta.GetExtraJson())) {
		switch {
		case name == `"content"`:
			c.content.add(value)
		case name == `"tool_calls"`:
			c.calls.addMalformed(value)
		case name == `"refusal"` && jsonKind(value) == '"':
			c.content.record(value)
			c.message.add(name, value, 0)
		default:
			c.message.add(name, value, 0)
		}
	}
}

// choice returns the assembled choice. The codec decodes the message, so that
// unknown fields are placed as in a unary response.
func (c *choiceBuilder) choice(index int32) *chatv1.Choice {
	result := new(chatv1.Choice)
	_ = restjson.Unmarshal(c.fields.appendTo(nil, `"index"`, `"delta"`, `"message"`, c.logprobsName()), result)
	result.Index = index
	if c.logprobs != nil {
		logprobs := new(chatv1.Logprobs)
		_ = restjson.Unmarshal(c.logprobsExtra.appendTo(nil), logprobs)
		logprobs.Content, logprobs.Refusal = nil, nil
		proto.Merge(logprobs, c.logprobs)
		result.Logprobs = logprobs
	}
	message := c.messageJSON()
	if whole := c.fields.textOf(`"message"`); c.isEmpty() && jsonKind(whole) == '{' {
		message = whole
	}
	read := new(chatv1.Message)
	_ = restjson.Unmarshal(message, read)
	result.Message = read
	return result
}

// isEmpty reports whether all deltas were empty.
func (c *choiceBuilder) isEmpty() bool {
	return c.content.value.isEmpty() && len(c.calls.calls) == 0 && c.audio == nil && c.function == nil && len(c.message.fields) == 0
}

func (c *choiceBuilder) logprobsName() string {
	if c.logprobs == nil {
		return ""
	}
	return `"logprobs"`
}

func (c *choiceBuilder) messageJSON() []byte {
	writer := newObjectWriter()
	if !c.message.has(`"role"`) {
		writer.value(`"role"`, []byte(chatv1.RoleToREST(chatv1.Role_ROLE_ASSISTANT)))
	}
	if content := &c.content.value; !content.isEmpty() {
		writer.name(`"content"`)
		writer.text = content.appendTo(writer.text)
	}
	c.calls.appendTo(writer)
	without := make([]string, 0, 2)
	if c.audio != nil {
		writer.value(`"audio"`, c.audio.json())
		without = append(without, `"audio"`)
	}
	if c.function != nil {
		writer.value(`"function_call"`, c.function.json(`"arguments"`))
		without = append(without, `"function_call"`)
	}
	writer.fields(&c.message, without...)
	return writer.end()
}

// indexOf parses the JSON value of an index, which is a number or a numeric string.
func indexOf(value []byte) (int32, bool) {
	text := string(value)
	if jsonKind(value) == '"' {
		text = unquote(value)
	}
	index, err := strconv.ParseInt(text, 10, 32)
	return int32(index), err == nil
}

// replace sets dst to value unless value is zero.
func replace[T comparable](dst *T, value T) {
	var zero T
	if value != zero {
		*dst = value
	}
}

// getOrNew returns *pointer, after allocating a value for it if it is nil.
func getOrNew[T any](pointer **T) *T {
	if *pointer == nil {
		*pointer = new(T)
	}
	return *pointer
}

// at returns the item at an index, allocated on first use.
func at[T any](items map[int32]*T, index int32) *T {
	item := items[index]
	if item == nil {
		item = new(T)
		items[index] = item
	}
	return item
}
