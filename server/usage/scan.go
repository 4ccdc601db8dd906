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
	maxName = 256

	// maxLevels is to which depth the kinds of containers are known. Deeper, only
	// brackets are counted.
	maxDepth = 64

	// maxRoles is to which depth the members of containers are told apart.
	maxRoleDepth = 16
)

// expectation is what a JSON text goes on with.
type expectation uint8

const (
	expectValue expectation = iota
	expectValueOrEnd
	expectName
	expectNameOrEnd
	expectColon
	expectCommaOrEnd // a comma, or the end of what is around
	expectAny        // deeper than is looked
)

// scanner reads a JSON text (RFC 8259) in pieces of any size, in constant memory,
// for the few members that matter. It knows where names, values and containers
// begin and end, and stops at what can't be JSON; what a number or a literal is
// made of, and which escapes there are, it leaves to others.
type scanner struct {
	position

	// roleOf tells what the member of a name is for, by what the object is.
	roleOf func(around role, name []byte) role

	// finder, unless nil, is told of the structure of a request.
	finder *modelFinder

	// What was found. Of a text that isn't over it may be read too.
	reported     Usage  // by the usage objects, of this text and those before
	reportedMore bool   // this text told more of what was written
	model        []byte // the last of roleModel, empty if it isn't a string of a sane size
	modelCount   int    // how many there were, of any type
	streaming    bool   // one of roleStream was true
	isLast       bool   // roleType or roleDone says that nothing follows this text
	isEcho       bool   // roleType says that the text was told before, or isn't the model's
	invalid      bool   // it is no JSON

	costs  [channels]int64     // what the strings of roleText cost, and those of each of thoughts
	states [channels]textState // where each ended
	begun  uint8               // bit i: this text has a string that counts in said[i]

	isSpeech   bool  // the root's member "input" is to be spoken
	characters int64 // that it has

	inScalar bool // a number or a literal is under way

	inString  bool
	isName    bool
	escape    uint8  // of an escape that is under way, how many bytes came
	codeUnit  rune   // what they stand for so far
	surrogate rune   // the first half of a surrogate pair, 0 without one
	size      int64  // of the string under way, in bytes
	buf       []byte // its beginning, or a number's that is under way

	object *usageObject // of the usage object under way; nil before the first
}

// place is where in a text a scanner is.
type position struct {
	expect  expectation
	depth   int
	objects uint64             // bit d-1: the container at depth d is an object
	roles   [maxRoleDepth]role // at d-1: of the container at depth d
	role    role               // of the value that is next, or under way
}

// reset begins a new text. Memory is used again, and what was told of usage stays. The
// text of roleText goes on where that of the text before ended.
func (s *scanner) reset() {
	s.model = s.model[:0]
	s.modelCount, s.streaming, s.isEcho, s.isLast, s.reportedMore, s.invalid = 0, false, false, false, false, false
	s.position, s.inScalar = position{}, false
	s.inString, s.escape, s.surrogate, s.begun = false, 0, 0, 0
	s.costs = [channels]int64{}
}

// whole reports whether the text was one JSON value, and is over.
func (s *scanner) isComplete() bool {
	return !s.invalid && s.depth == 0 && s.expect == expectCommaOrEnd && !s.inString
}

// between reports whether no value is under way: none has begun, or it is over.
func (s *scanner) isAtBoundary() bool {
	return s.isComplete() || !s.invalid && s.depth == 0 && s.expect == expectValue
}

// write reads the next piece.
func (s *scanner) write(p []byte) {
	for len(p) > 0 && !s.invalid {
		p = p[s.next(p):]
	}
}

// next reads the next piece, up to where the text's only object or array ends, and
// returns how much of p that is.
func (s *scanner) next(p []byte) int {
	i := 0
	for i < len(p) && !s.invalid {
		if s.inString {
			i += s.continueString(p[i:])
			continue
		}
		c := p[i]
		if s.inScalar && s.continueScalar(c) {
			i++
			continue
		}
		i++
		switch c {
		case ' ', '\n', '\r', '\t':
		case '"':
			i = s.beginString(p, i)
		case ':':
			s.colon()
		case ',':
			s.comma()
		case '{', '[':
			s.beginContainer(c == '{')
		case '}', ']':
			s.endContainer(c == '}')
			if s.depth == 0 {
				return i
			}
		default:
			i = s.beginScalar(p, i)
		}
	}
	return i
}

