package client

import (
	"slices"
	"strconv"
)

// contentPieces are what is known of a message's content: a string, or else a
// list of parts.
type contentPieces struct {
	value jsonValue
	// isShown is whether fresh is collected: the text since the last chunk, as the
	// inside of a JSON string.
	isShown bool
	fresh   []byte
}

func (c *contentPieces) addText(piece *string) {
	if piece != nil {
		c.add(quote(*piece))
	}
}

// show collects the text of a JSON string.
func (c *contentPieces) show(quoted []byte) {
	if c.isShown {
		c.fresh = append(c.fresh, quoted[1:len(quoted)-1]...)
	}
}

// add adds a piece of any kind.
func (c *contentPieces) add(piece []byte) {
	switch kindOfJSON(piece) {
	case 'n':
	case '"':
		c.show(piece)
		if c.value.kind() == '[' {
			c.part(textPart(piece))
			return
		}
		c.value.add(`"content"`, piece, 0)
	case '[':
		for part := range jsonItems(piece) {
			c.addPart(part)
		}
	case '{':
		c.addPart(piece)
	default: // A number or a truth value, which JavaScript would concatenate.
		c.add(quote(string(piece)))
	}
}

func (c *contentPieces) addPart(part []byte) {
	switch kindOfJSON(part) {
	case 'n':
		return
	case '{':
		if text, ok := textOfPart(part); ok {
			c.show(text)
		}
		if !isBlank(part) {
			c.part(part)
		}
	case '"':
		c.show(part)
		c.part(textPart(part))
	default:
		c.addPart(quote(string(part)))
	}
}

// part adds a part. A string that came before is the first one.
func (c *contentPieces) part(part []byte) {
	if c.value.kind() != '[' {
		before := c.value.text
		c.value = jsonValue{list: new(jsonList)}
		if len(before) > len(`""`) {
			c.value.list.add(textPart(before), 0)
		}
	}
	c.value.list.add(part, 0)
}

// isBlank reports whether an object says nothing.
func isBlank(object []byte) bool {
	for _, value := range jsonMembers(object) {
		if kindOfJSON(value) != 'n' {
			return false
		}
	}
	return true
}

func textPart(quoted []byte) []byte {
	return append(append([]byte(`{"type":"text","text":`), quoted...), '}')
}

// textOfPart is the quoted text of a part of that type.
func textOfPart(part []byte) (text []byte, ok bool) {
	isText := true
	for name, value := range jsonMembers(part) {
		switch {
		case name == `"type"`:
			isText = string(value) == `"text"`
		case name == `"text"` && kindOfJSON(value) == '"':
			text = value
		}
	}
	return text, isText && text != nil
}

// addedText is the text that a chunk added.
type addedText struct {
	text string
	half []byte // The first half of a surrogate pair, whose second one may follow.
}

// next takes the text that a chunk added to a choice, or nil for no choice.
func (t *addedText) next(choice *choicePieces) {
	t.text = ""
	if choice == nil || len(choice.content.fresh) == 0 {
		return
	}
	inside := slices.Concat(t.half, choice.content.fresh)
	choice.content.fresh = choice.content.fresh[:0]
	whole := len(inside) - trailingHalf(inside)
	t.text = unquoted([]byte(`"` + string(inside[:whole]) + `"`))
	t.half = append(t.half[:0], inside[whole:]...)
}

// trailingHalf is the size of the escape of a first half of a surrogate pair at
// the end of the inside of a JSON string.
func trailingHalf(inside []byte) int {
	const size = len(`\ud83d`)
	start := len(inside) - size
	if start < 0 || inside[start] != '\\' || inside[start+1] != 'u' {
		return 0
	}
	code, err := strconv.ParseUint(string(inside[start+2:]), 16, 16)
	if err != nil || code < 0xd800 || code >= 0xdc00 {
		return 0
	}
	backslashes := 0
	for start > backslashes && inside[start-1-backslashes] == '\\' {
		backslashes++
	}
	if backslashes%2 == 1 { // The backslash is one of the text.
		return 0
	}
	return size
}
