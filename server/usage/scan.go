package usage

import (
	"encoding/binary"
	"math/bits"
)

const (
	// maxWord bounds, in bytes, what is kept of a string: the name of a member, or
	// of a model. A longer one is not known.
	maxWord = 256

	// maxCapture bounds, in bytes, what is kept of a value that is to be parsed. A
	// larger one is passed over.
	maxCapture = 16 << 10

	// maxLevels is to which depth the kinds of containers are known. Deeper, only
	// brackets are counted.
	maxLevels = 64
)

// role is what a member means.
type role uint8

const (
	roleNone   role = iota
	roleUsage       // an object: what the answer took
	roleModel       // a string
	roleType        // a string: what an event is
	roleStream      // true or false
	roleText        // a string, or an array of them, that has tokens
	roleNest        // an object, some of whose members count like those around it
)

// expectation is what a JSON text goes on with.
type expectation uint8

const (
	expectValue expectation = iota
	expectValueOrEnd
	expectName
	expectNameOrEnd
	expectColon
	expectNext // a comma, or the end of what is around
	expectAny  // deeper than is looked
)

// scanner reads a JSON text (RFC 8259) in pieces of any size, in constant memory,
// for the few members that matter. It knows where names, values and containers
// begin and end, and stops at what can't be JSON; what a number or a literal is
// made of, and which escapes there are, it leaves to others.
type scanner struct {
	place

	// roleOf tells what the member of a name is for, in an object at a depth of 1
	// or more; nested says that this is at depth 2, within a member of roleNest.
	roleOf func(depth int, nested bool, name []byte) role

	// What was found. Of a text that isn't over it may be read too.
	usage   []byte // the last object of roleUsage, nil without one
	model   []byte // the last of roleModel, empty if it isn't a string of a sane size
	models  int    // how many there were, of any type
	streams bool   // one of roleStream was true
	echoes  bool   // roleType says that the text was told before, or isn't the model's
	text    int64  // bytes of all strings of roleText
	broken  bool   // it is no JSON

	memory *memory // of the texts before, nil for none
	scalar bool    // a number or a literal is under way

	inString bool
	isName   bool
	escape   uint8  // of an escape that is under way, how many bytes came
	code     rune   // what they stand for so far
	high     rune   // the first half of a surrogate pair, 0 without one
	size     int64  // of the string under way, in bytes
	word     []byte // its beginning

	capturing int // the depth of the object that is being kept, 0 without one
	capture   []byte
}

// place is where in a text a scanner is.
type place struct {
	expect  expectation
	depth   int
	objects uint64 // bit d-1: the container at depth d is an object
	texts   uint64 // bit d-1: the strings in the array at depth d are text
	nested  bool   // depth is at least 2, within a member of roleNest
	role    role   // of the value that is next, or under way
}

// reset begins a new text. Memory is used again, and a usage that was found stays.
func (s *scanner) reset() {
	s.model = s.model[:0]
	s.models, s.streams, s.echoes, s.text, s.broken = 0, false, false, 0, false
	s.place, s.scalar = place{}, false
	s.inString, s.escape, s.high, s.capturing, s.capture = false, 0, 0, 0, s.capture[:0]
}

// whole reports whether the text was one JSON value, and is over.
func (s *scanner) whole() bool {
	return !s.broken && s.depth == 0 && s.expect == expectNext && !s.inString
}

// write reads the next piece.
func (s *scanner) write(p []byte) {
	from := 0 // where in p the part begins that is kept
	for i := s.recall(p); i < len(p) && !s.broken; {
		if s.inString {
			i += s.inside(p[i:])
			continue
		}
		c := p[i]
		i++
		if s.scalar {
			if isScalar[c] {
				continue
			}
			s.scalar = false
		}
		switch c {
		case ' ', '\n', '\r', '\t':
		case '"':
			i = s.quote(p, i)
		case ':':
			s.colon()
		case ',':
			s.comma()
		case '{':
			if s.role == roleUsage && s.capturing == 0 && s.expect == expectValue {
				s.capturing, s.capture, from = s.depth+1, s.capture[:0], i-1
			}
			s.open(true)
		case '[':
			s.open(false)
		case '}', ']':
			if s.capturing != 0 && s.capturing == s.depth {
				s.keep(p[from:i])
				s.captured()
			}
			s.end(c == '}')
		default:
			s.must(isScalar[c])
			s.value()
			s.streams = s.streams || s.role == roleStream && c == 't'
			s.counted()
			for i < len(p) && isScalar[p[i]] {
				i++
			}
			s.scalar = i == len(p)
		}
	}
	if s.capturing != 0 {
		s.keep(p[from:])
	}
	s.memory.rest()
}

// isScalar has the bytes of which numbers and literals are made.
var isScalar = func() (set [256]bool) {
	for _, c := range "+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		set[c] = true
	}
	return set
}()

func (s *scanner) must(holds bool) { s.broken = s.broken || !holds }

