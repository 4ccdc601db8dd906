package failover

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/internal/strictyaml"
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
	text, err := readfile.Read(path, maxFileBytes, readfile.Timeout)
	if err != nil {
		return nil, err
	}
	return Parse(path, text)
}

// Parse is [ReadFile] for the text of a file.
func Parse(path string, text []byte) (*Config, error) {
	doc := strictyaml.Parse(path, text, maxTokens)
	config := &Config{Retries: DefaultRetries, Cooldown: DefaultCooldown}
	for _, field := range doc.Root().Fields("upstreams", "retries", "cooldown") {
		switch field.Name {
		case "upstreams":
			config.Upstreams = parseUpstreams(path, field.Value)
		case "retries":
			retries, _ := field.Int(0, MaxRetries, fmt.Sprintf("an integer from 0 to %d", MaxRetries))
			config.Retries = int(retries)
		case "cooldown":
			text, ok := field.Text()
			cooldown, err := time.ParseDuration(text)
			if ok && (err != nil || cooldown <= 0 || cooldown > MaxCooldown) {
				field.Errorf("invalid duration %.32q: want up to %v, such as 10s", text, MaxCooldown)
			}
			config.Cooldown = cooldown
		}
	}
	if len(config.Upstreams) == 0 && doc.Err() == nil {
		doc.Errorf(1, "upstreams", "is missing or empty: want at least one upstream with name and url")
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return config, nil
}

func parseUpstreams(path string, list strictyaml.Value) []Upstream {
	items, _ := list.List()
	upstreams := make([]Upstream, 0, len(items))
	lines := make(map[string]int)
	for _, item := range items {
		u := parseUpstream(path, item)
		if line, duplicate := lines[u.Name]; duplicate {
			item.Errorf("duplicate name %q, first used on line %d", u.Name, line)
		}
		lines[u.Name] = item.Line()
		upstreams = append(upstreams, u)
	}
	return upstreams
}

func parseUpstream(path string, item strictyaml.Value) Upstream {
	var u Upstream
	for _, field := range item.Fields("name", "url", "key") {
		switch field.Name {
		case "name":
			u.Name, _ = field.Text()
		case "url":
			u.BaseURL, _ = field.Text()
		case "key":
			if u.NoKey = field.Is("none"); !u.NoKey {
				u.Key = parseKey(path, field)
			}
		}
	}
	if !validName.MatchString(u.Name) {
		item.Errorf(`invalid name %.80q: want up to 64 letters, digits, ".", "_" and "-"`, u.Name)
	}
	if _, err := upstream.ParseBaseURL(u.BaseURL); err != nil && u.BaseURL != Sandbox {
		item.Errorf("url of %s: %v", u.Name, err)
	}
	return u
}

func parseKey(path string, field strictyaml.Field) secret.Secret {
	if _, isMapping := field.Node().(ast.MapNode); !isMapping {
		field.Errorf("want {env: VARIABLE}, {file: PATH}, or none; the file must not contain the key itself")
		return secret.Secret{}
	}
	source, _ := secret.ParseSource(field.Value)
	key, err := source.Read(filepath.Dir(path))
	if err != nil {
		field.Errorf("%v", err)
	}
	return key
}
