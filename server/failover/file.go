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

	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/internal/yamlbound"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/upstream"
)

const (
	// maxFileBytes bounds the size of a file of upstreams, maxTokens its YAML tokens.
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
		return nil, fmt.Errorf("%s:%d: %s", path, at.line, at.msg)
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
	var doc document
	decoder := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	if err := decoder.Decode(&doc); err != nil && err != io.EOF { //nolint:errorlint // the decoder does not wrap it
		return nil, lineOf(err)
	}
	if err := decoder.Decode(new(document)); err != io.EOF { //nolint:errorlint // as above
		return nil, errors.New("more than one YAML document: want one")
	}
	if len(doc.Upstreams) == 0 {
		return nil, errors.New("upstreams: the list is empty: want at least one upstream with name and url")
	}
	config := &Config{Retries: DefaultRetries, Cooldown: DefaultCooldown}
	lines := make(map[string]int)
	for _, e := range doc.Upstreams {
		if first, ok := lines[e.Name]; ok {
			return nil, &lineError{e.line, fmt.Sprintf("duplicate name %q, first used on line %d", e.Name, first)}
		}
		lines[e.Name] = e.line
		secret, err := e.Key.read(dir)
		if err != nil {
			return nil, &lineError{e.Key.line, fmt.Sprintf("key: %v", err)}
		}
		config.Upstreams = append(config.Upstreams, Upstream{Name: e.Name, BaseURL: e.URL, Key: secret, NoKey: e.Key.none})
	}
	if retries := doc.Retries; retries.line > 0 {
		if retries.value < 0 || retries.value > MaxRetries {
			return nil, &lineError{retries.line, fmt.Sprintf("retries: %d is out of range: want 0 to %d", retries.value, MaxRetries)}
		}
		config.Retries = retries.value
	}
	if cooldown := doc.Cooldown; cooldown.line > 0 {
		length, err := time.ParseDuration(cooldown.value)
		if err != nil || length <= 0 || length > MaxCooldown {
			return nil, &lineError{cooldown.line, fmt.Sprintf("invalid cooldown %.32q: want a duration up to %v, such as 10s", cooldown.value, MaxCooldown)}
		}
		config.Cooldown = length
	}
	return config, nil
}

// document is the content of a file.
type document struct {
	Upstreams []entry         `yaml:"upstreams"`
	Retries   located[int]    `yaml:"retries"`
	Cooldown  located[string] `yaml:"cooldown"`
}

// located is a value with its line, 0 if it is absent.
type located[T any] struct {
	value T
	line  int
}

// UnmarshalYAML implements [yaml.NodeUnmarshaler].
func (l *located[T]) UnmarshalYAML(node ast.Node) error {
	l.line = node.GetToken().Position.Line
	return yaml.NodeToValue(node, &l.value, yaml.Strict())
}

// entry is one upstream of a document.
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
		return &lineError{e.line, fmt.Sprintf("invalid name %.80q: want up to 64 letters, digits, \".\", \"_\" and \"-\"", e.Name)}
	}
	if e.URL == Sandbox {
		return nil
	}
	if _, err := upstream.ParseBaseURL(e.URL); err != nil {
		return &lineError{e.line, fmt.Sprintf("url of %s: %v", e.Name, err)}
	}
	return nil
}

// key is the source of an upstream key. The zero value means that no key is configured.
type key struct {
	env, file string
	none      bool
	line      int
}

// UnmarshalYAML implements [yaml.NodeUnmarshaler].
func (k *key) UnmarshalYAML(node ast.Node) error {
	k.line = lineOfNode(node)
	var text string
	if yaml.NodeToValue(node, &text) == nil {
		if text != "none" {
			return &lineError{k.line, "key: want {env: VARIABLE}, {file: PATH}, or none; the file must not contain the key itself"}
		}
		k.none = true
		return nil
	}
	var source struct {
		Env  string `yaml:"env"`
		File string `yaml:"file"`
	}
	if err := yaml.NodeToValue(node, &source, yaml.Strict()); err != nil {
		return err
	}
	if (source.Env == "") == (source.File == "") {
		return &lineError{k.line, "key: want exactly one of env and file"}
	}
	k.env, k.file = source.Env, source.File
	return nil
}

// read returns the key, or the zero Secret if none is configured. Paths are relative to dir.
func (k *key) read(dir string) (secret.Secret, error) {
	switch {
	case k.file != "" && filepath.IsAbs(k.file):
		return secret.ReadFile(k.file)
	case k.file != "":
		return secret.ReadFile(filepath.Join(dir, k.file))
	case k.env == "":
		return secret.Secret{}, nil
	}
	text, ok := os.LookupEnv(k.env)
	if !ok {
		return secret.Secret{}, fmt.Errorf("environment variable %s is not set", k.env)
	}
	key, err := secret.New(text)
	if err != nil {
		return secret.Secret{}, fmt.Errorf("environment variable %s: %w", k.env, err)
	}
	return key, nil
}

// lineError is an error with its line in the file.
type lineError struct {
	line int
	msg  string
}

// Error implements error.
func (e *lineError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

// lineOf returns an error of the decoder with its line, and without the decoder's excerpt of
// the file, which may contain a key.
func lineOf(err error) error {
	if located, ok := errors.AsType[*lineError](err); ok {
		return located
	}
	located, ok := errors.AsType[yaml.Error](err)
	if !ok || located.GetToken() == nil {
		return err
	}
	return &lineError{located.GetToken().Position.Line, located.GetMessage()}
}

// lineOfNode returns the first line of a value.
func lineOfNode(node ast.Node) int {
	if mapping, ok := node.(*ast.MappingNode); ok && len(mapping.Values) > 0 {
		node = mapping.Values[0].Key
	}
	return node.GetToken().Position.Line
}
