package clients

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Pattern is a name, or the beginning of names if it ends in "*".
type Pattern string

// Patterns is a set of names.
type Patterns []Pattern

const (
	wildcard        = "*"
	maxPatternBytes = 256

	// maxEncodings bounds how often a path may be percent-encoded. Each level takes a
	// pass over the path, and a path can have a level for two of its bytes.
	maxEncodings = 3
)

// match reports whether the pattern stands for a name.
func (p Pattern) match(name string) bool {
	if beginning, open := strings.CutSuffix(string(p), wildcard); open {
		return strings.HasPrefix(name, beginning)
	}
	return name == string(p)
}

// matchFold is match without regard to case: some servers take both for the same, and
// what is to be limited shall not get away by it.
func (p Pattern) matchFold(name string) bool {
	return Pattern(strings.ToLower(string(p))).match(strings.ToLower(name))
}

// covers reports whether the pattern stands for all that another one does.
func (p Pattern) covers(other Pattern) bool {
	beginning, open := strings.CutSuffix(string(p), wildcard)
	return p == other || open && strings.HasPrefix(strings.TrimSuffix(string(other), wildcard), beginning)
}

func (p Patterns) match(name string) bool {
	return slices.ContainsFunc(p, func(pattern Pattern) bool { return pattern.match(name) })
}

// Check says what is wrong with a pattern of models.
func (p Pattern) Check() error {
	switch {
	case p == "":
		return errors.New("is empty: write a name, or the beginning of names and *")
	case len(p) > maxPatternBytes:
		return errors.New("is longer than 256 bytes: write the beginning of the name and *")
	case strings.Contains(strings.TrimSuffix(string(p), wildcard), wildcard):
		return errors.New("has a * that is not at its end: write a name, or the beginning of names and *")
	case strings.ContainsFunc(string(p), func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return errors.New("has a space or a control character: leave it out")
	}
	return nil
}

// CheckPath says what is wrong with a pattern of paths.
func (p Pattern) CheckPath() error {
	if err := p.Check(); err != nil {
		return err
	}
	switch {
	case p[0] != '/':
		return errors.New("does not begin with /: write a path such as /v1/chat/completions, or its beginning and *")
	case strings.ContainsAny(string(p), "?#"):
		return errors.New("has a ? or #: write the path alone")
	case wanders(string(p)):
		return errors.New("has . or .. for a segment: write the path that they lead to")
	}
	return nil
}

// wanders reports whether a path has a segment "." or ".." (RFC 3986 §3.3), for
// any reader: one that decodes it as often as it can be, takes backslashes for
// slashes, and drops parameters behind semicolons. Segments of dots, spaces and
// characters that are not shown alone count as such too, as some readers leave those
// out. So do paths with control characters, or with what is not valid UTF-8: lenient
// decoders find dots and slashes in it. A path that is encoded more than maxEncodings
// times counts as one that has such a segment.
func wanders(path string) bool {
	for level := 0; ; level++ {
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return true // Nobody knows what that is.
		}
		if decoded == path {
			break
		}
		if level == maxEncodings {
			return true
		}
		path = decoded
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return true
	}
	// What Unicode has for compatibility alone becomes dots and slashes of ASCII.
	path = norm.NFKC.String(path)
	for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		name, _, _ := strings.Cut(segment, ";")
		if strings.Contains(name, ".") && !strings.ContainsFunc(name, isShown) {
			return true
		}
	}
	return false
}

// isShown reports whether a character is neither a dot nor a space, nor of those that
// are not shown, such as a byte order mark.
func isShown(c rune) bool { return c != '.' && !unicode.IsSpace(c) && !unicode.Is(unicode.Cf, c) }
