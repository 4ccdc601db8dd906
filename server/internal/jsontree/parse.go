package jsontree

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// Parse reads one JSON value as defined in RFC 8259. Like encoding/json, it supports a
// depth of 10,000.
func Parse(text []byte) (Value, error) {
	if !utf8.Valid(text) {
		return Value{}, errors.New("the text is not UTF-8")
	}
	if !json.Valid(text) {
		var v any
		return Value{}, json.Unmarshal(text, &v)
	}
	p := parser{text: string(text)}
	p.space()
	return p.value(), nil
}

// parser splits valid JSON into its values.
type parser struct {
	text string
	pos  int
}

func (p *parser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// next skips a punctuation mark, if present, and the white space around it.
func (p *parser) next(mark byte) {
	p.space()
	if p.end(mark) {
		p.space()
	}
}

func (p *parser) value() (v Value) {
	start := p.pos
	switch p.text[p.pos] {
	case '{':
		v.Kind = Object
		p.next('{')
		for !p.end('}') {
			v.Members = append(v.Members, p.member())
			p.next(',')
		}
	case '[':
		v.Kind = Array
		p.next('[')
		for !p.end(']') {
			v.Items = append(v.Items, p.value())
			p.next(',')
		}
	case '"':
		v.Kind = String
		p.string()
	case 't', 'f':
		v.Kind = Bool
		p.literal()
	case 'n':
		v.Kind = Null
		p.literal()
	default:
		v.Kind = Number
		p.literal()
	}
	v.Text = p.text[start:p.pos]
	return v
}

// end skips the mark that ends an array or object, if present.
func (p *parser) end(mark byte) bool {
	if p.text[p.pos] != mark {
		return false
	}
	p.pos++
	return true
}

func (p *parser) member() Member {
	start := p.pos
	name := p.string()
	p.next(':')
	value := p.value()
	return Member{Name: name, Value: value, Text: p.text[start:p.pos]}
}

func (p *parser) string() string {
	start := p.pos
	for p.pos++; p.text[p.pos] != '"'; p.pos++ {
		if p.text[p.pos] == '\\' {
			p.pos++
		}
	}
	p.pos++
	return p.text[start:p.pos]
}

// literal skips a number or a literal.
func (p *parser) literal() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n,]}", p.text[p.pos]) < 0 {
		p.pos++
	}
}
