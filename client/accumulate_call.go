package client

import (
	"bytes"
	"slices"
	"strings"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// callsPieces are what is known of a message's tool calls.
//
// A piece with an index is of a call at that index: the one with its id, or else
// the last one there. A piece without an index is of the call with its id, or
// else of the last call of all. Some servers give all parallel calls the same
// index, or none. So a piece that begins a call, as [callPieces.isFollowedBy]
// tells, begins one wherever it stands.
type callsPieces struct {
	calls  []*callPieces // In the order in which they came.
	places map[callPlace]*callPieces
	last   *callPieces
	end    int32 // The index behind the last one.
}

// callPlace is an index, an id at an index, or an id at any index.
type callPlace struct {
	index   int32
	indexed bool
	id      string
}

func (c *callsPieces) add(piece *chatv1.ToolCallDelta) {
	place := callPlace{index: piece.GetIndex(), indexed: piece.Index != nil}
	for name, value := range jsonMembers([]byte(piece.GetExtraJson())) {
		if index, ok := indexOf(value); ok && name == `"index"` {
			place.index, place.indexed = index, true
		}
	}
	id := piece.GetId()
	call := c.places[callPlace{place.index, place.indexed, id}]
	if call == nil || id == "" {
		call = c.last
		if place.indexed {
			call = c.places[place]
		}
		if call == nil || call.isFollowedBy(piece) {
			call = c.begin(place)
		}
	}
	call.add(piece)
	c.remember(call, id)
}

func (c *callsPieces) begin(place callPlace) *callPieces {
	if !place.indexed {
		place.index = c.end
	}
	call := &callPieces{index: place.index}
	c.calls = append(c.calls, call)
	c.end = max(c.end, place.index+1)
	return call
}

func (c *callsPieces) remember(call *callPieces, id string) {
	if c.places == nil {
		c.places = make(map[callPlace]*callPieces)
	}
	c.last = call
	c.places[callPlace{index: call.index, indexed: true}] = call
	if id != "" {
		c.places[callPlace{call.index, true, id}] = call
		c.places[callPlace{id: id}] = call
	}
}

// addMalformed adds the calls of a value that is not a list of calls alone.
func (c *callsPieces) addMalformed(value []byte) {
	add := func(value []byte) {
		piece := new(chatv1.ToolCallDelta)
		if kindOfJSON(value) == '{' && restjson.Unmarshal(value, piece) == nil {
			c.add(piece)
		}
	}
	add(value)
	for item := range jsonItems(value) {
		add(item)
	}
}

// appendTo writes the member tool_calls, if there are calls.
func (c *callsPieces) appendTo(writer *objectWriter) {
	if len(c.calls) == 0 {
		return
	}
	sorted := slices.Clone(c.calls)
	slices.SortStableFunc(sorted, func(a, b *callPieces) int { return int(int64(a.index) - int64(b.index)) })
	writer.name(`"tool_calls"`)
	for i, call := range sorted {
		writer.text = append(writer.text, "[,"[min(i, 1)])
		writer.text = append(writer.text, call.json()...)
	}
	writer.text = append(writer.text, ']')
}

// callPieces are what is known of a tool call.
type callPieces struct {
	index    int32
	id       string
	members  jsonObject // Without those below.
	function *functionPieces
	custom   *functionPieces // Its arguments are the input.
}

// isFollowedBy reports whether a piece at the call's place begins another call:
// it has a name, and another id. Where one of them has no id, the arguments tell:
// those of the call are whole, and the piece has the beginning of others, or none
// for another name.
func (c *callPieces) isFollowedBy(piece *chatv1.ToolCallDelta) bool {
	var (
		name, arguments string
		isText          bool
		call            *functionPieces
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
		return call.arguments.isWhole() || call.arguments.value != nil
	case arguments == "":
		return call.arguments.isWhole() && !bytes.Equal(call.name, quote(name))
	default:
		return call.arguments.isWhole() && (arguments[0] == '{' || arguments[0] == '[')
	}
}

// argumentsOf are a piece's arguments from their first character on, if they are
// text.
func argumentsOf(text, extraJSON, name string) (start string, isText bool) {
	for member, value := range jsonMembers([]byte(extraJSON)) {
		if member != name || kindOfJSON(value) == 'n' {
			continue
		}
		if kindOfJSON(value) != '"' {
			return "", false
		}
		text = unquoted(value)
	}
	return strings.TrimLeft(text, " \t\r\n"), true
}

func (c *callPieces) add(piece *chatv1.ToolCallDelta) {
	replace(&c.id, piece.GetId())
	c.members.addText(`"id"`, piece.Id)
	if kind := chatv1.ToolCallTypeToREST(piece.GetType()); kind != "" {
		c.members.add(`"type"`, []byte(kind), 0)
	}
	if function := piece.GetFunction(); function != nil {
		orNew(&c.function).add(function.Name, function.Arguments, function.GetExtraJson())
	}
	if custom := piece.GetCustom(); custom != nil {
		orNew(&c.custom).add(custom.Name, custom.Input, custom.GetExtraJson())
	}
	for name, value := range jsonMembers([]byte(piece.GetExtraJson())) {
		if name != `"index"` {
			c.members.add(name, value, 0)
		}
	}
}

// json is the call. One of which nothing is known but its type, if that, is of a
// function or a custom tool without a name.
func (c *callPieces) json() []byte {
	writer := newObjectWriter()
	writer.members(&c.members)
	function, custom := c.function, c.custom
	if function == nil && custom == nil {
		switch string(c.members.textOf(`"type"`)) {
		case "", `"function"`:
			function = new(functionPieces)
		case `"custom"`:
			custom = new(functionPieces)
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

// functionPieces are what is known of a call of a function or a custom tool.
type functionPieces struct {
	name      []byte // Quoted. Nil is none.
	arguments argumentsPieces
	extra     jsonObject
}

// add adds a piece. Arguments of any name are of a function, and input of a
// custom tool.
func (f *functionPieces) add(name, arguments *string, extraJSON string) {
	if name != nil {
		f.addName(quote(*name))
	}
	if arguments != nil {
		f.arguments.add(quote(*arguments))
	}
	for name, value := range jsonMembers([]byte(extraJSON)) {
		switch {
		case name == `"name"` && kindOfJSON(value) == '"':
			f.addName(value)
		case name == `"arguments"`, name == `"input"`:
			f.arguments.add(value)
		default:
			f.extra.add(name, value, 0)
		}
	}
}

// addName adds a piece of the name. Servers send it whole, whole in each piece,
// as a growing prefix, or in parts.
func (f *functionPieces) addName(quoted []byte) {
	known := len(f.name) - 1
	if known < 1 || bytes.HasPrefix(quoted, f.name[:known]) {
		f.name = quoted
		return
	}
	f.name = append(f.name[:known], quoted[1:]...)
}

// json is the call. A name or arguments that never came are empty.
func (f *functionPieces) json(arguments string) []byte {
	writer := newObjectWriter()
	if !f.extra.has(`"name"`) {
		name := f.name
		if name == nil {
			name = []byte(`""`)
		}
		writer.value(`"name"`, name)
	}
	writer.value(arguments, f.arguments.json())
	writer.members(&f.extra)
	return writer.end()
}

// argumentsPieces are the arguments of a call: text, or a value in its place.
type argumentsPieces struct {
	text  []byte // Quoted. Nil is none.
	value []byte // Of another kind than text. Text replaces it.
	seen  jsonProgress
}

func (a *argumentsPieces) add(piece []byte) {
	switch {
	case kindOfJSON(piece) == 'n':
	case kindOfJSON(piece) != '"':
		a.value = piece
	case a.text == nil:
		a.text = piece
		a.seen.read(unquoted(piece))
	default:
		a.text = append(a.text[:len(a.text)-1], piece[1:]...)
		a.seen.read(unquoted(piece))
	}
}

// isWhole reports whether the arguments are complete as they are.
func (a *argumentsPieces) isWhole() bool {
	return a.seen.isWhole() || len(a.text) <= len(`""`) && len(a.value) > len(`{}`)
}

// json is the arguments as the text that a request has.
func (a *argumentsPieces) json() []byte {
	switch {
	case len(a.text) <= len(`""`) && a.value != nil:
		return quote(string(a.value))
	case a.text == nil:
		return []byte(`""`)
	default:
		return a.text
	}
}

// jsonProgress tells when a text that comes in pieces has a whole object or list.
type jsonProgress struct {
	depth                    int
	begun, inString, escaped bool
}

func (p *jsonProgress) read(piece string) {
	for i := range len(piece) {
		switch c := piece[i]; {
		case p.escaped:
			p.escaped = false
		case p.inString:
			p.escaped, p.inString = c == '\\', c != '"'
		case c == '"':
			p.inString = true
		case c == '{' || c == '[':
			p.begun = true
			p.depth++
		case c == '}' || c == ']':
			p.depth--
		}
	}
}

func (p *jsonProgress) isWhole() bool { return p.begun && p.depth == 0 && !p.inString }
