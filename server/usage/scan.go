package usage

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	// maxWord bounds, in bytes, what is kept of a string: the name of a member, or
	// of a model. A longer one is not known.
	maxWord = 256

	// maxLevels is to which depth the kinds of containers are known. Deeper, only
	// brackets are counted.
	maxLevels = 64

	// maxRoles is to which depth the members of containers are told apart.
	maxRoles = 16
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

	// roleOf tells what the member of a name is for, by what the object is.
	roleOf func(around role, name []byte) role

	// finder, unless nil, is told of the structure of a request.
	finder *modelFinder

	// What was found. Of a text that isn't over it may be read too.
	told    Usage  // by the usage objects, of this text and those before
	more    bool   // this text told more of what was written
	model   []byte // the last of roleModel, empty if it isn't a string of a sane size
	models  int    // how many there were, of any type
	streams bool   // one of roleStream was true
	last    bool   // roleType or roleDone says that nothing follows this text
	echoes  bool   // roleType says that the text was told before, or isn't the model's
	broken  bool   // it is no JSON

	said   [voices]int64     // what the strings of roleText cost, and those of each of thoughts
	states [voices]textState // where each ended
	begun  uint8             // bit i: this text has a string that counts in said[i]

	spoken     bool  // the root's member "input" is to be spoken
	characters int64 // that it has

	scalar bool // a number or a literal is under way

	inString bool
	isName   bool
	escape   uint8  // of an escape that is under way, how many bytes came
	code     rune   // what they stand for so far
	high     rune   // the first half of a surrogate pair, 0 without one
	size     int64  // of the string under way, in bytes
	word     []byte // its beginning, or a number's that is under way

	report *report // of the usage object under way; nil before the first
}

// place is where in a text a scanner is.
type place struct {
	expect  expectation
	depth   int
	objects uint64         // bit d-1: the container at depth d is an object
	around  [maxRoles]role // at d-1: of the container at depth d
	role    role           // of the value that is next, or under way
}

// reset begins a new text. Memory is used again, and what was told of usage stays. The
// text of roleText goes on where that of the text before ended.
func (s *scanner) reset() {
	s.model = s.model[:0]
	s.models, s.streams, s.echoes, s.last, s.more, s.broken = 0, false, false, false, false, false
	s.place, s.scalar = place{}, false
	s.inString, s.escape, s.high, s.begun = false, 0, 0, 0
	s.said = [voices]int64{}
}

// whole reports whether the text was one JSON value, and is over.
func (s *scanner) whole() bool {
	return !s.broken && s.depth == 0 && s.expect == expectNext && !s.inString
}

// between reports whether no value is under way: none has begun, or it is over.
func (s *scanner) between() bool {
	return s.whole() || !s.broken && s.depth == 0 && s.expect == expectValue
}

// write reads the next piece.
func (s *scanner) write(p []byte) {
	for len(p) > 0 && !s.broken {
		p = p[s.next(p):]
	}
}

// next reads the next piece, up to where the text's only object or array ends, and
// returns how much of p that is.
func (s *scanner) next(p []byte) int {
	i := 0
	for i < len(p) && !s.broken {
		if s.inString {
			i += s.inside(p[i:])
			continue
		}
		c := p[i]
		if s.scalar && s.goesOn(c) {
			i++
			continue
		}
		i++
		switch c {
		case ' ', '\n', '\r', '\t':
		case '"':
			i = s.quote(p, i)
		case ':':
			s.colon()
		case ',':
			s.comma()
		case '{', '[':
			s.open(c == '{')
		case '}', ']':
			s.end(c == '}')
			if s.depth == 0 {
				return i
			}
		default:
			i = s.literal(p, i)
		}
	}
	return i
}

// literal begins a number or a literal, whose first byte is p[n-1], and returns up to
// where it has read p.
func (s *scanner) literal(p []byte, n int) int {
	first := p[n-1]
	s.must(isScalar[first])
	s.value()
	s.streams = s.streams || s.role == roleStream && first == 't'
	s.last = s.last || s.role == roleDone && first == 't'
	s.counted()
	if s.finder != nil {
		s.finder.scalar(s.depth, first)
	}
	if s.role.isText() && isDigit(first) {
		s.said[s.voice()] += hundredth // of a text that is a list of tokens
	}
	start := n - 1
	for n < len(p) && isScalar[p[n]] {
		n++
	}
	s.scalar = n == len(p)
	switch {
	case s.role < roleCount:
	case s.scalar:
		s.word = append(s.word[:0], p[start:min(n, start+maxNumber+1)]...)
	default:
		s.number(p[start:n])
	}
	return n
}

// goesOn reads on in a number or a literal that came in pieces, and reports whether c
// is a part of it.
func (s *scanner) goesOn(c byte) bool {
	s.scalar = isScalar[c]
	switch {
	case s.role < roleCount:
	case !s.scalar:
		s.number(s.word)
	case len(s.word) <= maxNumber:
		s.word = append(s.word, c)
	}
	return s.scalar
}

