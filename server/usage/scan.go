package usage

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	// maxName bounds the buffered length of a string in bytes, such as a field name or a
	// model. A longer one is ignored.
	maxName = 256

	// maxDepth is the depth to which the kinds of containers are known. Below it only
	// brackets are counted.
	maxDepth = 64

	// maxRoleDepth is the depth to which fields have roles.
	maxRoleDepth = 16
)

// expectation represents the elements that may follow in a JSON text.
type expectation uint8

const (
	expectValue expectation = iota
	expectValueOrEnd
	expectName
	expectNameOrEnd
	expectColon
	expectCommaOrEnd // or the end of the container
	expectAny        // below maxDepth
)

// scanner reads a JSON text (RFC 8259) in pieces of any size and in constant memory, for
// the few fields that matter. It finds the names, values and containers and stops at
// invalid structure. It does not validate numbers, literals and escapes.
type scanner struct {
	position

	// roleOf returns the role of a field, given the role of its object, parent.
	roleOf func(parent role, name []byte) role

	// finder, unless nil, receives the structure of a request.
	finder *modelFinder

	// The results. They may be read before the end of the text.
	reported     Usage  // by the usage objects of this text and previous ones
	reportedMore bool   // this text reported more output
	model        []byte // of the last roleModel, empty if it is not a string of up to maxName bytes
	modelCount   int    // the number of values of roleModel
	streaming    bool   // a value of roleStream was true
	isLast       bool   // according to roleType or roleDone, this is the last text
	isEcho       bool   // according to roleType, the text is repeated or not the model's
	invalid      bool   // the text is not JSON

	costs     [channels]int64     // of the strings with tokens, by channel
	states    [channels]textState // at the end of the last string of each channel
	textBegun uint8               // bit i: this text has a string in channel i

	isSpeech   bool  // count the characters of roleInput
	characters int64 // the characters of roleInput

	inScalar bool // in a number or a literal

	inString  bool
	isName    bool
	escape    uint8  // bytes of the current escape, 0 outside of one
	codeUnit  rune   // the value of the escape so far
	surrogate rune   // the first half of a surrogate pair, 0 without one
	size      int64  // of the current string, in bytes
	buf       []byte // the beginning of the current string or number

	object *usageObject // the current usage object; nil before the first
}

// position represents a position in a JSON text.
type position struct {
	expect  expectation
	depth   int
	objects uint64             // bit d-1: the container at depth d is an object
	roles   [maxRoleDepth]role // at d-1: of the container at depth d
	role    role               // of the current value, or the next one
}

// reset begins a new text. The reported usage stays. A channel continues after its
// strings in the previous text.
func (s *scanner) reset() {
	s.model = s.model[:0]
	s.modelCount, s.streaming, s.isEcho, s.isLast, s.reportedMore, s.invalid = 0, false, false, false, false, false
	s.position, s.inScalar = position{}, false
	s.inString, s.escape, s.surrogate, s.textBegun = false, 0, 0, 0
	s.costs = [channels]int64{}
}

// isComplete reports whether the text is one complete JSON value.
func (s *scanner) isComplete() bool {
	return !s.invalid && s.depth == 0 && s.expect == expectCommaOrEnd && !s.inString
}

// isAtBoundary reports whether the scanner is before the beginning or after the end of a
// text.
func (s *scanner) isAtBoundary() bool {
	return s.isComplete() || !s.invalid && s.depth == 0 && s.expect == expectValue
}

// write reads the next piece.
func (s *scanner) write(p []byte) {
	for len(p) > 0 && !s.invalid {
		p = p[s.next(p):]
	}
}

// next reads the next piece, at most up to the end of the text's object or array. It
// returns the number of bytes read.
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

// beginScalar reads a number or a literal whose first byte is p[n-1]. It returns the
// index after the bytes read.
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
		s.costs[s.channel()] += costUnit // an element of a list of tokens
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

// continueScalar reads the next byte after a number or a literal whose end was not in the
// previous piece. It reports whether c is a part of it.
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

// setNumber sets the counter of the current value.
func (s *scanner) setNumber(text []byte) {
	c := counter(s.role - roleCount)
	if s.containerRole() >= roleUsage {
		s.object.set(c, text)
		return
	}
	var single usageObject
	single.set(c, text)
	s.report(single.usage())
}

// report merges a report of usage.
func (s *scanner) report(u Usage) {
	merged, more := s.reported.merge(u)
	s.reported, s.reportedMore = merged, s.reportedMore || more
}

// containerRole returns the role of the current container.
func (s *scanner) containerRole() role {
	if s.depth == 0 || s.depth > maxRoleDepth {
		return roleNone
	}
	return s.roles[s.depth-1]
}

