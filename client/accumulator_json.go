package client

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxMergeDepth is the maximum depth at which objects and lists are merged. Deeper
// values replace each other, which bounds the cost of nesting.
const maxMergeDepth = 8

// jsonValue is a JSON value that arrives in pieces. The zero value is empty.
//
// Strings are concatenated, objects are merged field by field, and lists as
// described at [jsonList]. For other values and different kinds the last one wins.
// Null replaces nothing.
type jsonValue struct {
	text   []byte // nil once the value is merged as an object or a list
	object *jsonObject
	list   *jsonList
}

// add adds a piece of the field with a quoted name. It takes ownership of piece.
func (v *jsonValue) add(name string, piece []byte, depth int) {
	kind := jsonKind(piece)
	switch {
	case kind == 'n' && !v.isEmpty():
	case v.isEmpty() || kind != v.kind():
		*v = jsonValue{text: piece}
	case kind == '"' && (isReplaced(name) || name == `"url"` && isURLStart(piece)):
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
	return v.object == nil && v.list == nil && (v.text == nil || jsonKind(v.text) == 'n')
}

func (v *jsonValue) kind() byte {
	switch {
	case v.object != nil:
		return '{'
	case v.list != nil:
		return '['
	default:
		return jsonKind(v.text)
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

// jsonObject is a JSON object that arrives in pieces. Its fields are in order of
// first arrival.
type jsonObject struct {
	fields []jsonField
	byName map[string]int // indexes; nil for few fields
}

type jsonField struct {
	name  string // quoted
	value jsonValue
}

// maxLinearSearch is the number of fields up to which a search costs less than a
// map.
const maxLinearSearch = 8

// addAll adds the fields of an encoded object.
func (o *jsonObject) addAll(text []byte, depth int) {
	for name, value := range jsonFields(text) {
		o.add(name, value, depth)
	}
}

// add adds a piece of a field. An empty identifier is ignored.
func (o *jsonObject) add(name string, piece []byte, depth int) {
	if isReplaced(name) && string(piece) == `""` {
		return
	}
	o.field(name).add(name, piece, depth)
}

// addText adds a piece of a string.
func (o *jsonObject) addText(name string, piece *string) {
	if piece != nil {
		o.add(name, quote(*piece), 0)
	}
}

// replace sets a field that is complete each time. Null and the empty string
// replace nothing.
func (o *jsonObject) replace(name string, value []byte) {
	isSet := string(value) != "null" && string(value) != `""`
	if !isSet && (isReplaced(name) || o.has(name)) {
		return
	}
	*o.field(name) = jsonValue{text: value}
}

func (o *jsonObject) has(name string) bool { return o.index(name) >= 0 }

// index returns the index of a field, or -1.
func (o *jsonObject) index(name string) int {
	if o.byName != nil {
		if i, ok := o.byName[name]; ok {
			return i
		}
		return -1
	}
	for i := range o.fields {
		if o.fields[i].name == name {
			return i
		}
	}
	return -1
}

// field returns the value of a field, which it appends if it does not exist. The
// result is valid until the next field is appended.
func (o *jsonObject) field(name string) *jsonValue {
	i := o.index(name)
	if i < 0 {
		i = len(o.fields)
		o.fields = append(o.fields, jsonField{name: name})
		if o.byName == nil && i == maxLinearSearch {
			o.byName = make(map[string]int)
			for i := range o.fields {
				o.byName[o.fields[i].name] = i
			}
		}
		if o.byName != nil {
			o.byName[name] = i
		}
	}
	return &o.fields[i].value
}

// textOf returns the encoded value of a field, or nil if it is missing or merged.
func (o *jsonObject) textOf(name string) []byte {
	if i := o.index(name); i >= 0 {
		return o.fields[i].value.text
	}
	return nil
}

// appendTo appends the encoded object without the named fields.
func (o *jsonObject) appendTo(b []byte, except ...string) []byte {
	writer := objectWriter{text: append(b, '{')}
	writer.fields(o, except...)
	return writer.end()
}

// objectWriter writes a JSON object.
type objectWriter struct {
	text    []byte
	started bool
}

func newObjectWriter() *objectWriter { return &objectWriter{text: []byte{'{'}} }

// name writes the name of a field.
func (w *objectWriter) name(quoted string) {
	if w.started {
		w.text = append(w.text, ',')
	}
	w.started = true
	w.text = append(append(w.text, quoted...), ':')
}

// value writes a field with an encoded value.
func (w *objectWriter) value(quoted string, value []byte) {
	w.name(quoted)
	w.text = append(w.text, value...)
}

// fields writes the fields of an object except the named ones.
func (w *objectWriter) fields(o *jsonObject, except ...string) {
	for i := range o.fields {
		if field := &o.fields[i]; !slices.Contains(except, field.name) {
			w.name(field.name)
			w.text = field.value.appendTo(w.text)
		}
	}
}

func (w *objectWriter) end() []byte { return append(w.text, '}') }

// jsonList is a JSON list that arrives in pieces. An item continues the item with
// the same index and type. A text item without an index continues a text item
// immediately before it. All other items are appended.
type jsonList struct {
	items []jsonItem
	byKey map[string]int // positions by index, and by index and type
}

type jsonItem struct {
	value jsonValue
	kind  string // the quoted type, if there is one
	open  bool   // text may be appended: the item consists of text only
}

// addAll adds the items of an encoded list.
func (l *jsonList) addAll(text []byte, depth int) {
	for value := range jsonItems(text) {
		l.add(value, depth)
	}
}

func (l *jsonList) add(piece []byte, depth int) {
	var index string
	item := jsonItem{value: jsonValue{text: piece}, open: true}
	for name, value := range jsonFields(piece) {
		switch name {
		case `"index"`:
			index, item.open = string(value), false
		case `"type"`:
			if jsonKind(value) == '"' {
				item.kind = string(value)
			}
		case `"text"`, `"thinking"`, `"refusal"`:
		default:
			item.open = false
		}
	}
	position := l.position(index, item.kind)
	if position < 0 {
		position = len(l.items)
		l.items = append(l.items, item)
	} else {
		existing := &l.items[position]
		existing.value.add("", piece, depth)
		existing.open = existing.open && item.open
	}
	if index != "" {
		l.register(index, item.kind, position)
	}
}

// position returns the position of the item that a piece continues, or -1.
func (l *jsonList) position(index, kind string) int {
	last := len(l.items) - 1
	if index == "" {
		if last >= 0 && l.items[last].open && l.items[last].kind == kind && isTextual(kind) {
			return last
		}
		return -1
	}
	if position, ok := l.byKey[index+kind]; ok {
		return position
	}
	if position, ok := l.byKey[index]; ok && l.items[position].kind == "" {
		l.items[position].kind = kind
		return position
	}
	return -1
}

func (l *jsonList) register(index, kind string, position int) {
	if l.byKey == nil {
		l.byKey = make(map[string]int)
	}
	l.byKey[index], l.byKey[index+kind] = position, position
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

// isTextual reports whether consecutive items of a type are joined.
func isTextual(kind string) bool {
	return kind == `"text"` || kind == `"thinking"` || kind == `"refusal"`
}

// isReplaced reports whether a string field is an identifier, which is complete
// each time. Other strings are concatenated.
func isReplaced(name string) bool {
	switch name {
	case `"role"`, `"type"`, `"id"`, `"index"`, `"object"`, `"format"`, `"name"`, `"status"`, `"finish_reason"`:
		return true
	default:
		return false
	}
}

// isURLStart reports whether a string is the start of a URL. Other strings continue
// one, such as the data of an image.
func isURLStart(quoted []byte) bool {
	return bytes.HasPrefix(quoted, []byte(`"data:`)) || bytes.HasPrefix(quoted, []byte(`"http://`)) || bytes.HasPrefix(quoted, []byte(`"https://`))
}

// jsonKind returns the first byte of a value, which identifies all kinds except
// numbers.
func jsonKind(value []byte) byte {
	if len(value) == 0 {
		return 'n'
	}
	return value[0]
}

// jsonFields returns the quoted names and the values of an encoded object. If it is
// invalid, it returns the fields before the error.
func jsonFields(text []byte) func(yield func(name string, value []byte) bool) {
	return func(yield func(string, []byte) bool) {
		decoder, ok := decodeInside(text, '{')
		for ok && decoder.More() {
			before := decoder.InputOffset()
			token, err := decoder.Token()
			name, isName := token.(string)
			if err != nil || !isName {
				return
			}
			quoted := string(bytes.TrimLeft(text[before:decoder.InputOffset()], " \t\r\n,"))
			if !strings.ContainsRune(name, utf8.RuneError) { // It may contain an unpaired surrogate.
				quoted = string(quote(name))
			}
			var value json.RawMessage
			if decoder.Decode(&value) != nil || !yield(quoted, value) {
				return
			}
		}
	}
}

// jsonItems returns the values of an encoded list, up to the first error.
func jsonItems(text []byte) func(yield func(value []byte) bool) {
	return func(yield func([]byte) bool) {
		decoder, ok := decodeInside(text, '[')
		for ok && decoder.More() {
			var value json.RawMessage
			if decoder.Decode(&value) != nil || !yield(value) {
				return
			}
		}
	}
}

// decodeInside returns a decoder positioned after the opening delimiter. It reports
// false if text starts with something else.
func decodeInside(text []byte, opening json.Delim) (*json.Decoder, bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte(opening.String())) {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	_, err := decoder.Token()
	return decoder, err == nil
}

// quote returns text as a JSON string. Invalid UTF-8 is replaced.
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

// unquote returns the text of a JSON string, or an empty string for other values.
// Unpaired surrogates are replaced.
func unquote(value []byte) string {
	var text string
	_ = json.Unmarshal(value, &text)
	return text
}
