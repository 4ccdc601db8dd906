package httpserver

import (
	"regexp"
	"testing"
)

var lengthLine = regexp.MustCompile(`(?i)(?:^|\n)content-length:`)

func FuzzLengthScanner(f *testing.F) {
	for _, text := range []string{
		"", "Content-Length: 1\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nCONTENT-LENGTH:1\r\n\r\n",
		"\ncontent-length :\n", "\nContent-Lengt\nContent-Length:", "xContent-Length:", "\n\nContent-\nContent-Length:", "content-content-length:",
		"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n", "\u212aontent-length:",
	} {
		f.Add(text, uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, step uint8) {
		var l lengthScanner
		for rest := []byte(text); len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			l.scan(rest[:n])
			rest = rest[n:]
		}
		if got, want := l.lines.Load(), len(lengthLine.FindAllStringIndex(text, -1)); got != int64(want) {
			t.Errorf("%q has %d such lines, not %d", text, want, got)
		}
	})
}