// number notes the number of a counter.
func (s *scanner) number(text []byte) {
	c := counter(s.role - roleCount)
	if s.within() >= roleUsage {
		s.report.set(c, text)
		return
	}
	var alone report
	alone.set(c, text)
	s.tell(alone.usage())
}

// tell notes what was told of usage.
func (s *scanner) tell(u Usage) {
	told, more := s.told.merge(u)
	s.told, s.more = told, s.more || more
}

// within is the role of the container under way.
func (s *scanner) within() role {
	if s.depth == 0 || s.depth > maxRoles {
		return roleNone
	}
	return s.around[s.depth-1]
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
	if s.finder != nil {
		s.finder.open(s.depth, object)
	}
	s.depth++
	if s.depth > maxLevels {
		s.expect, s.role = expectAny, roleNone
		return
	}
	bit := uint64(1) << (s.depth - 1)
	s.objects &^= bit
	if object {
		s.objects |= bit
	}
	role := s.opened(object)
	if s.depth <= maxRoles {
		s.around[s.depth-1] = role
	}
	s.expect, s.role = expectNameOrEnd, roleNone
	if !object {
		s.expect, s.role = expectValueOrEnd, s.within()
	}
}

// opened returns the role of a container that begins.
func (s *scanner) opened(object bool) role {
	switch {
	case s.depth == 1 && object:
		return roleRoot
	case s.depth == 1:
		return roleRoots
	case !object:
		return s.role.inherited()
	case s.role == roleUsage:
		if s.report == nil {
			s.report = new(report)
		}
		*s.report = report{}
	case s.role == roleInputDetails:
		s.report.detailed = true
	case s.role >= roleCount:
		return roleNone
	}
	return s.role
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
	if s.within() == roleUsage && !s.broken {
		s.tell(s.report.usage())
	}
	s.depth--
	s.role = roleNone
	if s.depth <= maxLevels {
		s.expect = expectNext
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
	default:
		s.role = s.within()
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
			if !s.isName && s.speaks() {
				s.begin()
			}
			return n
		}
		if !s.isName {
			s.mayName(p[n:end], int64(size))
		}
		if !s.isName && s.speaks() {
			s.begin()
			s.speak(p[n:end])
		} else {
			s.stringIs(p[n:end], int64(size))
		}
		n = end + 1
		switch {
		case n == len(p):
			return n
		case s.expect == expectColon && p[n] == ':':
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

// stringIs is told a whole string that has no tokens, or its beginning if it has a
// larger size.
func (s *scanner) stringIs(text []byte, size int64) {
	known := int64(len(text)) == size
	if s.isName {
		s.expect, s.role = expectColon, roleNone
		if known && s.depth <= maxRoles {
			s.role = s.roleOf(s.within(), text)
		}
		if s.within() == roleSchema {
			s.states[0] = atStart
			s.hear(0, text)
			s.said[0] += hundredth // the marks around it
		}
		if s.finder != nil {
			s.finder.name(s.depth, text, known && size <= maxWord)
		}
		return
	}
	switch {
	case s.role == roleModel:
		s.models++
		s.model = s.model[:0]
		if known && size <= maxWord {
			s.model = append(s.model, text...)
		}
	case s.role == roleType:
		s.echoes, s.last = isEcho(text), isLast(text)
	case s.role >= roleCount && known:
		s.number(bytes.TrimSpace(text))
	}
}

// mayName is told a whole string that is a value, or its beginning if it has a larger
// size. In a request it may be the name of a model.
func (s *scanner) mayName(text []byte, size int64) {
	if s.finder != nil {
		s.finder.text(s.depth, text, int64(len(text)) == size && size <= maxWord)
	}
}

// speaks reports whether a string of the role has tokens.
func (s *scanner) speaks() bool {
	return s.role.isText() || s.role == roleDelta || s.role == roleReply
}

// voice is where the tokens of a role are counted.
func (s *scanner) voice() int {
	if s.role.isThought() {
		return int(s.role - roleText)
	}
	return 0
}

// begin begins a string that has tokens. The first of a text goes on with what the
// text before ended with, as the deltas of a stream do.
func (s *scanner) begin() {
	voice := s.voice()
	if s.begun>>voice&1 != 0 {
		s.states[voice] = atStart
	}
	s.begun |= 1 << voice
}

// speak reads a piece of a string that has tokens.
func (s *scanner) speak(p []byte) {
	s.hear(s.voice(), p)
	if s.spoken && s.role == roleSpoken {
		s.characters += characters(p)
	}
}

// hear counts a piece of what a voice says.
func (s *scanner) hear(voice int, p []byte) {
	e := estimator{s.said[voice], s.states[voice]}
	e.write(p)
	s.said[voice], s.states[voice] = e.cost, e.state
}

// characters counts those that begin in p.
func characters(p []byte) (n int64) {
	for _, c := range p {
		if utf8.RuneStart(c) {
			n++
		}
	}
	return n
}

// cost is what the strings so far cost that have tokens. A thought that is told under
// several names counts once.
func (s *scanner) cost() int64 {
	var thought int64
	for _, cost := range s.said[1:] {
		thought = max(thought, cost)
	}
	return s.said[0] + thought
}
