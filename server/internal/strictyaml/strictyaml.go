// Package strictyaml reads configuration files in a strict subset of YAML.
//
// A file is one document of mappings, lists and scalars, of limited size and depth.
// Each field has one type. Unknown and duplicate fields, anchors, aliases and tags are
// problems. All problems of a file are reported together, each with its line and field:
//
//	doc := strictyaml.Parse("upstreams.yaml", text, 20_000)
//	for _, field := range doc.Root().Fields("upstreams", "retries") {
//		switch field.Name {
//		case "retries":
//			retries, _ = field.Int(0, 5)
//		…
//	}
//	return doc.Err()
//
// Methods of [Value] report a value that is not of the expected type, and return false
// or nothing for it. Problems never quote values, which may be secrets, except names of
// fields and numbers.
package strictyaml

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Document is a parsed file and its problems.
type Document struct {
	file     string
	root     ast.Node
	problems Errors
}

// Parse parses the text of a file of at most maxTokens keys, values and comments. The
// result is never nil. Its problems include those of the syntax.
func Parse(file string, text []byte, maxTokens int) *Document {
	d := &Document{file: file}
	if limit := checkLimits(text, maxTokens); limit != nil {
		d.Errorf(limit.Line, "", "%s", limit.Text)
		return d
	}
	parsed, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if failed, ok := errors.AsType[yaml.Error](err); ok {
		d.Errorf(lineOf(failed.GetToken()), "", "invalid YAML: %s", oneLine(failed.GetMessage()))
		return d
	}
	if err != nil {
		d.Errorf(1, "", "invalid YAML: %s", oneLine(err.Error()))
		return d
	}
	for _, document := range parsed.Docs {
		switch {
		case document == nil || document.Body == nil || document.Body.Type() == ast.CommentType:
		case d.root == nil:
			d.root = document.Body
		default:
			d.Errorf(lineOf(document.Body.GetToken()), "", "second YAML document: want one")
		}
	}
	return d
}

// Root returns the value of the document. It does not exist if the file is empty or
// invalid.
func (d *Document) Root() Value { return Value{doc: d, node: d.root} }

// Errorf adds a problem.
func (d *Document) Errorf(line int, field, format string, args ...any) {
	d.problems = append(d.problems, Error{d.file, line, field, fmt.Sprintf(format, args...)})
}

// Problems returns the number of problems so far.
func (d *Document) Problems() int { return len(d.problems) }

// Err returns the problems as [Errors], or nil if there are none.
func (d *Document) Err() error { return d.problems.Err() }

// Value is a value in a document. The methods of a Value that does not exist return
// nothing and report no problem.
type Value struct {
	doc   *Document
	node  ast.Node
	key   *token.Token // nil for the root and for list items
	field string
}

// Field is a field of a mapping.
type Field struct {
	Value

	Name string
}

// Exists reports whether there is a value.
func (v Value) Exists() bool { return v.node != nil }

// Node returns the syntax tree, for editors.
func (v Value) Node() ast.Node { return v.node }

// Line returns the line of the value, or of its key. It is 1 for a value that does not
// exist.
func (v Value) Line() int {
	if v.key != nil {
		return lineOf(v.key)
	}
	if mapping, ok := v.node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		return lineOf(mapping.Values[0].Key.GetToken())
	}
	if v.node == nil {
		return 1
	}
	if entry, ok := v.node.(*ast.MappingValueNode); ok {
		return lineOf(entry.Key.GetToken())
	}
	return lineOf(v.node.GetToken())
}

// Errorf adds a problem of the value.
func (v Value) Errorf(format string, args ...any) {
	v.doc.Errorf(v.Line(), v.field, format, args...)
}

// mismatch adds the problem of a value with the wrong type.
func (v Value) mismatch(want string) {
	if v.Exists() {
		v.Errorf("is %s: want %s", describe(v.node), want)
	}
}

// maxNames is the number of names that a problem lists.
const maxNames = 10

// Fields returns the fields of a mapping, in the order of the file. It reports fields
// with other names than the known ones.
func (v Value) Fields(known ...string) []Field {
	fields := v.Entries()
	return slices.DeleteFunc(fields, func(f Field) bool {
		if slices.Contains(known, f.Name) {
			return false
		}
		advice := ""
		if nearest := Nearest(f.Name, known); nearest != "" {
			advice = fmt.Sprintf(": did you mean %q?", nearest)
		} else if len(known) <= maxNames {
			advice = ": want one of " + strings.Join(known, ", ")
		}
		v.doc.Errorf(f.Line(), v.field, "unknown field %q%s", f.Name, advice)
		return true
	})
}

