package clients

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/openai-connect/openai-connect/server/internal/yamlbound"
)

// maxTokens bounds the keys and values of a file: enough for 50,000 clients.
const maxTokens = 500_000

// reader takes values out of a YAML document, and notes what is wrong with them.
// Strictly: a field has the one type that it shall have, anchors, tags and several
// documents are refused.
type reader struct {
	file     string
	problems LineErrors
}

// member is a field of a mapping.
type member struct {
	name  string
	key   *token.Token
	value ast.Node
}

// notef notes a problem of what a token of the text is in.
func (r *reader) notef(at *token.Token, field, format string, values ...any) {
	r.noteLinef(lineOf(at), field, format, values...)
}

func (r *reader) noteLinef(line int, field, format string, values ...any) {
	r.problems = append(r.problems, LineError{r.file, line, field, fmt.Sprintf(format, values...)})
}

func lineOf(at *token.Token) int {
	if at == nil || at.Position == nil {
		return 1
	}
	return at.Position.Line
}

// parse returns the one document of a text, nil if it has none.
func (r *reader) parse(text []byte) ast.Node {
	if bound, ok := errors.AsType[*yamlbound.Error](yamlbound.Check(text, maxTokens)); ok {
		r.noteLinef(bound.Line, "", "%s", bound.Says)
		return nil
	}
	file, err := parser.ParseBytes(text, 0)
	if failed, ok := errors.AsType[yaml.Error](err); ok {
		r.notef(failed.GetToken(), "", "is no YAML: %s", oneLine(failed.GetMessage()))
		return nil
	}
	if err != nil {
		r.noteLinef(1, "", "is no YAML: %s", oneLine(err.Error()))
		return nil
	}
	var body ast.Node
	for _, document := range file.Docs {
		switch {
		case document == nil || document.Body == nil || document.Body.Type() == ast.CommentType:
		case body == nil:
			body = document.Body
		default:
			r.notef(document.Body.GetToken(), "", "a second document begins here: put all into the first")
			return nil
		}
	}
	if body == nil {
		r.noteLinef(1, "", "is empty: it needs clients, a list: `openai-connect clients add` makes one")
	}
	return body
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// mapping returns the fields of a node, nil if it has none.
func (r *reader) mapping(node ast.Node, field string) []member {
	var values []*ast.MappingValueNode
	switch node := node.(type) {
	case *ast.MappingNode:
		values = node.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{node}
	default:
		r.notef(node.GetToken(), field, "must have fields, not %s", kindOf(node))
		return nil
	}
	if len(values) == 0 {
		r.notef(node.GetToken(), field, "has no fields: write them, or leave it out")
	}
	members := make([]member, 0, len(values))
	seen := make(map[string]int, len(values))
	for _, value := range values {
		key, plain := value.Key.(*ast.StringNode)
		if !plain {
			r.notef(value.Key.GetToken(), field, "has %s for the name of a field: write a text", kindOf(value.Key))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			r.notef(key.Token, within(field, key.Value), "is in line %d already: leave one out", line)
			continue
		}
		seen[key.Value] = lineOf(key.Token)
		members = append(members, member{key.Value, key.Token, value.Value})
	}
	return members
}

// list returns the values of a node, nil if it isn't a list.
func (r *reader) list(node ast.Node, field string) []ast.Node {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		r.notef(node.GetToken(), field, "must be a list, not %s", kindOf(node))
		return nil
	}
	return sequence.Values
}

// text returns a text of one line, and false if the node isn't one.
func (r *reader) text(node ast.Node, field string) (string, bool) {
	text, ok := node.(*ast.StringNode)
	switch {
	case !ok && isNumber(node):
		r.notef(node.GetToken(), field, "must be a text, not %s: put it in quotes", kindOf(node))
		return "", false
	case !ok:
		r.notef(node.GetToken(), field, "must be a text, not %s", kindOf(node))
		return "", false
	case strings.ContainsFunc(text.Value, func(c rune) bool { return c < ' ' || c == 0x7f }):
		r.notef(text.Token, field, "has a control character: leave it out")
		return "", false
	}
	return text.Value, true
}

// count returns a whole number above zero, and false if the node isn't one.
func (r *reader) count(node ast.Node, field string) (int64, bool) {
	const toDo = "write a whole number from 1 on, or none where nothing is to be limited"
	if text, ok := node.(*ast.StringNode); ok && text.Value == none {
		return 0, true
	}
	number, ok := node.(*ast.IntegerNode)
	if !ok {
		r.notef(node.GetToken(), field, "must be a whole number, not %s: %s", kindOf(node), toDo)
		return 0, false
	}
	switch value := number.Value.(type) {
	case int64:
		if value > 0 {
			return value, true
		}
	case uint64:
		if value > 0 && value < 1<<63 {
			return int64(value), true
		}
	}
	r.notef(number.Token, field, "%s is out of bounds: %s", oneLine(number.Token.Value), toDo)
	return 0, false
}

// within names a field of a field.
func within(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

func isNumber(node ast.Node) bool {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return true
	}
	return false
}

// kindOf says what a node is, to someone who wrote it.
func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode:
		return "a text"
	case *ast.LiteralNode:
		return "a text of several lines"
	case *ast.IntegerNode:
		return "a number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a fraction"
	case *ast.BoolNode:
		return "true or false"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "fields"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or a reference, which defaults serve for"
	case *ast.TagNode:
		return "a tag"
	default:
		return "this"
	}
}