// isScalarByte reports whether a byte may occur in a number or a literal.
var isScalarByte = func() (set [256]bool) {
	for _, c := range "+-.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		set[c] = true
	}
	return set
}()

// require marks the text as invalid unless a condition holds.
func (s *scanner) require(holds bool) { s.invalid = s.invalid || !holds }

// beginValue checks that a value may begin.
func (s *scanner) beginValue() {
	switch s.expect {
	case expectAny:
	case expectValue, expectValueOrEnd:
		s.expect = expectCommaOrEnd
	default:
		s.invalid = true
	}
}

// countModel counts a value of roleModel that is not a string.
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

// roleOfContainer returns the role of the container that begins.
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

// beginString reads a string whose content begins at p[n], and the strings that follow
// it. It stops at a string with escapes, or whose end is not in p. It returns the index
// after the bytes read.
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
			s.passToFinder(p[n:end], int64(size))
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

// indexSpecial returns the index of the first quote or backslash in p, or len(p). It
// compares eight bytes in one step.
func indexSpecial(p []byte) int {
	const (
		ones        = 0x0101010101010101
		highs       = 0x8080808080808080
		quotes      = '"' * ones
		backslashes = '\\' * ones
	)
	n := 0
	for ; len(p)-n >= 8; n += 8 {
		word := binary.LittleEndian.Uint64(p[n:])
		quote, backslash := word^quotes, word^backslashes
		// Only the lowest set bit is reliable.
		if found := ((quote - ones) &^ quote & highs) | ((backslash - ones) &^ backslash & highs); found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	for n < len(p) && p[n] != '"' && p[n] != '\\' {
		n++
	}
	return n
}

// endString processes a string without tokens. text is its beginning, and size its
// length.
func (s *scanner) endString(text []byte, size int64) {
	whole := int64(len(text)) == size
	if s.isName {
		s.expect, s.role = expectColon, roleNone
		if whole && s.depth <= maxRoleDepth {
			s.role = s.roleOf(s.containerRole(), text)
		}
		if s.containerRole() == roleSchema {
			s.states[0] = atStart
			s.addCost(0, text)
			s.costs[0] += costUnit // the quotes and the colon
		}
		if s.finder != nil {
			s.finder.beginField(s.depth, text, whole && size <= maxName)
		}
		return
	}
	switch {
	case s.role == roleModel:
		s.modelCount++
		s.model = s.model[:0]
		if whole && size <= maxName {
			s.model = append(s.model, text...)
		}
	case s.role == roleType:
		s.isEcho, s.isLast = isEchoType(text), isLastType(text)
	case s.role >= roleCount && whole:
		s.setNumber(bytes.TrimSpace(text))
	}
}

// passToFinder passes a string value to the finder. text is its beginning, and size its
// length.
func (s *scanner) passToFinder(text []byte, size int64) {
	if s.finder != nil {
		s.finder.addString(s.depth, text, int64(len(text)) == size && size <= maxName)
	}
}

// hasTokens reports whether a string of the current role consists of tokens.
func (s *scanner) hasTokens() bool {
	return s.role.isText() || s.role == roleDelta || s.role == roleNestedOrText
}

// channel returns the channel in which the current role is counted.
func (s *scanner) channel() int {
	if s.role.isReasoning() {
		return int(s.role - roleText)
	}
	return 0
}

// beginText begins a string with tokens. The first string of a JSON text continues the
// string of the previous text, because a stream splits its output into deltas.
func (s *scanner) beginText() {
	channel := s.channel()
	if s.textBegun>>channel&1 != 0 {
		s.states[channel] = atStart
	}
	s.textBegun |= 1 << channel
}

// addText counts a piece of a string with tokens.
func (s *scanner) addText(p []byte) {
	s.addCost(s.channel(), p)
	if s.isSpeech && s.role == roleInput {
		s.characters += characters(p)
	}
}

// addCost adds the cost of a piece of a string to a channel.
func (s *scanner) addCost(channel int, p []byte) {
	e := estimator{s.costs[channel], s.states[channel]}
	e.write(p)
	s.costs[channel], s.states[channel] = e.cost, e.state
}

// characters returns the number of characters that begin in p.
func characters(p []byte) (n int64) {
	for _, c := range p {
		if utf8.RuneStart(c) {
			n++
		}
	}
	return n
}

// cost returns the cost of all strings with tokens. Reasoning that is repeated under
// several names counts once.
func (s *scanner) cost() int64 {
	var reasoning int64
	for _, cost := range s.costs[1:] {
		reasoning = max(reasoning, cost)
	}
	return s.costs[0] + reasoning
}
