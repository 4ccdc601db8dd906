package restjson

import (
	"slices"
	"strconv"
)

// UnaryVariant describes how the response of a unary RPC differs from the messages
// of a stream. Both have a list of items. A member of an item holds the full value
// in the unary response, and another member holds a piece of it in the stream.
type UnaryVariant struct {
	// Procedure is the HTTP path of the unary RPC.
	Procedure string
	// List is the member with the items: `choices`.
	List string
	// Key is the member that identifies an item: `index`.
	Key string
	// Full is the member with the full value: `message`.
	Full string
	// Delta is the member with a piece of it: `delta`.
	Delta string
	// IndexedLists are the lists in a piece whose items have an `index`:
	// `tool_calls`.
	IndexedLists []string
	// Constants are the constants of the unary response.
	Constants []Constant
}

// AppendChunk converts the JSON of a unary response to a single message of the
// stream and appends it: full values become pieces, and the items of indexed lists
// get an index. Everything else is copied. It reports whether some item has a full
// value or there is no item; otherwise data may already be a message of the
// stream. The error is a [*SyntaxError].
func (w *UnaryVariant) AppendChunk(b, data []byte) (_ []byte, isUnary bool, err error) {
	p := chunkConverter{Decoder: Decoder{data: data, lenient: true}, variant: w, out: b, isUnary: true}
	p.skipPreamble()
	if p.peek() != '{' {
		p.fail("expected an object")
	}
	p.message()
	p.space()
	if p.err == "" && p.pos < len(data) {
		p.fail("unexpected data after the value")
	}
	if p.err != "" {
		return b, false, &SyntaxError{Offset: p.errOffset, Path: pathAt(data, p.errOffset), Reason: p.err}
	}
	return append(p.out, data[p.copied:]...), p.isUnary, nil
}

// chunkConverter converts a unary response to a message of a stream.
type chunkConverter struct {
	Decoder

	variant *UnaryVariant
	out     []byte
	copied  int // number of bytes of the data already copied or replaced
	isUnary bool
}

// replace replaces data[start:end] with text.
func (p *chunkConverter) replace(start, end int, text string) {
	if p.err == "" {
		p.out = append(append(p.out, p.data[p.copied:start]...), text...)
		p.copied = end
	}
}

// message converts the outermost object.
func (p *chunkConverter) message() {
	var o ObjectReader
	if !p.Object(&o) {
		return
	}
	for p.Next(&o) {
		name, start := string(p.Key(&o)), p.pos
		if name == p.variant.List && p.peek() == '[' {
			p.items()
			continue
		}
		p.skip()
		for _, c := range p.variant.Constants {
			if name == c.Name && p.err == "" && string(p.data[start:p.pos]) == c.JSON {
				p.replace(start, p.pos, "null") // null is absent: the constant does not apply to the stream
			}
		}
	}
}

// items converts the list of items.
func (p *chunkConverter) items() {
	var a arrayReader
	p.openArray(&a)
	for found := false; p.nextItem(&a); p.isUnary = found {
		found = p.item() || found
	}
}

// item converts an item and reports whether it has a full value. An item that also
// has a piece is not converted.
func (p *chunkConverter) item() bool {
	if !p.itemIsFull() {
		p.skip()
		return false
	}
	var o ObjectReader
	p.Object(&o)
	for p.Next(&o) {
		name := string(p.Key(&o))
		end, _ := closingQuote(p.data, o.member+1)
		switch {
		case name == p.variant.Full && p.peek() == '{':
			p.replace(o.member, end+1, quote(p.variant.Delta))
			p.full()
		case name == p.variant.Delta: // it is null
			p.replace(o.member, end+1, quote(p.variant.Full))
			p.skip()
		default:
			p.skip()
		}
	}
	return true
}

// itemIsFull reports whether the item has one full value and no piece, by looking
// ahead.
func (p *chunkConverter) itemIsFull() bool {
	ahead := p.Decoder
	var o ObjectReader
	if !ahead.Object(&o) {
		return false
	}
	values := 0
	for ahead.Next(&o) {
		switch string(ahead.Key(&o)) {
		case p.variant.Full:
			if ahead.peek() == '{' {
				values++
			}
		case p.variant.Delta:
			if ahead.peek() != 'n' {
				return false
			}
		}
		ahead.skip()
	}
	return values == 1
}

// full converts a full value: it adds an index to the items of its indexed lists.
func (p *chunkConverter) full() {
	var o ObjectReader
	p.Object(&o)
	for p.Next(&o) {
		if !slices.Contains(p.variant.IndexedLists, string(p.Key(&o))) || p.peek() != '[' {
			p.skip()
			continue
		}
		var a arrayReader
		p.openArray(&a)
		for i := 0; p.nextItem(&a); i++ {
			p.addIndex(i)
		}
	}
}

// addIndex adds the index i to an object that does not have one.
func (p *chunkConverter) addIndex(i int) {
	start := p.pos + 1
	var o ObjectReader
	if !p.Object(&o) {
		p.skip()
		return
	}
	hasIndex, empty := false, true
	for p.Next(&o) {
		hasIndex = hasIndex || string(p.Key(&o)) == "index"
		empty = false
		p.skip()
	}
	if hasIndex {
		return
	}
	text := `"index":` + strconv.Itoa(i)
	if !empty {
		text += ","
	}
	p.replace(start, start, text)
}