// literal begins a number or a literal, whose first byte is p[n-1], and returns up to
// where it has read p.
func (s *scanner) beginScalar(p []byte, n int) int {
	first := p[n-1]
	s.require(isScalarByte[first])
	s.beginValue()
	s.streaming = s.streaming || s.role == roleStream && first == 't'
	s.isLast = s.isLast || s.role == roleDone && first == 't'
	s.countModel()
	if s.finder != nil {
		s.finder.addScalar(s.depth, first)
	}
	if s.role.isText() && isDigit(first) {
		s.costs[s.channel()] += costUnit // of a text that is a list of tokens
	}
	start := n - 1
	for n < len(p) && isScalarByte[p[n]] {
		n++
	}
	s.inScalar = n == len(p)
	switch {
	case s.role < roleCount:
	case s.inScalar:
		s.buf = append(s.buf[:0], p[start:min(n, start+maxNumber+1)]...)
	default:
		s.setNumber(p[start:n])
	}
	return n
}

// goesOn reads on in a number or a literal that came in pieces, and reports whether c
// is a part of it.
func (s *scanner) continueScalar(c byte) bool {
	s.inScalar = isScalarByte[c]
	switch {
	case s.role < roleCount:
	case !s.inScalar:
		s.setNumber(s.buf)
	case len(s.buf) <= maxNumber:
		s.buf = append(s.buf, c)
	}
	return s.inScalar
}

// number notes the number of a counter.
func (s *scanner) setNumber(text []byte) {
	c := counter(s.role - roleCount)
	if s.containerRole() >= roleUsage {
		s.object.set(c, text)
		return
	}
	var alone usageObject
	alone.set(c, text)
	s.report(alone.usage())
}

// tell notes what was told of usage.
func (s *scanner) report(u Usage) {
	told, more := s.reported.merge(u)
	s.reported, s.reportedMore = told, s.reportedMore || more
}

// within is the role of the container under way.
func (s *scanner) containerRole() role {
	if s.depth == 0 || s.depth > maxRoleDepth {
		return roleNone
	}
	return s.roles[s.depth-1]
}

// isScalar has the bytes of which numbers and literals are made.
var isScalarByte = func() (set [256]bool) {
	for _, c := range "+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		set[c] = true
	}
	return set
}()

func (s *scanner) require(holds bool) { s.invalid = s.invalid || !holds }

// value is told that a value begins.
func (s *scanner) beginValue() {
	switch s.expect {
	case expectAny:
	case expectValue, expectValueOrEnd:
		s.expect = expectCommaOrEnd
	default:
		s.invalid = true
	}
}

// counted is told that a value begins that is no string.
func (s *scanner) countModel() {
	if s.role == roleModel {
		s.modelCount++
		s.model = s.model[:0]
	}
}

func (s *scanner) beginContainer(object bool) {
	s.beginValue()
	s.countModel()
	if s.finder != nil {
		s.finder.beginContainer(s.depth, object)
	}
	s.depth++
	if s.depth > maxDepth {
		s.expect, s.role = expectAny, roleNone
		return
	}
	bit := uint64(1) << (s.depth - 1)
	s.objects &^= bit
	if object {
		s.objects |= bit
	}
	role := s.roleOfContainer(object)
	if s.depth <= maxRoleDepth {
		s.roles[s.depth-1] = role
	}
	s.expect, s.role = expectNameOrEnd, roleNone
	if !object {
		s.expect, s.role = expectValueOrEnd, s.containerRole()
	}
}

// opened returns the role of a container that begins.
func (s *scanner) roleOfContainer(object bool) role {
	switch {
	case s.depth == 1 && object:
		return roleRoot
	case s.depth == 1:
		return roleRoots
	case !object:
		return s.role.ofElements()
	case s.role == roleUsage:
		if s.object == nil {
			s.object = new(usageObject)
		}
		*s.object = usageObject{}
	case s.role == roleInputDetails:
		s.object.hasInputDetails = true
	case s.role >= roleCount:
		return roleNone
	}
	return s.role
}

func (s *scanner) endContainer(object bool) {
	if s.depth == 0 {
		s.invalid = true
		return
	}
	if s.depth <= maxDepth {
		allowed := expectValueOrEnd
		if object {
			allowed = expectNameOrEnd
		}
		s.require(object == s.inObject() && (s.expect == expectCommaOrEnd || s.expect == allowed))
	}
	if s.containerRole() == roleUsage && !s.invalid {
		s.report(s.object.usage())
	}
	s.depth--
	s.role = roleNone
	if s.depth <= maxDepth {
		s.expect = expectCommaOrEnd
	}
}

