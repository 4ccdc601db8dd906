package client

import (
	"bytes"
	"slices"
	"strings"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// toolCallsBuilder assembles the tool calls of a message.
//
// A delta with an index belongs to a call at that index: the one with the same id,
// or else the latest one there. A delta without an index belongs to the call with
// the same id, or else to the latest call. Some upstreams give parallel calls the
// same index or none, so a delta that starts a new call, according to
// [toolCallBuilder.isFollowedBy], starts one regardless of its index.
type toolCallsBuilder struct {
	calls []*toolCallBuilder // in order of arrival
	byKey map[callKey]*toolCallBuilder
	last  *toolCallBuilder
	end   int32 // one more than the largest index
}

// callKey is an index, an id at an index, or an id at any index.
type callKey struct {
	index   int32
	indexed bool
	id      string
}

func (c *toolCallsBuilder) add(piece *chatv1.ToolCallDelta) {
	key := callKey{index: piece.GetIndex(), indexed: piece.Index != nil}
	for name, value := range jsonFields([]byte(piece.GetExtraJson())) {
		if index, ok := indexOf(value); ok && name == `"index"` {
			key.index, key.indexed = index, true
		}
	}
	id := piece.GetId()
	call := c.byKey[callKey{key.index, key.indexed, id}]
	if call == nil || id == "" {
		call = c.last
		if key.indexed {
			call = c.byKey[key]
		}
		if call == nil || call.isFollowedBy(piece) {
			call = c.start(key)
		}
	}
	call.add(piece)
	c.register(call, id)
}

func (c *toolCallsBuilder) start(key callKey) *toolCallBuilder {
	if !key.indexed {
		key.index = c.end
	}
	call := &toolCallBuilder{index: key.index}
	c.calls = append(c.calls, call)
	c.end = max(c.end, key.index+1)
	return call
}

func (c *toolCallsBuilder) register(call *toolCallBuilder, id string) {
	if c.byKey == nil {
		c.byKey = make(map[callKey]*toolCallBuilder)
	}
	c.last = call
	c.byKey[callKey{index: call.index, indexed: true}] = call
	if id != "" {
		c.byKey[callKey{call.index, true, id}] = call
		c.byKey[callKey{id: id}] = call
	}
}

// addMalformed adds the calls of a value that is a single call or a list with other
// values.
func (c *toolCallsBuilder) addMalformed(value []byte) {
	add := func(value []byte) {
		piece := new(chatv1.ToolCallDelta)
		if jsonKind(value) == '{' && restjson.Unmarshal(value, piece) == nil {
			c.add(piece)
		}
	}
	add(value)
	for item := range jsonItems(value) {
		add(item)
	}
}

// appendTo writes the field tool_calls, if there are calls.
func (c *toolCallsBuilder) appendTo(writer *objectWriter) {
	if len(c.calls) == 0 {
		return
	}
	sorted := slices.Clone(c.calls)
	slices.SortStableFunc(sorted, func(a, b *toolCallBuilder) int { return int(int64(a.index) - int64(b.index)) })
	writer.name(`"tool_calls"`)
	for i, call := range sorted {
		writer.text = append(writer.text, "[,"[min(i, 1)])
		writer.text = append(writer.text, call.json()...)
	}
	writer.text = append(writer.text, ']')
}

// toolCallBuilder assembles a tool call.
type toolCallBuilder struct {
	index    int32
	id       string
	fields   jsonObject // except the following
	function *functionBuilder
	custom   *functionBuilder // its arguments are the input
}

// isFollowedBy reports whether a delta with the same key starts another call: it
// has a name and a different id. If one of them has no id, the arguments decide:
// those of the call are complete, and the delta starts new ones, or has a different
// name and none.
func (c *toolCallBuilder) isFollowedBy(piece *chatv1.ToolCallDelta) bool {
	var (
		name, arguments string
		isText          bool
		call            *functionBuilder
	)
	switch function, custom := piece.GetFunction(), piece.GetCustom(); {
	case custom != nil:
		name, call = custom.GetName(), c.custom
		arguments, isText = argumentsOf(custom.GetInput(), custom.GetExtraJson(), `"input"`)
	case function != nil:
		name, call = function.GetName(), c.function
		arguments, isText = argumentsOf(function.GetArguments(), function.GetExtraJson(), `"arguments"`)
	}
	switch {
	case name == "":
		return false
	case c.id != "" && piece.GetId() != "":
		return c.id != piece.GetId()
	case call == nil:
		return c.function != nil || c.custom != nil
	case !isText:
		return call.arguments.isComplete() || call.arguments.value != nil
	case arguments == "":
		return call.arguments.isComplete() && !bytes.Equal(call.name, quote(name))
	default:
		return call.arguments.isComplete() && (arguments[0] == '{' || arguments[0] == '[')
	}
}

// argumentsOf returns the arguments of a delta without leading white space, and
// whether they are a string.
func argumentsOf(text, extraJSON, name string) (start string, isText bool) {
	for member, value := range jsonFields([]byte(extraJSON)) {
		if member != name || jsonKind(value) == 'n' {
			continue
		}
		if jsonKind(value) != '"' {
			return "", false
		}
		text = unquote(value)
	}
	return strings.TrimLeft(text, " \t\r\n"), true
}

func (c *toolCallBuilder) add(piece *chatv1.ToolCallDelta) {
	replace(&c.id, piece.GetId())
	c.fields.addText(`"id"`, piece.Id)
	if kind := chatv1.ToolCallTypeToREST(piece.GetType()); kind != "" {
		c.fields.add(`"type"`, []byte(kind), 0)
	}
	if function := piece.GetFunction(); function != nil {
		getOrNew(&c.function).add(function.Name, function.Arguments, function.GetExtraJson())
	}
	if custom := piece.GetCustom(); custom != nil {
		getOrNew(&c.custom).add(custom.Name, custom.Input, custom.GetExtraJson())
	}
	for name, value := range jsonFields([]byte(piece.GetExtraJson())) {
		if name != `"index"` {
			c.fields.add(name, value, 0)
		}
	}
}

// json returns the call. A call without any fields but a type becomes a function
// or custom tool call without a name.
func (c *toolCallBuilder) json() []byte {
	writer := newObjectWriter()
	writer.fields(&c.fields)
	function, custom := c.function, c.custom
	if function == nil && custom == nil {
		switch string(c.fields.textOf(`"type"`)) {
		case "", `"function"`:
			function = new(functionBuilder)
		case `"custom"`:
			custom = new(functionBuilder)
		}
	}
	if function != nil {
		writer.value(`"function"`, function.json(`"arguments"`))
	}
	if custom != nil {
		writer.value(`"custom"`, custom.json(`"input"`))
	}
	return writer.end()
}

// functionBuilder assembles the call of a function or of a custom tool.
type functionBuilder struct {
	name      []byte // quoted, nil if none
	arguments argumentsBuilder
	extra     jsonObject
}

// add adds a delta. The arguments are named arguments for a function and input for
// a custom tool.
func (f *functionBuilder) add(name, arguments *string, extraJSON string) {
	if name != nil {
		f.addName(quote(*name))
	}
	if arguments != nil {
		f.arguments.add(quote(*arguments))
	}
	for name, value := range jsonFields([]byte(extraJSON)) {
		switch {
		case name == `"name"` && jsonKind(value) == '"':
			f.addName(value)
		case name == `"arguments"`, name == `"input"`:
			f.arguments.add(value)
		default:
			f.extra.add(name, value, 0)
		}
	}
}

// addName adds a name. Upstreams send it once, in every delta, as a growing
// prefix, or in parts.
func (f *functionBuilder) addName(quoted []byte) {
	end := len(f.name) - 1
	if end < 1 || bytes.HasPrefix(quoted, f.name[:end]) {
		f.name = quoted
		return
	}
	f.name = append(f.name[:end], quoted[1:]...)
}

// json returns the call. A missing name or missing arguments are empty strings.
func (f *functionBuilder) json(arguments string) []byte {
	writer := newObjectWriter()
	if !f.extra.has(`"name"`) {
		name := f.name
		if name == nil {
			name = []byte(`""`)
		}
		writer.value(`"name"`, name)
	}
	writer.value(arguments, f.arguments.json())
	writer.fields(&f.extra)
	return writer.end()
}

// argumentsBuilder assembles the arguments of a call: a string, or another value in
// its place.
type argumentsBuilder struct {
	text     []byte // quoted, nil if none
	value    []byte // a value other than a string, which a string replaces
	progress jsonProgress
}

func (a *argumentsBuilder) add(piece []byte) {
	switch {
	case jsonKind(piece) == 'n':
	case jsonKind(piece) != '"':
		a.value = piece
	case a.text == nil:
		a.text = piece
		a.progress.write(unquote(piece))
	default:
		a.text = append(a.text[:len(a.text)-1], piece[1:]...)
		a.progress.write(unquote(piece))
	}
}

// isComplete reports whether the arguments are a complete object or list.
func (a *argumentsBuilder) isComplete() bool {
	return a.progress.isComplete() || len(a.text) <= len(`""`) && len(a.value) > len(`{}`)
}

// json returns the arguments as a JSON string, the form of a request.
func (a *argumentsBuilder) json() []byte {
	switch {
	case len(a.text) <= len(`""`) && a.value != nil:
		return quote(string(a.value))
	case a.text == nil:
		return []byte(`""`)
	default:
		return a.text
	}
}

// jsonProgress detects the end of an object or list that arrives in pieces.
type jsonProgress struct {
	depth                      int
	started, inString, escaped bool
}

func (p *jsonProgress) write(piece string) {
	for i := range len(piece) {
		switch c := piece[i]; {
		case p.escaped:
			p.escaped = false
		case p.inString:
			p.escaped, p.inString = c == '\\', c != '"'
		case c == '"':
			p.inString = true
		case c == '{' || c == '[':
			p.started = true
			p.depth++
		case c == '}' || c == ']':
			p.depth--
		}
	}
}

func (p *jsonProgress) isComplete() bool { return p.started && p.depth == 0 && !p.inString }
