package strictyaml

import (
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// MaxDepth limits the nesting of lists and mappings.
//
// The parser's memory grows with the square of the depth: 20 KB of brackets take
// 665 MB. The scanner's memory grows with the length of the text, so it runs first.
const MaxDepth = 32

// firstScan is the number of bytes of the first scan. The scanner takes up to 280
// bytes of memory per byte and cannot be stopped. Each scan covers four times as much
// of the text as the previous one, so that a limit exceeded early is found cheaply.
const firstScan = 64 << 10

// checkLimits returns an error for text that nests deeper than [MaxDepth], or has
// more than maxTokens tokens. It does not limit anchors, as the tree has references for
// them.
func checkLimits(text []byte, maxTokens int) *Error {
	for size := firstScan; ; size *= 4 {
		if size >= len(text) {
			return scan(string(text), maxTokens)
		}
		if err := scan(string(text[:size]), maxTokens); err != nil {
			return err
		}
	}
}

func scan(text string, maxTokens int) *Error {
	var (
		s     scanner.Scanner
		d     depth
		count int
	)
	s.Init(text)
	for {
		tokens, err := s.Scan()
		if errors.Is(err, io.EOF) {
			return nil
		}
		for _, t := range tokens {
			d.add(t)
			count++
			switch {
			case d.levels() > MaxDepth:
				return &Error{Line: t.Position.Line, Text: fmt.Sprintf("nests deeper than %d levels", MaxDepth)}
			case count > maxTokens:
				return &Error{Line: t.Position.Line, Text: fmt.Sprintf("the file has more than %d keys and values", maxTokens)}
			}
		}
	}
}

// depth tracks the nesting of a token stream. Within brackets, each opening bracket is
// a level. Elsewhere, a dash, a question mark or a key to the right of the enclosing
// ones begins a level.
type depth struct {
	flow    int
	columns []int
	last    *token.Token
}

func (d *depth) levels() int { return d.flow + len(d.columns) }

func (d *depth) add(t *token.Token) {
	last := d.last
	d.last = t
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		d.flow++
	case token.SequenceEndType, token.MappingEndType:
		d.flow = max(0, d.flow-1)
	case token.DocumentHeaderType, token.DocumentEndType:
		d.flow, d.columns = 0, d.columns[:0]
	case token.SequenceEntryType, token.MappingKeyType:
		d.block(t.Position.Column)
	case token.MappingValueType:
		if last == nil || last.Position.Line != t.Position.Line {
			last = t
		}
		d.block(last.Position.Column)
	default: // scalars, comments and properties
	}
}

func (d *depth) block(column int) {
	if d.flow > 0 {
		return
	}
	for len(d.columns) > 0 && d.columns[len(d.columns)-1] > column {
		d.columns = d.columns[:len(d.columns)-1]
	}
	if len(d.columns) == 0 || d.columns[len(d.columns)-1] < column {
		d.columns = append(d.columns, column)
	}
}
