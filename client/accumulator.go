package client

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	chatv1 "github.com/openai-connect/openai-connect/gen/openai/chat/v1"
)

// Accumulator puts the chunks of a stream together to the completion that the
// unary call would have given, with any number of choices and tool calls. Its
// zero value is empty. It is not safe for concurrent use.
//
// A stream lacks the metadata of the request, and has the usage only where
// stream_options.include_usage asks for it; so does the completion. Padding is
// left out.
//
// Of members that have no field, strings of a delta concatenate, as those that
// have one do, and of others the last wins; null never replaces anything. Beside
// the deltas, where each chunk repeats what it says of the whole, the last wins.
type Accumulator struct {
	completion *chatv1.ChatCompletion // Without choices and extra_json. Nil is empty.
	choices    map[int32]*choicePieces
	extra      extraPieces
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
	replace(&whole.Created, chunk.GetCreated())
	replace(&whole.Model, chunk.GetModel())
	replace(&whole.Usage, chunk.GetUsage())
	replace(&whole.ServiceTier, chunk.GetServiceTier())
	replace(&whole.Moderation, chunk.GetModeration())
	replace(&whole.SystemFingerprint, chunk.SystemFingerprint) //nolint:staticcheck // deprecated, but sent
	a.extra.replace(chunk.GetExtraJson())
	for _, piece := range chunk.GetChoices() {
		at(a.choices, piece.GetIndex()).add(piece)
	}
}

// Completion returns what the chunks were until now, as a message of its own.
func (a *Accumulator) Completion() *chatv1.ChatCompletion {
	result := new(chatv1.ChatCompletion)
	if a.completion != nil {
		result = proto.CloneOf(a.completion)
	}
	for _, index := range slices.Sorted(maps.Keys(a.choices)) {
		result.Choices = append(result.Choices, a.choices[index].choice(index))
	}
	a.extra.into(result)
	return result
}

// choicePieces are what is known of a choice.
type choicePieces struct {
	role     chatv1.Role
	content  text
	refusal  text
	finish   chatv1.FinishReason
	logprobs *chatv1.Logprobs
	calls    map[int32]*callPieces
	last     int32 // The call that a piece without an index is of.
	audio    *audioPieces
	function *functionPieces

	extra, messageExtra, logprobsExtra extraPieces
}

func (c *choicePieces) add(piece *chatv1.ChunkChoice) {
	replace(&c.finish, piece.GetFinishReason())
	c.extra.replace(piece.GetExtraJson())
	if tokens := piece.GetLogprobs(); tokens != nil {
		if c.logprobs == nil {
			c.logprobs = new(chatv1.Logprobs)
		}
		c.logprobs.Content = append(c.logprobs.Content, tokens.GetContent()...)
		c.logprobs.Refusal = append(c.logprobs.Refusal, tokens.GetRefusal()...)
		c.logprobsExtra.replace(tokens.GetExtraJson())
	}
	if piece.GetDelta() != nil {
		c.addDelta(piece.GetDelta())
	}
}

func (c *choicePieces) addDelta(delta *chatv1.Delta) {
	replace(&c.role, delta.GetRole())
	c.content.add(delta.Content)
	c.refusal.add(delta.Refusal)
	for _, call := range delta.GetToolCalls() {
		c.addCall(call)
	}
	if audio := delta.GetAudio(); audio != nil {
		orNew(&c.audio).add(audio)
	}
	if function := delta.GetFunctionCall(); function != nil { //nolint:staticcheck // deprecated, but sent
		orNew(&c.function).add(function)
	}
	c.messageExtra.concatenate(delta.GetExtraJson())
}

// addCall finds the call that a piece is of: by its index or, where an upstream
// leaves that out, by whether it has an id that no call has yet.
func (c *choicePieces) addCall(piece *chatv1.ToolCallDelta) {
	if c.calls == nil {
		c.calls = make(map[int32]*callPieces)
	}
	switch {
	case piece.Index != nil:
		c.last = piece.GetIndex()
	case piece.GetId() != "":
		c.last = c.indexOf(piece.GetId())
	}
	at(c.calls, c.last).add(piece)
}

// indexOf is the index of the call with the id, or that of the next one.
func (c *choicePieces) indexOf(id string) (next int32) {
	for index, call := range c.calls {
		if call.id == id {
			return index
		}
		next = max(next, index+1)
	}
	return next
}