// Entries returns the fields of a mapping with arbitrary names, in the order of the
// file.
func (v Value) Entries() []Field {
	var nodes []*ast.MappingValueNode
	switch node := v.node.(type) {
	case *ast.MappingNode:
		nodes = node.Values
	case *ast.MappingValueNode:
		nodes = []*ast.MappingValueNode{node}
	default:
		v.mismatch("a mapping")
		return nil
	}
	if len(nodes) == 0 {
		v.Errorf("is empty: remove it or add fields")
	}
	fields := make([]Field, 0, len(nodes))
	seen := make(map[string]int, len(nodes))
	for _, node := range nodes {
		key, ok := node.Key.(*ast.StringNode)
		if !ok {
			v.doc.Errorf(lineOf(node.Key.GetToken()), v.field, "the name of a field is %s: want a string", describe(node.Key))
			continue
		}
		path := key.Value
		if v.field != "" {
			path = v.field + "." + path
		}
		if line, duplicate := seen[key.Value]; duplicate {
			v.doc.Errorf(lineOf(key.Token), path, "duplicate field, first on line %d", line)
			continue
		}
		seen[key.Value] = lineOf(key.Token)
		fields = append(fields, Field{Value{doc: v.doc, node: node.Value, key: key.Token, field: path}, key.Value})
	}
	return fields
}

// List returns the items of a list, and false for any other value. Fields of an item
// are named from the item.
func (v Value) List() ([]Value, bool) {
	sequence, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.mismatch("a list")
		return nil, false
	}
	items := make([]Value, len(sequence.Values))
	for i, node := range sequence.Values {
		items[i] = Value{doc: v.doc, node: node, field: v.field}
		switch node.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			items[i].field = ""
		}
	}
	return items, true
}

// Is reports whether the value is the given string. It reports no problem otherwise.
func (v Value) Is(text string) bool {
	node, ok := v.node.(*ast.StringNode)
	return ok && node.Value == text
}

// Text returns a string of one line.
func (v Value) Text() (string, bool) {
	text, ok := v.node.(*ast.StringNode)
	switch {
	case !ok && isScalar(v.node):
		v.mismatch("a string in quotes")
		return "", false
	case !ok:
		v.mismatch("a string")
		return "", false
	case strings.ContainsFunc(text.Value, func(c rune) bool { return c < ' ' || c == 0x7f }):
		v.Errorf("contains a control character")
		return "", false
	}
	return text.Value, true
}

// Int returns an integer from low to high.
func (v Value) Int(low, high int64, want string) (int64, bool) {
	number, ok := v.node.(*ast.IntegerNode)
	if !ok {
		v.mismatch(want)
		return 0, false
	}
	switch value := number.Value.(type) {
	case int64:
		if low <= value && value <= high {
			return value, true
		}
	case uint64:
		if value <= uint64(max(high, 0)) && int64(value) >= low {
			return int64(value), true
		}
	}
	v.Errorf("%s is out of range: want %s", oneLine(number.Token.Value), want)
	return 0, false
}

// Bool returns a boolean.
func (v Value) Bool() (value, ok bool) {
	node, ok := v.node.(*ast.BoolNode)
	if !ok {
		v.mismatch("true or false")
		return false, false
	}
	return node.Value, true
}

func lineOf(at *token.Token) int {
	if at == nil || at.Position == nil {
		return 1
	}
	return at.Position.Line
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// isScalar reports whether a node is a scalar that would be a string in quotes.
func isScalar(node ast.Node) bool {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	}
	return false
}

// describe returns the type of a node with its article.
func describe(node ast.Node) string {
	switch node.(type) {
	case *ast.NullNode:
		return "empty"
	case *ast.StringNode:
		return "a string"
	case *ast.LiteralNode:
		return "a string of several lines"
	case *ast.IntegerNode:
		return "an integer"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a floating-point number"
	case *ast.BoolNode:
		return "a boolean"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or an alias"
	case *ast.TagNode:
		return "a tag"
	default:
		return "of another type"
	}
}
