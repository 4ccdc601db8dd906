// Package yamlbound bounds what parsing a YAML document costs.
//
// The parser's memory grows with the square of the depth: 20 KB of brackets take
// 665 MB. So a text is scanned first, which takes memory in proportion to its
// length.
package yamlbound

import (
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// MaxDepth is how deeply lists and mappings may nest.
const MaxDepth = 32

// Error is a bound that a text passes.
type Error struct {
	Line int // from 1 on
	Says string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Says) }

// firstPart is how much of a text is scanned first, in bytes. The scanner takes up
// to 280 bytes of memory for each, and knows no stop: so each further scan takes
// four times as much of the text, and a bound that the beginning passes is cheap.
const firstPart = 64 << 10

// Check returns an error, an [*Error], for a text that nests deeper than
// [MaxDepth], or that has more than maxTokens keys, values, comments and signs of
// YAML. Whether the text is well-formed is the parser's to judge. Anchors are left
// to those who take values out of the tree, as a tree has references in it.
func Check(text []byte, maxTokens int) error {
	for part := firstPart; ; part *= 4 {
		if part >= len(text) {
			return scan(string(text), maxTokens)
		}
		if err := scan(string(text[:part]), maxTokens); err != nil {
			return err
		}
	}
}

func scan(text string, maxTokens int) error {
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
			case d.deep() > MaxDepth:
				return at(t, "nests more than %d deep: write it flatter", MaxDepth)
			case count > maxTokens:
				return at(t, "has more than %d keys and values: shorten the file", maxTokens)
			}
		}
	}
}

func at(t *token.Token, format string, values ...any) error {
	return &Error{t.Position.Line, fmt.Sprintf(format, values...)}
}

// depth follows how deeply a text nests. Within brackets each opening one is a
// level. Outside, a list or a mapping begins where a dash, a question mark or a key
// stands further to the right than those around it.
type depth struct {
	flow    int
	columns []int
	last    *token.Token
}

func (d *depth) deep() int { return d.flow + len(d.columns) }

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
	default: // a value, or what belongs to one
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
