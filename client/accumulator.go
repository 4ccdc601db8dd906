package client

import (
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// Accumulator puts the chunks of a stream together to the completion that the
// unary call would have given, with any number of choices and tool calls. Its
// zero value is empty. It is not safe for concurrent use. Its time is linear in
// the size of the chunks.
//
// The message of each choice can go into the next request unchanged. It has the
// role assistant if no chunk gives one.
//
// A stream lacks the metadata of the request, and has the usage only where
// stream_options.include_usage asks for it; so does the completion. Padding is
// left out.
//
// In a delta, strings concatenate, also when they come in extra_json: as one half
// of a surrogate pair does, whose other half is in another chunk. Content that
// comes in parts becomes content_parts, in which text that follows text is one
// part. Members that have no field merge: objects by member, lists by the index
// of their items, or else one list after the other. Of other values the last one
// stays, and null replaces nothing. Outside the deltas, where each chunk repeats
// what it says of the whole, the last value stays that is not empty.
//
// A piece of a tool call continues the call with its id or at its index. A piece
// that has a name and another id begins a call.
type Accumulator struct {
	completion *chatv1.ChatCompletion // Without choices and extra_json. Nil is empty.
	choices    map[int32]*choicePieces
	extra      jsonObject
	added      addedText
}

// Add adds the next chunk. It keeps parts of the chunk, which must not be changed
// afterwards.
func (a *Accumulator) Add(chunk *chatv1.ChatCompletionChunk) {
	if a.completion == nil {
		a.completion = new(chatv1.ChatCompletion)
		a.choices = make(map[int32]*choicePieces)
	}
	whole := a.completion
	replace(&whole.Id, chunk.GetId())
	replace(&whole.Model, chunk.GetModel())
	replace(&whole.ServiceTier, chunk.GetServiceTier())
	replace(&whole.Moderation, chunk.GetModeration())
	if chunk.GetCreated().GetSeconds() != 0 {
		whole.Created = chunk.GetCreated()
	}
	if whole.GetUsage() == nil || counts(chunk.GetUsage()) {
		replace(&whole.Usage, chunk.GetUsage())
	}
	if chunk.GetSystemFingerprint() != "" { //nolint:staticcheck // deprecated, but sent
		whole.SystemFingerprint = chunk.SystemFingerprint //nolint:staticcheck // deprecated, but sent
	}
	for name, value := range jsonMembers([]byte(chunk.GetExtraJson())) {
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

// addMalformed adds the choices of a list that is not one of choices alone.
func (a *Accumulator) addMalformed(choices []byte) {
	for value := range jsonItems(choices) {
		piece := new(chatv1.ChunkChoice)
		if kindOfJSON(value) == '{' && restjson.Unmarshal(value, piece) == nil {
			a.addChoice(piece)
		}
	}
}

func (a *Accumulator) addChoice(piece *chatv1.ChunkChoice) {
	index := piece.GetIndex()
	for name, value := range jsonMembers([]byte(piece.GetExtraJson())) {
		if stated, ok := indexOf(value); ok && name == `"index"` {
			index = stated
		}
	}
	choice := at(a.choices, index)
	choice.content.isShown = index == 0
	choice.add(piece)
}

// Added returns the text that the last chunk added to the first choice: to its
// content, whether that comes in parts or not, and to its refusal. It is what to
// show while the answer is written. A character whose halves are in two chunks
// comes with the second one.
func (a *Accumulator) Added() string { return a.added.text }

// Completion returns what the chunks were until now, as a message of its own.
func (a *Accumulator) Completion() *chatv1.ChatCompletion {
	result := new(chatv1.ChatCompletion)
	if a.completion == nil {
		return result
	}
	// The text is put together of valid values. In those of a chunk that was made
	// by hand, the typed fields remain.
	_ = restjson.Unmarshal(a.extra.appendTo(nil, typedMembers(a.completion)...), result)
	proto.Merge(result, a.completion)
	for _, index := range slices.Sorted(maps.Keys(a.choices)) {
		result.Choices = append(result.Choices, a.choices[index].choice(index))
	}
	return result
}

// typedMembers are the members that are set as typed fields.
func typedMembers(whole *chatv1.ChatCompletion) []string {
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

// counts reports whether a usage has a number that is not zero.
func counts(usage *chatv1.Usage) bool {
	return usage.GetPromptTokens() != 0 || usage.GetCompletionTokens() != 0 || usage.GetTotalTokens() != 0
}

// choicePieces are what is known of a choice.
type choicePieces struct {
	members  jsonObject // Without those below.
	logprobs *chatv1.Logprobs
	message  jsonObject // Without those below.
	content  contentPieces
	calls    callsPieces
	audio    *audioPieces
	function *functionPieces

	logprobsExtra jsonObject
}

func (c *choicePieces) add(piece *chatv1.ChunkChoice) {
	for name, value := range jsonMembers([]byte(piece.GetExtraJson())) {
		c.members.replace(name, value)
	}
	if reason := chatv1.FinishReasonToREST(piece.GetFinishReason()); reason != "" {
		c.members.replace(`"finish_reason"`, []byte(reason))
	}
	if tokens := piece.GetLogprobs(); tokens != nil {
		logprobs := orNew(&c.logprobs)
		logprobs.Content = append(logprobs.Content, tokens.GetContent()...)
		logprobs.Refusal = append(logprobs.Refusal, tokens.GetRefusal()...)
		for name, value := range jsonMembers([]byte(tokens.GetExtraJson())) {
			c.logprobsExtra.replace(name, value)
		}
	}
	if piece.GetDelta() != nil {
		c.addDelta(piece.GetDelta())
	}
}

func (c *choicePieces) addDelta(delta *chatv1.Delta) {
	if role := chatv1.RoleToREST(delta.GetRole()); role != "" {
		c.message.add(`"role"`, []byte(role), 0)
	}
	c.content.addText(delta.Content)
	c.message.addText(`"refusal"`, delta.Refusal)
	if delta.Refusal != nil {
		c.content.show(quote(delta.GetRefusal()))
	}
	for _, call := range delta.GetToolCalls() {
		c.calls.add(call)
	}
	if audio := delta.GetAudio(); audio != nil {
		orNew(&c.audio).add(audio)
	}
	if function := delta.GetFunctionCall(); function != nil { //nolint:staticcheck // deprecated, but sent
		orNew(&c.function).add(function.Name, function.Arguments, function.GetExtraJson())
	}
	for name, value := range jsonMembers([]byte(delta.GetExtraJson())) {
		switch {
		case name == `"content"`:
			c.content.add(value)
		case name == `"tool_calls"`:
			c.calls.addMalformed(value)
		case name == `"refusal"` && kindOfJSON(value) == '"':
			c.content.show(value)
			c.message.add(name, value, 0)
		default:
			c.message.add(name, value, 0)
		}
	}
}

// choice puts a choice together. Its message is read by the codec, so that what
// has no field is where it would be in an answer of the unary call.
func (c *choicePieces) choice(index int32) *chatv1.Choice {
	result := new(chatv1.Choice)
	_ = restjson.Unmarshal(c.members.appendTo(nil, `"index"`, `"delta"`, `"message"`, c.logprobsName()), result)
	result.Index = index
	if c.logprobs != nil {
		logprobs := new(chatv1.Logprobs)
		_ = restjson.Unmarshal(c.logprobsExtra.appendTo(nil), logprobs)
		logprobs.Content, logprobs.Refusal = nil, nil
		proto.Merge(logprobs, c.logprobs)
		result.Logprobs = logprobs
	}
	message := c.messageJSON()
	if whole := c.members.textOf(`"message"`); c.isSilent() && kindOfJSON(whole) == '{' {
		message = whole
	}
	read := new(chatv1.Message)
	_ = restjson.Unmarshal(message, read)
	result.Message = read
	return result
}

// isSilent reports whether the deltas said nothing.
func (c *choicePieces) isSilent() bool {
	return c.content.value.isEmpty() && len(c.calls.calls) == 0 && c.audio == nil && c.function == nil && len(c.message.members) == 0
}

func (c *choicePieces) logprobsName() string {
	if c.logprobs == nil {
		return ""
	}
	return `"logprobs"`
}

func (c *choicePieces) messageJSON() []byte {
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
	writer.members(&c.message, without...)
	return writer.end()
}

// indexOf is an index, which may be written as a string.
func indexOf(value []byte) (int32, bool) {
	text := string(value)
	if kindOfJSON(value) == '"' {
		text = unquoted(value)
	}
	index, err := strconv.ParseInt(text, 10, 32)
	return int32(index), err == nil
}

// replace sets what is said anew.
func replace[T comparable](dst *T, value T) {
	var unsaid T
	if value != unsaid {
		*dst = value
	}
}

// orNew is what a pointer points to, from now on if nothing until now.
func orNew[T any](pointer **T) *T {
	if *pointer == nil {
		*pointer = new(T)
	}
	return *pointer
}

// at is the item of an index, a new one if there is none.
func at[T any](items map[int32]*T, index int32) *T {
	item := items[index]
	if item == nil {
		item = new(T)
		items[index] = item
	}
	return item
}
