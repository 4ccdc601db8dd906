package client

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxMergeDepth is how many levels of objects and lists are merged. Deeper
// values replace each other, which bounds the time that nesting costs.
const maxMergeDepth = 8

// jsonValue is a JSON value that comes in pieces. The zero value is empty.
//
// Strings concatenate, objects merge by member, and lists append as [jsonList]
// says. Of other values, and of values of different kinds, the last one stays.
// Null replaces nothing.
type jsonValue struct {
	text   []byte // Nil once the value is merged as an object or a list.
	object *jsonObject
	list   *jsonList
}

// add adds a piece of the member with the quoted name. It takes over the piece.
func (v *jsonValue) add(name string, piece []byte, depth int) {
	kind := kindOfJSON(piece)
	switch {
	case kind == 'n' && !v.isEmpty():
	case v.isEmpty() || kind != v.kind():
		*v = jsonValue{text: piece}
	case kind == '"' && (isStatement(name) || name == `"url"` && beginsURL(piece)):
		if len(piece) > len(`""`) {
			v.text = piece
		}
	case kind == '"':
		v.text = append(v.text[:len(v.text)-1], piece[1:]...)
	case kind == '{' && depth < maxMergeDepth:
		v.asObject(depth).addAll(piece, depth+1)
	case kind == '[' && depth < maxMergeDepth:
		v.asList(depth).addAll(piece, depth+1)
	default:
		*v = jsonValue{text: piece}
	}
}

func (v *jsonValue) isEmpty() bool {
	return v.object == nil && v.list == nil && (v.text == nil || kindOfJSON(v.text) == 'n')
}

func (v *jsonValue) kind() byte {
	switch {
	case v.object != nil:
		return '{'
	case v.list != nil:
		return '['
	default:
		return kindOfJSON(v.text)
	}
}

func (v *jsonValue) asObject(depth int) *jsonObject {
	if v.object == nil {
		v.object = new(jsonObject)
		v.object.addAll(v.text, depth+1)
		v.text = nil
	}
	return v.object
}

func (v *jsonValue) asList(depth int) *jsonList {
	if v.list == nil {
		v.list = new(jsonList)
		v.list.addAll(v.text, depth+1)
		v.text = nil
	}
	return v.list
}

func (v *jsonValue) appendTo(b []byte) []byte {
	switch {
	case v.object != nil:
		return v.object.appendTo(b)
	case v.list != nil:
		return v.list.appendTo(b)
	case v.text == nil:
		return append(b, "null"...)
	default:
		return append(b, v.text...)
	}
}

// jsonObject is a JSON object that comes in pieces. Its members are in the order
// in which they came first.
type jsonObject struct {
	members []jsonMember
	places  map[string]int // By name. Nil for few members.
}

type jsonMember struct {
	name  string // Quoted.
	value jsonValue
}

// fewMembers is up to how many members a search costs less than a map.
const fewMembers = 8

// addAll adds the members of an object's text.
func (o *jsonObject) addAll(text []byte, depth int) {
	for name, value := range jsonMembers(text) {
		o.add(name, value, depth)
	}
}

// add adds a piece of a member. A statement that is empty says nothing.
func (o *jsonObject) add(name string, piece []byte, depth int) {
	if isStatement(name) && string(piece) == `""` {
		return
	}
	o.member(name).add(name, piece, depth)
}

// addText adds a piece of a string.
func (o *jsonObject) addText(name string, piece *string) {
	if piece != nil {
		o.add(name, quote(*piece), 0)
	}
}

// replace sets a member that is said as a whole each time. Null and the empty
// string replace nothing.
func (o *jsonObject) replace(name string, value []byte) {
	said := string(value) != "null" && string(value) != `""`
	if !said && (isStatement(name) || o.has(name)) {
		return
	}
	*o.member(name) = jsonValue{text: value}
}

func (o *jsonObject) has(name string) bool { return o.place(name) >= 0 }

func (o *jsonObject) place(name string) int {
	if o.places != nil {
		if place, ok := o.places[name]; ok {
			return place
		}
		return -1
	}
	for i := range o.members {
		if o.members[i].name == name {
			return i
		}
	}
	return -1
}

// member is the value of a member, which is new if there was none. It is valid
// until the next member comes.
func (o *jsonObject) member(name string) *jsonValue {
	place := o.place(name)
	if place < 0 {
		place = len(o.members)
		o.members = append(o.members, jsonMember{name: name})
		if o.places == nil && place == fewMembers {
			o.places = make(map[string]int)
			for i := range o.members {
				o.places[o.members[i].name] = i
			}
		}
		if o.places != nil {
			o.places[name] = place
		}
	}
	return &o.members[place].value
}

// textOf is the text of a member that has one, or nil.
func (o *jsonObject) textOf(name string) []byte {
	if place := o.place(name); place >= 0 {
		return o.members[place].value.text
	}
	return nil
}

// appendTo writes the object without the named members.
func (o *jsonObject) appendTo(b []byte, without ...string) []byte {
	writer := objectWriter{text: append(b, '{')}
	writer.members(o, without...)
	return writer.end()
}

// objectWriter writes a JSON object.
type objectWriter struct {
	text    []byte
	started bool
}

func newObjectWriter() *objectWriter { return &objectWriter{text: []byte{'{'}} }

// name begins a member.
func (w *objectWriter) name(quoted string) {
	if w.started {
		w.text = append(w.text, ',')
	}
	w.started = true
	w.text = append(append(w.text, quoted...), ':')
}

// value writes a member whose value is written already.
func (w *objectWriter) value(quoted string, value []byte) {
	w.name(quoted)
	w.text = append(w.text, value...)
}

