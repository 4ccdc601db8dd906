package main

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/internal/yamlbound"
)

const (
	maxConfigBytes  = 1 << 20
	maxConfigTokens = 20_000
)

// configPath is the value of --config.
type configPath string

// configFile is a [kong.Resolver] of the flags in the file that --config names.
type configFile struct {
	path     string
	settings map[string]configSetting // by flag
	err      error                    // of reading the file
}

// configSetting is a value of a flag.
type configSetting struct {
	value any // string, bool, or []any of strings
	path  string
	line  int
}

func (s configSetting) place() string { return fmt.Sprintf("%s:%d", s.path, s.line) }

func (c *configFile) setting(flag string) (configSetting, bool) {
	setting, ok := c.settings[flag]
	return setting, ok
}

// Validate implements [kong.Resolver].
func (c *configFile) Validate(*kong.Application) error { return nil }

// Resolve implements [kong.Resolver].
func (c *configFile) Resolve(command *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if flag.Target.Type() == reflect.TypeFor[configPath]() {
		return nil, nil
	}
	c.load(command)
	if _, isSet := variableOf(flag); isSet {
		return nil, nil
	}
	return c.settings[flag.Name].value, nil
}

// load reads the file, once. An error is kept, as kong would add the name of another
// flag to it.
func (c *configFile) load(command *kong.Context) {
	if c.settings != nil {
		return
	}
	c.settings = make(map[string]configSetting)
	flags := command.Selected().Flags
	at := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Target.Type() == reflect.TypeFor[configPath]() })
	if at < 0 {
		return
	}
	path, _ := command.FlagValue(flags[at]).(configPath)
	if c.path = string(path); path == "" {
		return
	}
	if err := c.read(slices.Delete(slices.Clone(flags), at, at+1)); err != nil {
		c.err = fmt.Errorf("--config: %w", err)
	}
}

func (c *configFile) read(flags []*kong.Flag) error {
	text, err := readfile.Read(c.path, maxConfigBytes, readfile.Patience)
	if err != nil {
		return err
	}
	if err, ok := errors.AsType[*yamlbound.Error](yamlbound.Check(text, maxConfigTokens)); ok {
		return fmt.Errorf("%s:%d: %s", c.path, err.Line, err.Says)
	}
	file, err := parser.ParseBytes(text, 0)
	if err, ok := errors.AsType[yaml.Error](err); ok {
		return fmt.Errorf("%s:%d: %s", c.path, err.GetToken().Position.Line, err.GetMessage())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	if len(file.Docs) > 1 {
		return fmt.Errorf("%s: has %d documents: want one", c.path, len(file.Docs))
	}
	var entries []*ast.MappingValueNode
	for _, document := range file.Docs {
		switch body := document.Body.(type) {
		case nil:
		case *ast.MappingNode:
			entries = body.Values
		case *ast.MappingValueNode:
			entries = []*ast.MappingValueNode{body}
		default:
			return fmt.Errorf("%s:%d: want keys and values, such as listen: 127.0.0.1:8080", c.path, body.GetToken().Position.Line)
		}
	}
	for _, entry := range entries {
		key, line := entry.Key.String(), entry.Key.GetToken().Position.Line
		at := slices.IndexFunc(flags, func(f *kong.Flag) bool { return keyOf(f) == key })
		if at < 0 {
			return fmt.Errorf("%s:%d: unknown key %q: %s", c.path, line, key, suggestKey(key, flags))
		}
		value, want := valueOf(flags[at], entry.Value)
		if value == nil {
			return fmt.Errorf("%s:%d: %s: want %s", c.path, line, key, want)
		}
		c.settings[flags[at].Name] = configSetting{value, c.path, line}
	}
	return nil
}

// keyOf returns the key of a flag.
func keyOf(flag *kong.Flag) string { return strings.ReplaceAll(flag.Name, "-", "_") }

// valueOf returns the value of a node as kong takes it. If the type is not the
// flag's, the value is nil, and want describes the type.
func valueOf(flag *kong.Flag, node ast.Node) (value any, want string) {
	kind := flag.Target.Type()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	_, isText := reflect.New(kind).Interface().(encoding.TextUnmarshaler)
	switch {
	case kind.Kind() == reflect.Slice:
		list, ok := node.(*ast.SequenceNode)
		if !ok {
			return nil, "a list of strings"
		}
		values := make([]any, 0, len(list.Values))
		for _, item := range list.Values {
			text, ok := item.(*ast.StringNode)
			if !ok {
				return nil, "a list of strings"
			}
			values = append(values, text.Value)
		}
		return values, ""
	case kind.Kind() == reflect.Bool:
		if flag, ok := node.(*ast.BoolNode); ok {
			return flag.Value, ""
		}
		return nil, "true or false"
	case kind == reflect.TypeFor[time.Duration]():
		want = "a duration, such as 30s"
	case kind.Kind() == reflect.String || isText:
		want = "a string"
	default:
		if number, ok := node.(*ast.IntegerNode); ok {
			return fmt.Sprint(number.Value), ""
		}
		return nil, "an integer"
	}
	switch text := node.(type) {
	case *ast.StringNode:
		return text.Value, ""
	case *ast.LiteralNode:
		return text.Value.Value, ""
	default:
		return nil, want
	}
}

// suggestKey returns what to write instead of an unknown key: the nearest one, if there
// is one near.
func suggestKey(key string, flags []*kong.Flag) string {
	best, least := "", max(2, len(key)/3)
	for _, flag := range flags {
		if d := editDistance(key, keyOf(flag)); d <= least && !flag.Hidden {
			best, least = keyOf(flag), d
		}
	}
	if best == "" {
		return "want the name of a flag in snake_case"
	}
	return "did you mean " + best + "?"
}

// editDistance returns the Levenshtein distance of two strings.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