func (c *choicePieces) choice(index int32) *chatv1.Choice {
	message := &chatv1.Message{
		Role: c.role, Content: c.content.value(), Refusal: c.refusal.value(), Audio: c.audio.audio(),
		FunctionCall: c.function.call(), //nolint:staticcheck // deprecated, but sent
	}
	for _, index := range slices.Sorted(maps.Keys(c.calls)) {
		message.ToolCalls = append(message.ToolCalls, c.calls[index].call())
	}
	c.messageExtra.into(message)
	result := &chatv1.Choice{Index: index, Message: message, FinishReason: c.finish}
	if c.logprobs != nil {
		logprobs := proto.CloneOf(c.logprobs)
		c.logprobsExtra.into(logprobs)
		result.Logprobs = logprobs
	}
	c.extra.into(result)
	return result
}

// callPieces are what is known of a tool call.
type callPieces struct {
	id       string
	kind     chatv1.ToolCallType
	function *functionPieces
	custom   *functionPieces // Its arguments are the input.
	extra    extraPieces
}

func (c *callPieces) add(piece *chatv1.ToolCallDelta) {
	replace(&c.id, piece.GetId())
	replace(&c.kind, piece.GetType())
	if function := piece.GetFunction(); function != nil {
		orNew(&c.function).add(function)
	}
	if custom := piece.GetCustom(); custom != nil {
		orNew(&c.custom).add(&chatv1.FunctionCallDelta{
			Name: custom.Name, Arguments: custom.Input, ExtraJson: custom.GetExtraJson(),
		})
	}
	c.extra.concatenate(piece.GetExtraJson())
}

func (c *callPieces) call() *chatv1.ToolCall {
	result := &chatv1.ToolCall{Id: c.id}
	switch {
	case c.custom != nil || c.kind == chatv1.ToolCallType_TOOL_CALL_TYPE_CUSTOM:
		custom := new(chatv1.CustomToolCall)
		if c.custom != nil {
			custom.Name, custom.Input = c.custom.name.string(), c.custom.arguments.string()
			c.custom.extra.into(custom)
		}
		result.Tool = &chatv1.ToolCall_Custom{Custom: custom}
	case c.function != nil || c.kind == chatv1.ToolCallType_TOOL_CALL_TYPE_FUNCTION:
		result.Tool = &chatv1.ToolCall_Function{Function: orNew(&c.function).call()}
	}
	c.extra.into(result)
	return result
}

// functionPieces are what is known of a call of a function.
type functionPieces struct {
	name, arguments text
	extra           extraPieces
}

func (f *functionPieces) add(piece *chatv1.FunctionCallDelta) {
	f.name.add(piece.Name)
	f.arguments.add(piece.Arguments)
	f.extra.concatenate(piece.GetExtraJson())
}

func (f *functionPieces) call() *chatv1.FunctionCall {
	if f == nil {
		return nil
	}
	result := &chatv1.FunctionCall{Name: f.name.string(), Arguments: f.arguments.string()}
	f.extra.into(result)
	return result
}

// audioPieces are what is known of an answer's speech.
type audioPieces struct {
	id         string
	expiresAt  *timestamppb.Timestamp
	data       []byte // Nil without any.
	transcript text
	extra      extraPieces
}

func (a *audioPieces) add(piece *chatv1.AudioDelta) {
	replace(&a.id, piece.GetId())
	replace(&a.expiresAt, piece.GetExpiresAt())
	a.data = append(a.data, piece.GetData()...)
	if a.data == nil && piece.Data != nil {
		a.data = []byte{}
	}
	a.transcript.add(piece.Transcript)
	a.extra.concatenate(piece.GetExtraJson())
}

func (a *audioPieces) audio() *chatv1.Audio {
	if a == nil {
		return nil
	}
	result := &chatv1.Audio{
		Id: a.id, ExpiresAt: proto.CloneOf(a.expiresAt), Data: slices.Clone(a.data), Transcript: a.transcript.value(),
	}
	a.extra.into(result)
	return result
}

// text is a string that comes in pieces.
type text struct {
	bytes []byte
	set   bool // Some piece came, if only an empty one.
}

func (t *text) add(piece *string) {
	if piece != nil {
		t.bytes, t.set = append(t.bytes, *piece...), true
	}
}

func (t *text) string() string { return string(t.bytes) }

func (t *text) value() *string {
	if !t.set {
		return nil
	}
	return new(t.string())
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
