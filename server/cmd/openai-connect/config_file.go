package main

import (
	"encoding"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/internal/strictyaml"
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
		return nil, nil //nolint:nilnil // kong then takes the default
	}
	c.load(command)
	if _, isSet := variableOf(flag); isSet {
		return nil, nil //nolint:nilnil // kong then takes the default
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
	text, err := readfile.Read(c.path, maxConfigBytes, readfile.Timeout)
	if err != nil {
		return err
	}
	byKey := make(map[string]*kong.Flag, len(flags))
	for _, flag := range flags {
		byKey[keyOf(flag)] = flag
	}
	doc := strictyaml.Parse(c.path, text, maxConfigTokens)
	for _, field := range doc.Root().Fields(slices.Sorted(maps.Keys(byKey))...) {
		flag := byKey[field.Name]
		if value, ok := valueOf(flag, field.Value); ok {
			c.settings[flag.Name] = configSetting{value, c.path, field.Line()}
		}
	}
	return doc.Err()
}

// keyOf returns the key of a flag.
func keyOf(flag *kong.Flag) string { return strings.ReplaceAll(flag.Name, "-", "_") }

// valueOf returns a value as kong expects it for a flag.
func valueOf(flag *kong.Flag, value strictyaml.Value) (any, bool) {
	kind := flag.Target.Type()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	_, isText := reflect.TypeAssert[encoding.TextUnmarshaler](reflect.New(kind))
	switch {
	case kind.Kind() == reflect.Slice:
		items, ok := value.List()
		texts := make([]any, len(items))
		for i, item := range items {
			var isString bool
			texts[i], isString = item.Text()
			ok = ok && isString
		}
		return texts, ok
	case kind.Kind() == reflect.Bool:
		return value.Bool()
	case kind.Kind() == reflect.String || isText || kind == reflect.TypeFor[time.Duration]():
		return value.Text()
	default:
		number, ok := value.Int(math.MinInt64, math.MaxInt64, "an integer")
		return strconv.FormatInt(number, 10), ok
	}
}
