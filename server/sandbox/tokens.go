package sandbox

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRun is the maximum number of characters in a token, without a leading space.
const maxRun = 8

// tokens splits text into tokens, which concatenate to text again. A token is a run of
// letters, punctuation or white space, with at most one leading space. This is much
// simpler than a model's tokenizer, but yields similar counts for English.
func tokens(text string) []string {
	result := make([]string, 0, len(text)/4+1)
	for len(text) > 0 {
		size := tokenSize(text)
		result = append(result, text[:size])
		text = text[size:]
	}
	return result
}

// countTokens returns len(tokens(text)) without allocating.
func countTokens(text string) int {
	count := 0
	for len(text) > 0 {
		text = text[tokenSize(text):]
		count++
	}
	return count
}

// tokenSize returns the length in bytes of the first token. text must not be empty.
func tokenSize(text string) int {
	rest := text
	if after, ok := strings.CutPrefix(text, " "); ok && after != "" {
		rest = after
	}
	first, _ := utf8.DecodeRuneInString(rest)
	size := len(text) - len(rest)
	for range maxRun {
		char, width := utf8.DecodeRuneInString(text[size:])
		if width == 0 || classOf(char) != classOf(first) {
			break
		}
		size += width
	}
	return size
}

type class int

const (
	punctuation class = iota
	space
	word
)

func classOf(char rune) class {
	switch {
	case unicode.IsLetter(char) || unicode.IsDigit(char) || unicode.IsMark(char) || char == '_':
		return word
	case unicode.IsSpace(char):
		return space
	default:
		return punctuation
	}
}
