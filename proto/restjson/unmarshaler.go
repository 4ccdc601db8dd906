package restjson

// Unmarshaler reads the messages of one stream, which repeat themselves: a
// string that stands at the same place in the message before, such as the id and
// the model of a chunk, is not made anew. The zero value is ready. It serves one
// goroutine. It keeps short strings of the last message alive, and a message may
// keep texts of its neighbours alive.
type Unmarshaler struct {
	decoder Decoder
	before  texts
	order   order
}

// Unmarshal reads the next message of the stream, as [Unmarshal] does. After an
// error it may be used again.
func (u *Unmarshaler) Unmarshal(data []byte, m Decodable) error {
	u.before.next = 0
	u.decoder.before, u.decoder.order = &u.before, &u.order
	return u.decoder.unmarshal(data, m)
}

// texts has the first strings of the message before, by their place among its
// strings: messages of a stream have the same members in the same order.
type texts struct {
	texts [8]string // none is escaped
	next  int
}

// repeats reads the string that the decoder stands before, if it is the one that
// came at this place in the message before.
func (t *texts) repeats(d *Decoder, dst *string) bool {
	if t == nil || t.next == len(t.texts) {
		return false
	}
	before := t.texts[t.next]
	start := d.pos + 1
	end := start + len(before)
	if before == "" || d.peek() != '"' || at(d.data, end) != '"' || string(d.data[start:end]) != before {
		return false
	}
	*dst = before
	d.pos = end + 1
	t.next++
	return true
}

// learn keeps a string that did not repeat.
func (t *texts) learn(text string) {
	if t == nil || t.next == len(t.texts) || len(text) > maxShort {
		return
	}
	t.texts[t.next] = text
	t.next++
}
