package secret

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/openai-connect/openai-connect/server/internal/strictyaml"
)

// Source is where a secret is stored: in an environment variable or in a file. The
// zero value is neither.
type Source struct {
	Env  string `json:"env,omitempty"  yaml:"env,omitempty"`
	File string `json:"file,omitempty" yaml:"file,omitempty"`
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check returns an error unless s has one of Env and File.
func (s Source) Check() error {
	switch {
	case (s.Env == "") == (s.File == ""):
		return errors.New("want {env: VARIABLE} or {file: PATH}")
	case s.Env != "" && !variableName.MatchString(s.Env):
		// Not quoted, as it may be the secret itself.
		return errors.New("env is not the name of an environment variable: want its name, not the key itself")
	}
	return nil
}

// ParseSource reads "{env: VARIABLE}" or "{file: PATH}".
func ParseSource(v strictyaml.Value) (Source, bool) {
	var s Source
	fields := v.Fields("env", "file")
	for _, field := range fields {
		text, ok := field.Text()
		if !ok {
			return Source{}, false
		}
		if field.Name == "env" {
			s.Env = text
		} else {
			s.File = text
		}
	}
	if len(fields) == 0 {
		return Source{}, false
	}
	if err := s.Check(); err != nil {
		v.Errorf("%v", err)
		return Source{}, false
	}
	return s, true
}

// Path returns the path of the file, or "" without one. A relative path is relative to
// dir.
func (s Source) Path(dir string) string {
	if s.File == "" || filepath.IsAbs(s.File) {
		return s.File
	}
	return filepath.Join(dir, s.File)
}

// Read returns the secret, or the zero Secret for the zero Source. The error does not
// quote the secret.
func (s Source) Read(dir string) (Secret, error) {
	switch {
	case s.File != "":
		return ReadFile(s.Path(dir))
	case s.Env == "":
		return Secret{}, nil
	}
	text, isSet := os.LookupEnv(s.Env)
	if !isSet {
		return Secret{}, fmt.Errorf("environment variable %s is not set", s.Env)
	}
	found, err := New(text)
	if err != nil {
		return Secret{}, fmt.Errorf("environment variable %s: %w", s.Env, err)
	}
	return found, nil
}
