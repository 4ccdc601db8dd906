package usage

import (
	"unicode/utf16"
	"unicode/utf8"
)

// continueString reads the next bytes of a string that has escapes or began in a previous
// piece. It returns the number of bytes read.
func (s *scanner) continueString(p []byte) int {
	if s.escape > 0 {
		s.continueEscape(p[0])
		return 1
	}
	n := indexSpecial(p)
	if n > 0 {
		s.flushSurrogate()
		s.addBytes(p[:n])
	}
	if n == len(p) {
		return n
	}
	if p[n] == '\\' {
		s.escape, s.codeUnit = 1, 0
		return n + 1
	}
	s.flushSurrogate()
	s.inString = false
	if !s.isName {
		s.passToFinder(s.buf, s.size)
	}
	if s.isName || !s.hasTokens() {
		s.endString(s.buf, s.size)
	}
	return n + 1
}

// continueEscape reads the next byte of an escape (RFC 8259, section 7).
func (s *scanner) continueEscape(c byte) {
	if s.escape == 1 {
		if c == 'u' {
			s.escape = 2
			return
		}
		s.escape = 0
		s.flushSurrogate()
		s.addBytes([]byte{unescaped(c)})
		return
	}
	digit, ok := hexDigit(c)
	if !ok {
		s.invalid = true
		return
	}
	s.codeUnit = s.codeUnit<<4 | digit
	if s.escape++; s.escape == 6 {
		s.escape = 0
		s.addCodeUnit(s.codeUnit)
	}
}

// addCodeUnit adds a UTF-16 code unit. Two surrogates represent one character.
func (s *scanner) addCodeUnit(code rune) {
	if s.surrogate != 0 {
		if whole := utf16.DecodeRune(s.surrogate, code); whole != utf8.RuneError {
			s.surrogate = 0
			s.addRune(whole)
			return
		}
		s.flushSurrogate()
	}
	if code >= 0xd800 && code < 0xdc00 {
		s.surrogate = code
		return
	}
	s.addRune(code)
}

// flushSurrogate replaces an unpaired surrogate with U+FFFD.
func (s *scanner) flushSurrogate() {
	if s.surrogate != 0 {
		s.surrogate = 0
		s.addRune(utf8.RuneError)
	}
}

func (s *scanner) addRune(r rune) {
	var encoded [utf8.UTFMax]byte
	s.addBytes(encoded[:utf8.EncodeRune(encoded[:], r)])
}

func (s *scanner) addBytes(p []byte) {
	if !s.isName && s.hasTokens() {
		s.addText(p)
		if s.finder == nil {
			return
		}
	}
	s.size += int64(len(p))
	s.buf = append(s.buf, p[:min(len(p), maxName-len(s.buf))]...)
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
	default: // the byte itself: a quote or a slash
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