// members writes the members of an object without the named ones.
func (w *objectWriter) members(o *jsonObject, without ...string) {
	for i := range o.members {
		if member := &o.members[i]; !slices.Contains(without, member.name) {
			w.name(member.name)
			w.text = member.value.appendTo(w.text)
		}
	}
}

func (w *objectWriter) end() []byte { return append(w.text, '}') }

// jsonList is a JSON list that comes in pieces. An item continues the item of the
// same index and type. An item of text without an index continues the text right
// before it. All other items are new.
type jsonList struct {
	items  []jsonItem
	places map[string]int // By index, and by index and type.
}

type jsonItem struct {
	value jsonValue
	kind  string // The type, quoted, if it has one.
	open  bool   // Whether text may follow: nothing but text came yet.
}

// addAll adds the items of a list's text.
func (l *jsonList) addAll(text []byte, depth int) {
	for value := range jsonItems(text) {
		l.add(value, depth)
	}
}

func (l *jsonList) add(piece []byte, depth int) {
	var index string
	item := jsonItem{value: jsonValue{text: piece}, open: true}
	for name, value := range jsonMembers(piece) {
		switch name {
		case `"index"`:
			index, item.open = string(value), false
		case `"type"`:
			if kindOfJSON(value) == '"' {
				item.kind = string(value)
			}
		case `"text"`, `"thinking"`, `"refusal"`:
		default:
			item.open = false
		}
	}
	place := l.place(index, item.kind)
	if place < 0 {
		place = len(l.items)
		l.items = append(l.items, item)
	} else {
		known := &l.items[place]
		known.value.add("", piece, depth)
		known.open = known.open && item.open
	}
	if index != "" {
		l.remember(index, item.kind, place)
	}
}

// place is the item that a piece continues, or -1.
func (l *jsonList) place(index, kind string) int {
	last := len(l.items) - 1
	if index == "" {
		if last >= 0 && l.items[last].open && l.items[last].kind == kind && isTextual(kind) {
			return last
		}
		return -1
	}
	if place, ok := l.places[index+kind]; ok {
		return place
	}
	if place, ok := l.places[index]; ok && l.items[place].kind == "" {
		l.items[place].kind = kind
		return place
	}
	return -1
}

func (l *jsonList) remember(index, kind string, place int) {
	if l.places == nil {
		l.places = make(map[string]int)
	}
	l.places[index], l.places[index+kind] = place, place
}

func (l *jsonList) appendTo(b []byte) []byte {
	b = append(b, '[')
	for i := range l.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.items[i].value.appendTo(b)
	}
	return append(b, ']')
}

// isTextual reports whether items of a type, one after the other, are one text.
func isTextual(kind string) bool {
	return kind == `"text"` || kind == `"thinking"` || kind == `"refusal"`
}

// isStatement reports whether a string says what a thing is, and so is whole each
// time. Other strings are text, which goes on.
func isStatement(name string) bool {
	switch name {
	case `"role"`, `"type"`, `"id"`, `"index"`, `"object"`, `"format"`, `"name"`, `"status"`, `"finish_reason"`:
		return true
	default:
		return false
	}
}

// beginsURL reports whether a string begins a URL. One that does not goes on with
// one, such as the data of an image.
func beginsURL(quoted []byte) bool {
	return bytes.HasPrefix(quoted, []byte(`"data:`)) || bytes.HasPrefix(quoted, []byte(`"http://`)) || bytes.HasPrefix(quoted, []byte(`"https://`))
}

// kindOfJSON is the first byte of a value. It tells all kinds but numbers apart.
func kindOfJSON(value []byte) byte {
	if len(value) == 0 {
		return 'n'
	}
	return value[0]
}

// jsonMembers are the quoted names and the values of an object's text. Text that
// is not an object, which no server sends, has as many as can be read.
func jsonMembers(text []byte) func(yield func(name string, value []byte) bool) {
	return func(yield func(string, []byte) bool) {
		decoder, ok := within(text, '{')
		for ok && decoder.More() {
			before := decoder.InputOffset()
			token, err := decoder.Token()
			name, isName := token.(string)
			if err != nil || !isName {
				return
			}
			quoted := string(bytes.TrimLeft(text[before:decoder.InputOffset()], " \t\r\n,"))
			if !strings.ContainsRune(name, utf8.RuneError) { // It may have a lone surrogate.
				quoted = string(quote(name))
			}
			var value json.RawMessage
			if decoder.Decode(&value) != nil || !yield(quoted, value) {
				return
			}
		}
	}
}

// jsonItems are the values of a list's text, as far as they can be read.
func jsonItems(text []byte) func(yield func(value []byte) bool) {
	return func(yield func([]byte) bool) {
		decoder, ok := within(text, '[')
		for ok && decoder.More() {
			var value json.RawMessage
			if decoder.Decode(&value) != nil || !yield(value) {
				return
			}
		}
	}
}

// within is a decoder behind the beginning of an object or a list. It is false
// where none begins.
func within(text []byte, opening json.Delim) (*json.Decoder, bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte(opening.String())) {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	_, err := decoder.Token()
	return decoder, err == nil
}

// quote returns a text as a JSON string. What is not UTF-8 is replaced.
func quote(text string) []byte {
	b := append(make([]byte, 0, len(text)+len(`""`)), '"')
	from := 0
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, text[from:i]...)
		from = i + 1
		if c < ' ' {
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		} else {
			b = append(b, '\\', c)
		}
	}
	return append(append(b, text[from:]...), '"')
}

// unquoted is the text of a JSON string. Halves of surrogate pairs that stand
// alone are replaced. It is empty where the value is no string.
func unquoted(value []byte) string {
	var text string
	_ = json.Unmarshal(value, &text)
	return text
}
