package client

import (
	"slices"
	"strconv"
)

// contentBuilder assembles the content of a message: a string or a list of parts.
type contentBuilder struct {
	value jsonValue
	// recording enables the recording of the text that a chunk adds, as the contents
	// of a JSON string.
	recording bool
	added     []byte
}

func (c *contentBuilder) addText(piece *string) {
	if piece != nil {
		c.add(quote(*piece))
	}
}

// record records the text of a JSON string.
func (c *contentBuilder) record(quoted []byte) {
	if c.recording {
		c.added = append(c.added, quoted[1:len(quoted)-1]...)
	}
}

// add adds a JSON value of any kind.
func (c *contentBuilder) add(piece []byte) {
	switch jsonKind(piece) {
	case 'n':
	case '"':
		c.record(piece)
		if c.value.kind() == '[' {
			c.appendPart(textPart(piece))
			return
		}
		c.value.add(`"content"`, piece, 0)
	case '[':
		for part := range jsonItems(piece) {
			c.addPart(part)
		}
	case '{':
		c.addPart(piece)
	default: // OpenAI's JavaScript SDK concatenates numbers and Booleans as well.
		c.add(quote(string(piece)))
	}
}

func (c *contentBuilder) addPart(part []byte) {
	switch jsonKind(part) {
	case 'n':
		return
	case '{':
		if text, ok := textOfPart(part); ok {
			c.record(text)
		}
		if !isEmptyObject(part) {
			c.appendPart(part)
		}
	case '"':
		c.record(part)
		c.appendPart(textPart(part))
	default:
		c.addPart(quote(string(part)))
	}
}

// appendPart appends a part. A string that precedes it becomes the first part.
func (c *contentBuilder) appendPart(part []byte) {
	if c.value.kind() != '[' {
		before := c.value.text
		c.value = jsonValue{list: new(jsonList)}
		if len(before) > len(`""`) {
			c.value.list.add(textPart(before), 0)
		}
	}
	c.value.list.add(part, 0)
}

// isEmptyObject reports whether all fields of an object are null.
func isEmptyObject(object []byte) bool {
	for _, value := range jsonFields(object) {
		if jsonKind(value) != 'n' {
			return false
		}
	}
	return true
}

func textPart(quoted []byte) []byte {
	return append(append([]byte(`{"type":"text","text":`), quoted...), '}')
}

// textOfPart returns the quoted text of a text part.
func textOfPart(part []byte) (text []byte, ok bool) {
	isText := true
	for name, value := range jsonFields(part) {
		switch {
		case name == `"type"`:
			isText = string(value) == `"text"`
		case name == `"text"` && jsonKind(value) == '"':
			text = value
		}
	}
	return text, isText && text != nil
}

// addedText is the text that the last chunk added.
type addedText struct {
	text      string
	surrogate []byte // an escaped high surrogate, to precede the next text
}

// next takes the recorded text of a choice, which may be nil.
func (t *addedText) next(choice *choiceBuilder) {
	t.text = ""
	if choice == nil || len(choice.content.added) == 0 {
		return
	}
	contents := slices.Concat(t.surrogate, choice.content.added)
	choice.content.added = choice.content.added[:0]
	end := len(contents) - trailingSurrogate(contents)
	t.text = unquote([]byte(`"` + string(contents[:end]) + `"`))
	t.surrogate = append(t.surrogate[:0], contents[end:]...)
}

// trailingSurrogate returns the length of an escaped high surrogate at the end of
// the contents of a JSON string, or 0.
func trailingSurrogate(contents []byte) int {
	const size = len(`\ud83d`)
	start := len(contents) - size
	if start < 0 || contents[start] != '\\' || contents[start+1] != 'u' {
		return 0
	}
	code, err := strconv.ParseUint(string(contents[start+2:]), 16, 16)
	if err != nil || code < 0xd800 || code >= 0xdc00 {
		return 0
	}
	backslashes := 0
	for start > backslashes && contents[start-1-backslashes] == '\\' {
		backslashes++
	}
	if backslashes%2 == 1 { // an escaped backslash, not an escape
		return 0
	}
	return size
}
