package restjson

import (
	"slices"
	"strconv"
)

// Whole says how the answer of an operation that gives it in one message differs
// from the messages of a stream. Both have a list of items: in the one, a member
// of an item has the answer; in the other, another member has a piece of it.
type Whole struct {
	// Procedure is the path of the RPC whose answer is one message.
	Procedure string
	// List is the member that has the items: `choices`.
	List string
	// Key is the member by which items are told apart: `index`.
	Key string
	// Item and Piece are the members with the answer: `message`, `delta`.
	Item, Piece string
	// Numbered are the lists of an answer whose items have an `index` in a stream.
	Numbered []string
	// Constants are the members of the message that say what it is.
	Constants []Constant
}

// AppendPiece appends the JSON of a whole answer as that of a single message of
// the stream, in which the answers are pieces and their lists are numbered. All
// else stays as it is. It reports whether some item has an answer, or there is no
// item; if not, the JSON may be a message of the stream already. The error is a
// [*SyntaxError].
func (w *Whole) AppendPiece(b, data []byte) (_ []byte, isWhole bool, err error) {
	p := piece{Decoder: Decoder{data: data, lenient: true}, whole: w, out: b, isWhole: true}
	p.begin()
	if p.peek() != '{' {
		p.fail("an object was expected")
	}
	p.message()
	p.space()
	if p.err == "" && p.pos < len(data) {
		p.fail("the value has ended, and more follows")
	}
	if p.err != "" {
		return b, false, &SyntaxError{Offset: p.errAt, Path: pathAt(data, p.errAt), Reason: p.err}
	}
	return append(p.out, data[p.copied:]...), p.isWhole, nil
}

// piece is a whole answer that is being turned into a piece.
type piece struct {
	Decoder

	whole   *Whole
	out     []byte
	copied  int // bytes of the data that out has, or leaves out
	isWhole bool
}

// replace puts a text in the place of data[start:end].
func (p *piece) replace(start, end int, text string) {
	if p.err == "" {
		p.out = append(append(p.out, p.data[p.copied:start]...), text...)
		p.copied = end
	}
}

// message goes through the outermost object.
func (p *piece) message() {
	var o Object
	if !p.Object(&o) {
		return
	}
	for p.Next(&o) {
		name, start := string(p.Key(&o)), p.pos
		if name == p.whole.List && p.peek() == '[' {
			p.items()
			continue
		}
		p.skip()
		for _, c := range p.whole.Constants {
			if name == c.Name && p.err == "" && string(p.data[start:p.pos]) == c.JSON {
				p.replace(start, p.pos, "null") // It is absent, as it says what this is no more.
			}
		}
	}
}

// items goes through the list of items.
func (p *piece) items() {
	var a array
	p.open(&a)
	for some := false; p.elem(&a); p.isWhole = some {
		some = p.item() || some
	}
}

// item goes through an item, and reports whether it has an answer. One that has
// a piece too is left as it is.
func (p *piece) item() bool {
	if !p.itemIsWhole() {
		p.skip()
		return false
	}
	var o Object
	p.Object(&o)
	for p.Next(&o) {
		name := string(p.Key(&o))
		end, _ := closing(p.data, o.member+1)
		switch {
		case name == p.whole.Item && p.peek() == '{':
			p.replace(o.member, end+1, quote(p.whole.Piece))
			p.answer()
		case name == p.whole.Piece: // It is null.
			p.replace(o.member, end+1, quote(p.whole.Item))
			p.skip()
		default:
			p.skip()
		}
	}
	return true
}

// itemIsWhole looks ahead whether the item has one answer, and no piece.
func (p *piece) itemIsWhole() bool {
	ahead := p.Decoder
	var o Object
	if !ahead.Object(&o) {
		return false
	}
	answers := 0
	for ahead.Next(&o) {
		switch string(ahead.Key(&o)) {
		case p.whole.Item:
			if ahead.peek() == '{' {
				answers++
			}
		case p.whole.Piece:
			if ahead.peek() != 'n' {
				return false
			}
		}
		ahead.skip()
	}
	return answers == 1
}

// answer goes through an answer, and numbers its lists.
func (p *piece) answer() {
	var o Object
	p.Object(&o)
	for p.Next(&o) {
		if !slices.Contains(p.whole.Numbered, string(p.Key(&o))) || p.peek() != '[' {
			p.skip()
			continue
		}
		var a array
		p.open(&a)
		for i := 0; p.elem(&a); i++ {
			p.number(i)
		}
	}
}

// number gives the object that begins here the index i, unless it has one.
func (p *piece) number(i int) {
	start := p.pos + 1
	var o Object
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
