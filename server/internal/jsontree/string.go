package jsontree

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote returns the text of a JSON string. A lone surrogate, which UTF-8 cannot
// represent, becomes its three bytes in WTF-8, so that different strings stay
// different.
func Unquote(text string) string {
	inside := text[1 : len(text)-1]
	if !strings.Contains(inside, `\`) {
		return inside
	}
	b := make([]byte, 0, len(inside))
	for i := 0; i < len(inside); {
		if plain := strings.IndexByte(inside[i:], '\\'); plain != 0 {
			if plain < 0 {
				plain = len(inside) - i
			}
			b = append(b, inside[i:i+plain]...)
			i += plain
			continue
		}
		if inside[i+1] != 'u' {
			b = append(b, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, inside[i+1])])
			i += 2
			continue
		}
		unit := codeUnit(inside[i+2:])
		i += 6
		if strings.HasPrefix(inside[i:], `\u`) {
			if pair := utf16.DecodeRune(unit, codeUnit(inside[i+2:])); pair != utf8.RuneError {
				b = utf8.AppendRune(b, pair)
				i += 6
				continue
			}
		}
		b = appendCodeUnit(b, unit)
	}
	return string(b)
}

// codeUnit reads four hexadecimal digits.
func codeUnit(digits string) rune {
	unit, err := strconv.ParseUint(digits[:4], 16, 16)
	if err != nil {
		panic(err) // Parse has checked them.
	}
	return rune(unit)
}

func appendCodeUnit(b []byte, unit rune) []byte {
	if utf16.IsSurrogate(unit) {
		return append(b, 0xE0|byte(unit>>12), 0x80|byte(unit>>6)&0x3F, 0x80|byte(unit)&0x3F)
	}
	return utf8.AppendRune(b, unit)
}

// Quote returns a JSON string in its simplest spelling.
func Quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // Strings can be encoded.
	}
	return strings.TrimSuffix(b.String(), "\n")
}
