package usage

import (
	"unicode/utf16"
	"unicode/utf8"
)

// inside reads on in a string that came in pieces, or has escapes, and returns how
// much of p it has read.
func (s *scanner) inside(p []byte) int {
	if s.escape > 0 {
		s.escaped(p[0])
		return 1
	}
	n := plain(p)
	if n > 0 {
		s.flushHigh()
		s.add(p[:n])
	}
	if n == len(p) {
		return n
	}
	if p[n] == '\\' {
		s.escape, s.code = 1, 0
		return n + 1
	}
	s.flushHigh()
	s.inString = false
	if !s.isName {
		s.mayName(s.word, s.size)
	}
	if s.isName || !s.speaks() {
		s.stringIs(s.word, s.size)
	}
	return n + 1
}

// escaped reads the next byte of an escape (RFC 8259 §7).
func (s *scanner) escaped(c byte) {
	if s.escape == 1 {
		if c == 'u' {
			s.escape = 2
			return
		}
		s.escape = 0
		s.flushHigh()
		s.add([]byte{unescaped(c)})
		return
	}
	digit, ok := hexDigit(c)
	if !ok {
		s.broken = true
		return
	}
	s.code = s.code<<4 | digit
	if s.escape++; s.escape == 6 {
		s.escape = 0
		s.unit(s.code)
	}
}

// unit adds a UTF-16 code unit, two of which may stand for one character.
func (s *scanner) unit(code rune) {
	if s.high != 0 {
		if whole := utf16.DecodeRune(s.high, code); whole != utf8.RuneError {
			s.high = 0
			s.addRune(whole)
			return
		}
		s.flushHigh()
	}
	if code >= 0xd800 && code < 0xdc00 {
		s.high = code
		return
	}
	s.addRune(code)
}

// flushHigh adds what stands for a half of a pair whose other half doesn't come.
func (s *scanner) flushHigh() {
	if s.high != 0 {
		s.high = 0
		s.addRune(utf8.RuneError)
	}
}

func (s *scanner) addRune(r rune) {
	var encoded [utf8.UTFMax]byte
	s.add(encoded[:utf8.EncodeRune(encoded[:], r)])
}

func (s *scanner) add(p []byte) {
	if !s.isName && s.speaks() {
		s.speak(p)
		if s.finder == nil {
			return
		}
	}
	s.size += int64(len(p))
	s.word = append(s.word, p[:min(len(p), maxWord-len(s.word))]...)
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default: // the byte itself: a quote, a slash of either kind
		return c
	}
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0'), true
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10, true
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10, true
	default:
		return 0, false
	}
}
