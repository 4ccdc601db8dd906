package clients

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Pattern is a name, or a prefix of names if it ends in "*".
type Pattern string

// Patterns is a set of names.
type Patterns []Pattern

const (
	wildcard        = "*"
	maxPatternBytes = 256

	// maxEncodings limits how often a path may be percent-encoded. Each level takes a
	// pass over the path, and a path can have one level per two bytes.
	maxEncodings = 3
)

// match reports whether the pattern matches a name.
func (p Pattern) match(name string) bool {
	if prefix, ok := strings.CutSuffix(string(p), wildcard); ok {
		return strings.HasPrefix(name, prefix)
	}
	return name == string(p)
}

// matchFold is match, ignoring case. Some upstreams ignore the case of models, and a
// limit must not be evaded with it.
func (p Pattern) matchFold(name string) bool {
	return Pattern(strings.ToLower(string(p))).match(strings.ToLower(name))
}

// covers reports whether the pattern matches every name that another one matches.
func (p Pattern) covers(other Pattern) bool {
	prefix, ok := strings.CutSuffix(string(p), wildcard)
	return p == other || ok && strings.HasPrefix(strings.TrimSuffix(string(other), wildcard), prefix)
}

func (p Patterns) match(name string) bool {
	return slices.ContainsFunc(p, func(pattern Pattern) bool { return pattern.match(name) })
}

// Check returns an error for an invalid pattern of models.
func (p Pattern) Check() error {
	switch {
	case p == "":
		return errors.New("empty pattern: want a name, or a prefix followed by *")
	case len(p) > maxPatternBytes:
		return fmt.Errorf("pattern %.32q… is longer than %d bytes: want a prefix followed by *", p, maxPatternBytes)
	case strings.Contains(strings.TrimSuffix(string(p), wildcard), wildcard):
		return fmt.Errorf("pattern %q has a * before its end: want a name, or a prefix followed by *", p)
	case strings.ContainsFunc(string(p), func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return fmt.Errorf("pattern %q has a space or a control character", p)
	}
	return nil
}

// CheckPath returns an error for an invalid pattern of paths.
func (p Pattern) CheckPath() error {
	if err := p.Check(); err != nil {
		return err
	}
	switch {
	case p[0] != '/':
		return fmt.Errorf("path %q does not begin with /: want a path such as /v1/chat/completions, or a prefix followed by *", p)
	case strings.ContainsAny(string(p), "?#"):
		return fmt.Errorf("path %q has a query or a fragment", p)
	case hasDotSegments(string(p)):
		return fmt.Errorf("path %q has a . or .. segment: want the path that it resolves to", p)
	}
	return nil
}

// hasDotSegments reports whether a path has a "." or ".." segment (RFC 3986 §3.3) for any
// reader: one that decodes it repeatedly, treats backslashes as slashes, or drops
// parameters after semicolons. Segments of only dots, spaces and invisible characters
// count, as some readers drop spaces and invisible characters. So do control characters and invalid UTF-8,
// in which lenient decoders find dots and slashes, and paths that are encoded more than
// maxEncodings times.
func hasDotSegments(path string) bool {
	for level := 0; ; level++ {
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return true // invalid
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
	// Compatibility characters of Unicode become ASCII dots and slashes.
	path = norm.NFKC.String(path)
	for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		name, _, _ := strings.Cut(segment, ";")
		if strings.Contains(name, ".") && !strings.ContainsFunc(name, isVisible) {
			return true
		}
	}
	return false
}

// isVisible reports whether a character is none of dots, spaces and format characters,
// such as a byte order mark.
func isVisible(c rune) bool { return c != '.' && !unicode.IsSpace(c) && !unicode.Is(unicode.Cf, c) }