// value is told that a value begins.
func (s *scanner) value() {
	switch s.expect {
	case expectAny:
	case expectValue, expectValueOrEnd:
		s.expect = expectNext
	default:
		s.broken = true
	}
}

// counted is told that a value begins that is no string.
func (s *scanner) counted() {
	if s.role == roleModel {
		s.models++
		s.model = s.model[:0]
	}
}

func (s *scanner) open(object bool) {
	s.value()
	s.counted()
	s.depth++
	if s.depth > maxLevels {
		s.expect, s.role = expectAny, roleNone
		return
	}
	bit := uint64(1) << (s.depth - 1)
	s.objects &^= bit
	s.texts &^= bit
	if !object {
		s.expect = expectValueOrEnd
		if s.role == roleText {
			s.texts |= bit
		} else {
			s.role = roleNone
		}
		return
	}
	s.objects |= bit
	s.expect = expectNameOrEnd
	if s.depth == 2 {
		s.nested = s.role == roleNest
	}
	s.role = roleNone
}

func (s *scanner) end(object bool) {
	if s.depth == 0 {
		s.broken = true
		return
	}
	if s.depth <= maxLevels {
		allowed := expectValueOrEnd
		if object {
			allowed = expectNameOrEnd
		}
		s.must(object == s.inObject() && (s.expect == expectNext || s.expect == allowed))
	}
	s.depth--
	s.role = roleNone
	if s.depth <= maxLevels {
		s.expect = expectNext
	}
	if s.depth < 2 {
		s.nested = false
	}
}

func (s *scanner) inObject() bool { return s.objects>>(s.depth-1)&1 != 0 }

func (s *scanner) colon() {
	if s.expect != expectAny {
		s.must(s.expect == expectColon)
		s.expect = expectValue
	}
}

func (s *scanner) comma() {
	if s.expect == expectAny {
		return
	}
	s.must(s.expect == expectNext && s.depth > 0)
	if s.broken {
		return
	}
	s.expect, s.role = expectValue, roleNone
	switch {
	case s.inObject():
		s.expect = expectName
	case s.texts>>(s.depth-1)&1 != 0:
		s.role = roleText
	}
}

// quote begins a string, whose first byte is p[n], and returns up to where it has
// read p: to the end of the string if it is there and has no escapes, for most are
// like that, and of the strings that follow, for many do.
func (s *scanner) quote(p []byte, n int) int {
	for ; ; n++ {
		s.isName = s.expect == expectName || s.expect == expectNameOrEnd
		if !s.isName {
			s.value()
		}
		size := plain(p[n:])
		end := n + size
		if end == len(p) || p[end] != '"' {
			s.inString, s.size, s.word = true, 0, s.word[:0]
			return n
		}
		s.stringIs(p[n:end], int64(size))
		n = end + 1
		switch {
		case n == len(p):
			return n
		case s.expect == expectColon && p[n] == ':':
			if s.role == roleText {
				s.remember(p[:n])
			}
			s.expect = expectValue
		case s.expect == expectNext && p[n] == ',':
			s.comma()
		default:
			return n
		}
		if n++; n == len(p) || p[n] != '"' || s.broken {
			return n
		}
	}
}

// plain returns how many bytes of p come before a quote or a backslash.
func plain(p []byte) int {
	const (
		ones   = 0x0101010101010101
		highs  = 0x8080808080808080
		quotes = '"' * ones
		slants = '\\' * ones
	)
	n := 0
	for ; len(p)-n >= 8; n += 8 {
		eight := binary.LittleEndian.Uint64(p[n:])
		quote, slant := eight^quotes, eight^slants
		// The lowest bit that is set is right; those above may be wrong.
		if found := ((quote - ones) &^ quote & highs) | ((slant - ones) &^ slant & highs); found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	for n < len(p) && p[n] != '"' && p[n] != '\\' {
		n++
	}
	return n
}

// stringIs is told a whole string, or its beginning if it has a larger size.
func (s *scanner) stringIs(text []byte, size int64) {
	known := int64(len(text)) == size
	if s.isName {
		s.expect, s.role = expectColon, roleNone
		if known && s.capturing == 0 {
			s.role = s.roleOf(s.depth, s.nested, text)
		}
		return
	}
	switch s.role {
	case roleText:
		s.text += size
	case roleModel:
		s.models++
		s.model = s.model[:0]
		if known && size <= maxWord {
			s.model = append(s.model, text...)
		}
	case roleType:
		s.echoes = isEcho(text)
	default:
	}
}

// keep appends to what is being kept, as far as there is room.
func (s *scanner) keep(p []byte) {
	s.capture = append(s.capture, p[:min(len(p), maxCapture+1-len(s.capture))]...)
}

func (s *scanner) captured() {
	if len(s.capture) <= maxCapture {
		s.usage, s.capture = s.capture, s.usage
	}
	s.memory.rest()
	s.capturing = 0
}
