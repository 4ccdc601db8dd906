package usage

import (
	"slices"
	"strings"
)

// formPart is the header of a part.
type formPart struct {
	name         string
	isFile       bool // it has a file name
	hasOtherType bool // its type is not plain text
	hasEncoding  bool // it has a Content-Transfer-Encoding
}

// parsePart parses the header of a part, without the empty line. It reports whether all
// servers read it in the same way: it has one Content-Disposition such as
//
//	form-data; name="model"
//	form-data; name="file"; filename="a.mp3"
//
// with quoted or unquoted values, and no other fields except Content-Type,
// Content-Length, and Content-Transfer-Encoding with the value 7bit, 8bit or binary.
func parsePart(head string) (part formPart, unambiguous bool) {
	seen := make(map[string]bool)
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, found := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if !found || seen[name] || strings.ContainsFunc(value, isControl) {
			return formPart{}, false
		}
		seen[name] = true
		value = strings.Trim(value, " ")
		switch name {
		case "content-disposition":
			if part.name, part.isFile, unambiguous = parseDisposition(value); !unambiguous {
				return formPart{}, false
			}
		case "content-type":
			part.hasOtherType = !isPlainText(value)
		case "content-length":
		case "content-transfer-encoding":
			part.hasEncoding = true
			if !slices.Contains([]string{"7bit", "8bit", "binary"}, strings.ToLower(value)) {
				return formPart{}, false
			}
		default:
			return formPart{}, false
		}
	}
	return part, part.name != ""
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// isPlainText reports whether a content type is plain text in an ASCII charset.
func isPlainText(contentType string) bool {
	media, parameter, _ := strings.Cut(contentType, ";")
	name, charset, _ := strings.Cut(strings.TrimSpace(parameter), "=")
	return strings.EqualFold(strings.TrimSpace(media), "text/plain") &&
		(parameter == "" || strings.EqualFold(name, "charset") && isASCIICharset(strings.Trim(charset, `"`)))
}

// parseDisposition parses a Content-Disposition, as described at parsePart.
func parseDisposition(value string) (name string, file, unambiguous bool) {
	rest, found := strings.CutPrefix(value, "form-data; name=")
	if !found {
		return "", false, false
	}
	name, rest, found = cutValue(rest, func(c rune) bool { return isAlphanumeric(c) || strings.ContainsRune("-_.[]", c) })
	if !found || name == "" {
		return "", false, false
	}
	for _, parameter := range [...]string{"; filename=", "; filename*="} {
		after, found := strings.CutPrefix(rest, parameter)
		if !found {
			continue
		}
		filename, left, ok := cutValue(after, func(c rune) bool { return c != '\\' })
		// A server that splits at semicolons finds parameters in such a value.
		if !ok || strings.Contains(filename, ";") && strings.Contains(filename, "=") {
			return "", false, false
		}
		rest, file = left, true
	}
	return name, file, rest == ""
}

// cutValue splits text after the value at its beginning, which is a token or a quoted
// string of allowed characters.
func cutValue(text string, allowed func(rune) bool) (value, rest string, ok bool) {
	if quoted, found := strings.CutPrefix(text, `"`); found {
		value, rest, ok = strings.Cut(quoted, `"`)
	} else {
		end := strings.IndexByte(text, ';')
		if end < 0 {
			end = len(text)
		}
		value, rest = text[:end], text[end:]
		ok = value != "" && !strings.ContainsAny(value, " \t\"'(),/:<=>?@[]{}") || strings.Contains(value, "''") && !strings.ContainsAny(value, " \t\"")
	}
	return value, rest, ok && !strings.ContainsFunc(value, func(c rune) bool { return !allowed(c) })
}

// isUnambiguousForm reports whether all servers find the same boundary in a Content-Type:
// there is one Content-Type, of the form
//
//	multipart/form-data; boundary=BOUNDARY
//
// with or without quotes around BOUNDARY, and optionally a charset that leaves ASCII
// unchanged. No parameter is repeated.
func isUnambiguousForm(contentType []string, boundary string) bool {
	if len(contentType) != 1 || boundary == "" || len(boundary) > 70 {
		return false
	}
	media, rest, _ := strings.Cut(contentType[0], ";")
	if !strings.EqualFold(strings.TrimSpace(media), "multipart/form-data") {
		return false
	}
	seen := make(map[string]bool)
	for parameter := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(strings.TrimLeft(parameter, " \t"), "=")
		if name = strings.ToLower(name); seen[name] {
			return false
		}
		seen[name] = true
		value = strings.TrimRight(value, " \t")
		quoted := len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"'
		if quoted {
			value = value[1 : len(value)-1]
		}
		switch name {
		case "boundary":
			if value != boundary || !isBoundary(value, quoted) {
				return false
			}
		case "charset":
			if !isASCIICharset(value) {
				return false
			}
		default:
			return false
		}
	}
	return seen["boundary"]
}

// isBoundary reports whether a boundary consists of characters that all servers accept.
// RFC 2046, section 5.1.1, allows more.
func isBoundary(value string, quoted bool) bool {
	return !strings.ContainsFunc(value, func(c rune) bool {
		return !isAlphanumeric(c) && !strings.ContainsRune("-_.+", c) && (!quoted || !strings.ContainsRune("=:/?", c))
	})
}

func isAlphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isASCIICharset reports whether ASCII is unchanged in a charset, unlike in UTF-7 and
// UTF-16.
func isASCIICharset(charset string) bool {
	return slices.Contains([]string{"", "utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252"}, strings.ToLower(charset))
}
