package restjson

// Unmarshaler reads the messages of one stream, which repeat themselves: a
// string that stands at the same place in the message before, such as the id and
// the model of a chunk, is not made anew. The zero value is ready. It serves one
// goroutine. It keeps short strings of the last message alive, and a message may
// keep texts of its neighbours alive.
type Unmarshaler struct {
	decoder Decoder
	before  texts
}

// Unmarshal reads the next message of the stream, as [Unmarshal] does. After an
// error it may be used again.
func (u *Unmarshaler) Unmarshal(data []byte, m Decodable) error {
	u.before.next = 0
	u.decoder.before = &u.before
	return u.decoder.unmarshal(data, m)
}

// maxRepeated bounds how long a string is that repeats: an id, a model.
const maxRepeated = 64

// texts has the first strings of the message before, by their place among its
// strings: messages of a stream have the same members in the same order.
type texts struct {
	texts [8]string
	next  int
}

// text is the string of these bytes, which are the message's next.
func (t *texts) text(text []byte) string {
	if t.next == len(t.texts) || len(text) > maxRepeated {
		return string(text)
	}
	before := &t.texts[t.next]
	t.next++
	if *before != string(text) {
		*before = string(text)
	}
	return *before
}
