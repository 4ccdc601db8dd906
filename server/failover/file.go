package failover

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/internal/yamlbound"
	"github.com/openai-connect/openai-connect/server/upstream"
)

const (
	// maxFileBytes bounds the file of upstreams, and maxTokens its keys and values.
	maxFileBytes = 1 << 20
	maxTokens    = 20_000
)

// DefaultRetries is [Config.Retries] for a file of upstreams without retries.
const DefaultRetries = 1

// Sandbox as the base URL of an upstream is the sandbox embedded in the server.
const Sandbox = "sandbox"

// ReadFile reads a YAML file of upstreams and the keys that it refers to:
//
//	upstreams:            # in order of preference
//	  - name: openai
//	    url: https://api.openai.com/v1
//	    key: {env: OPENAI_CONNECT_KEY_1}
//	  - name: openai-second-key
//	    url: https://api.openai.com/v1
//	    key: {file: /run/secrets/second}
//	  - name: local
//	    url: http://127.0.0.1:8000/v1
//	    key: none           # the upstream requires no key
//	retries: 1
//	cooldown: 10s
//
// Paths of key files are relative to the directory of the file. Without a key, the
// authorization of the request is sent. An error names the file and the line, and
// never contains a key.
func ReadFile(path string) (*Config, error) {
	text, err := readfile.Read(path, maxFileBytes, readfile.Patience)
	if err != nil {
		return nil, err
	}
	parsed, err := Parse(text, filepath.Dir(path))
	if at, ok := errors.AsType[*lineError](err); ok {
		return nil, fmt.Errorf("%s:%d: %s", path, at.line, at.says)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return parsed, nil
}

// Parse is [ReadFile] for the text of a file in a directory.
func Parse(text []byte, dir string) (*Config, error) {
	if bound, ok := errors.AsType[*yamlbound.Error](yamlbound.Check(text, maxTokens)); ok {
		return nil, &lineError{bound.Line, bound.Says}
	}
	var written document
	decoder := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	if err := decoder.Decode(&written); err != nil && err != io.EOF { //nolint:errorlint // as the decoder has it
		return nil, lineOf(err)
	}
	if err := decoder.Decode(new(document)); err != io.EOF { //nolint:errorlint // as above
		return nil, errors.New("there is something behind the document: write one")
	}
	if len(written.Upstreams) == 0 {
		return nil, errors.New("upstreams: there is none: list one at least, with name and url")
	}
	config := &Config{Retries: DefaultRetries, Cooldown: DefaultCooldown}
	lines := make(map[string]int)
	for _, one := range written.Upstreams {
		if before, ok := lines[one.Name]; ok {
			return nil, &lineError{one.line, fmt.Sprintf("name: %q is the name of the upstream on line %d too", one.Name, before)}
		}
		lines[one.Name] = one.line
		secret, err := one.Key.read(dir)
		if err != nil {
			return nil, &lineError{one.Key.line, fmt.Sprintf("key: %v", err)}
		}
		config.Upstreams = append(config.Upstreams, Upstream{Name: one.Name, BaseURL: one.URL, Key: secret, NoKey: one.Key.none})
	}
	if at := written.Retries; at.line > 0 {
		if at.value < 0 || at.value > MaxRetries {
			return nil, &lineError{at.line, fmt.Sprintf("retries: %d is out of bounds: give a number from 0 to %d", at.value, MaxRetries)}
		}
		config.Retries = at.value
	}
	if at := written.Cooldown; at.line > 0 {
		length, err := time.ParseDuration(at.value)
		if err != nil || length <= 0 || length > MaxCooldown {
			return nil, &lineError{at.line, fmt.Sprintf("cooldown: %.32q is no time up to %v: write it like 10s", at.value, MaxCooldown)}
		}
		config.Cooldown = length
	}
	return config, nil
}

// document is a file as it is written.
type document struct {
	Upstreams []entry        `yaml:"upstreams"`
	Retries   placed[int]    `yaml:"retries"`
	Cooldown  placed[string] `yaml:"cooldown"`
}

// placed is a value with the line that it is on, 0 if it isn't there.
type placed[T any] struct {
	value T
	line  int
}

// UnmarshalYAML implements [yaml.NodeUnmarshaler].
func (p *placed[T]) UnmarshalYAML(node ast.Node) error {
	p.line = node.GetToken().Position.Line
	return yaml.NodeToValue(node, &p.value, yaml.Strict())
}

// entry is an upstream as it is written.
type entry struct {
	Name string `yaml:"name"`
	URL  string `yaml:"url"`
	Key  key    `yaml:"key"`

	line int
}

// UnmarshalYAML implements [yaml.NodeUnmarshaler].
func (e *entry) UnmarshalYAML(node ast.Node) error {
	type plain entry
	if err := yaml.NodeToValue(node, (*plain)(e), yaml.Strict()); err != nil {
		return err
	}
	e.line = lineOfNode(node)
	if !validName.MatchString(e.Name) {
		return &lineError{e.line, fmt.Sprintf("name: %.80q is none: give up to 64 letters, digits, and the signs - _ and .", e.Name)}
	}
	if e.URL == Sandbox {
		return nil
	}
	if _, err := upstream.ParseBaseURL(e.URL); err != nil {
		return &lineError{e.line, fmt.Sprintf("url of %s: %v", e.Name, err)}
	}
	return nil
}

// key is where an upstream's key is; nowhere if neither is given.
type key struct {
	env, file string
	none      bool
	line      int
}

// UnmarshalYAML implements [yaml.NodeUnmarshaler].
func (k *key) UnmarshalYAML(node ast.Node) error {
	k.line = lineOfNode(node)
	var word string
	if yaml.NodeToValue(node, &word) == nil {
		if word != "none" {
			return &lineError{k.line, "key: give {env: VARIABLE}, {file: PATH}, or none; the key itself has no place in this file"}
		}
		k.none = true
		return nil
	}
	var from struct {
		Env  string `yaml:"env"`
		File string `yaml:"file"`
	}
	if err := yaml.NodeToValue(node, &from, yaml.Strict()); err != nil {
		return err
	}
	if (from.Env == "") == (from.File == "") {
		return &lineError{k.line, "key: give one of env and file"}
	}
	k.env, k.file = from.Env, from.File
	return nil
}

// read returns the key, none if there is none. Files are named from a folder.
func (k *key) read(folder string) (auth.Secret, error) {
	switch {
	case k.file != "" && filepath.IsAbs(k.file):
		return auth.ReadSecret(k.file)
	case k.file != "":
		return auth.ReadSecret(filepath.Join(folder, k.file))
	case k.env == "":
		return auth.Secret{}, nil
	}
	text, given := os.LookupEnv(k.env)
	if !given {
		return auth.Secret{}, fmt.Errorf("the environment has no variable %s", k.env)
	}
	secret, err := auth.NewSecret(text)
	if err != nil {
		return auth.Secret{}, fmt.Errorf("the variable %s: %w", k.env, err)
	}
	return secret, nil
}

// lineError is an error with the line that it is on.
type lineError struct {
	line int
	says string
}

// Error implements error.
func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.says) }

// lineOf returns an error of the decoder with its line, and without the excerpt of
// the file that it prints.
func lineOf(err error) error {
	if at, ok := errors.AsType[*lineError](err); ok {
		return at
	}
	at, ok := errors.AsType[yaml.Error](err)
	if !ok || at.GetToken() == nil {
		return err
	}
	return &lineError{at.GetToken().Position.Line, at.GetMessage()}
}

// lineOfNode returns the line on which a value begins.
func lineOfNode(node ast.Node) int {
	if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		node = mapping.Values[0].Key
	}
	return node.GetToken().Position.Line
}
