package sandbox

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxRun is how many characters a token has at most, without a leading space.
const maxRun = 8

// tokens splits text into tokens, which joined are the text again: a word, some
// punctuation or some white space, with a single space before. It is much simpler
// than a model's tokenizer and counts about the same for English.
func tokens(text string) []string {
	result := make([]string, 0, len(text)/4+1)
	for len(text) > 0 {
		size := tokenSize(text)
		result = append(result, text[:size])
		text = text[size:]
	}
	return result
}

// countTokens is len(tokens(text)), without holding them.
func countTokens(text string) int {
	count := 0
	for len(text) > 0 {
		text = text[tokenSize(text):]
		count++
	}
	return count
}

// tokenSize is the length in bytes of the first token of a text that isn't empty.
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