func (s *scanner) inObject() bool { return s.objects>>(s.depth-1)&1 != 0 }

func (s *scanner) colon() {
	if s.expect != expectAny {
		s.require(s.expect == expectColon)
		s.expect = expectValue
	}
}

func (s *scanner) comma() {
	if s.expect == expectAny {
		return
	}
	s.require(s.expect == expectCommaOrEnd && s.depth > 0)
	if s.invalid {
		return
	}
	s.expect, s.role = expectValue, roleNone
	switch {
	case s.inObject():
		s.expect = expectName
	default:
		s.role = s.containerRole()
	}
}

// quote begins a string, whose first byte is p[n], and returns up to where it has
// read p: to the end of the string if it is there and has no escapes, for most are
// like that, and of the strings that follow, for many do.
func (s *scanner) beginString(p []byte, n int) int {
	for ; ; n++ {
		s.isName = s.expect == expectName || s.expect == expectNameOrEnd
		if !s.isName {
			s.beginValue()
		}
		size := indexSpecial(p[n:])
		end := n + size
		if end == len(p) || p[end] != '"' {
			s.inString, s.size, s.buf = true, 0, s.buf[:0]
			if !s.isName && s.hasTokens() {
				s.beginText()
			}
			return n
		}
		if !s.isName {
			s.findModel(p[n:end], int64(size))
		}
		if !s.isName && s.hasTokens() {
			s.beginText()
			s.addText(p[n:end])
		} else {
			s.endString(p[n:end], int64(size))
		}
		n = end + 1
		switch {
		case n == len(p):
			return n
		case s.expect == expectColon && p[n] == ':':
			s.expect = expectValue
		case s.expect == expectCommaOrEnd && p[n] == ',':
			s.comma()
		default:
			return n
		}
		if n++; n == len(p) || p[n] != '"' || s.invalid {
			return n
		}
	}
}

// plain returns how many bytes of p come before a quote or a backslash.
func indexSpecial(p []byte) int {
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
func (s *scanner) endString(text []byte, size int64) {
	known := int64(len(text)) == size
	if s.isName {
		s.expect, s.role = expectColon, roleNone
		if known && s.depth <= maxRoleDepth {
			s.role = s.roleOf(s.containerRole(), text)
		}
		if s.containerRole() == roleSchema {
			s.states[0] = atStart
			s.addCost(0, text)
			s.costs[0] += costUnit // the marks around it
		}
		if s.finder != nil {
			s.finder.beginField(s.depth, text, known && size <= maxName)
		}
		return
	}
	switch {
	case s.role == roleModel:
		s.modelCount++
		s.model = s.model[:0]
		if known && size <= maxName {
			s.model = append(s.model, text...)
		}
	case s.role == roleType:
		s.isEcho, s.isLast = isEchoType(text), isLastType(text)
	case s.role >= roleCount && known:
		s.setNumber(bytes.TrimSpace(text))
	}
}

// mayName is told a whole string that is a value, or its beginning if it has a larger
// size. In a request it may be the name of a model.
func (s *scanner) findModel(text []byte, size int64) {
	if s.finder != nil {
		s.finder.addString(s.depth, text, int64(len(text)) == size && size <= maxName)
	}
}

// speaks reports whether a string of the role has tokens.
func (s *scanner) hasTokens() bool {
	return s.role.isText() || s.role == roleDelta || s.role == roleNestedOrText
}

// voice is where the tokens of a role are counted.
func (s *scanner) channel() int {
	if s.role.isThought() {
		return int(s.role - roleText)
	}
	return 0
}

// begin begins a string that has tokens. The first of a text goes on with what the
// text before ended with, as the deltas of a stream do.
func (s *scanner) beginText() {
	voice := s.channel()
	if s.begun>>voice&1 != 0 {
		s.states[voice] = atStart
	}
	s.begun |= 1 << voice
}

// speak reads a piece of a string that has tokens.
func (s *scanner) addText(p []byte) {
	s.addCost(s.channel(), p)
	if s.isSpeech && s.role == roleInput {
		s.characters += characters(p)
	}
}

// hear counts a piece of what a voice says.
func (s *scanner) addCost(voice int, p []byte) {
	e := estimator{s.costs[voice], s.states[voice]}
	e.write(p)
	s.costs[voice], s.states[voice] = e.cost, e.state
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
	for _, cost := range s.costs[1:] {
		thought = max(thought, cost)
	}
	return s.costs[0] + thought
}
