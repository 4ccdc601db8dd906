package restjson

// Unmarshaler reads the messages of one stream. It reuses strings that repeat at
// the same position in consecutive messages, such as the ID and the model of
// chunks. The zero value is ready to use. It is not safe for concurrent use. It
// keeps short strings of the last message alive, and a message may keep strings of
// adjacent messages alive.
type Unmarshaler struct {
	decoder Decoder
	repeat  interner
	order   memberOrder
}

// Unmarshal reads the next message of the stream like [Unmarshal]. It may be called
// again after an error.
func (u *Unmarshaler) Unmarshal(data []byte, m Decodable) error {
	u.repeat.next = 0
	u.decoder.repeat, u.decoder.order = &u.repeat, &u.order
	return u.decoder.unmarshal(data, m)
}

// interner holds the first strings of the previous message, by position: messages
// of a stream have the same members in the same order.
type interner struct {
	strings [8]string // without escapes
	next    int
}

// reuse reads the next string if it is equal to the string at its position in the
// previous message.
func (t *interner) reuse(d *Decoder, dst *string) bool {
	if t == nil || t.next == len(t.strings) {
		return false
	}
	previous := t.strings[t.next]
	start := d.pos + 1
	end := start + len(previous)
	if previous == "" || d.peek() != '"' || byteAt(d.data, end) != '"' || string(d.data[start:end]) != previous {
		return false
	}
	*dst = previous
	d.pos = end + 1
	t.next++
	return true
}

// learn records a string that did not repeat.
func (t *interner) learn(s string) {
	if t == nil || t.next == len(t.strings) || len(s) > maxShort {
		return
	}
	t.strings[t.next] = s
	t.next++
}
