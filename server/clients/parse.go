package clients

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// document is what a file says.
type document struct {
	entries []Entry
	list    *ast.SequenceNode // of the tokens
	next    int               // the line of the field behind the list, 0 if there is none
}

// Read returns what a file says of its clients, in its order. It looks for no key
// that the file names.
func Read(file string) ([]Entry, error) {
	text, err := readText(file)
	if err != nil {
		return nil, err
	}
	read, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	return read.entries, nil
}

// parse reads the text of a file.
func parse(file string, text []byte) (*document, error) {
	r := &reader{file: file}
	read := new(document)
	root := r.parse(text)
	if root == nil {
		return nil, r.problems.err()
	}
	defaults := new(settings)
	var list ast.Node
	for _, m := range r.mapping(root, "") {
		if list != nil && read.next == 0 {
			read.next = lineOf(m.key)
		}
		switch m.name {
		case "defaults":
			for _, field := range r.mapping(m.value, "defaults") {
				r.setting(defaults, field, "defaults")
			}
		case "clients":
			list = m.value
		default:
			r.notef(m.key, "", "%q is no field of the file: it has defaults and clients", m.name)
		}
	}
	if list == nil && len(r.problems) == 0 {
		r.noteLinef(1, "clients", "is missing: write the list of clients, or clients: [] for none")
	}
	if list != nil {
		read.entries = r.entries(list, defaults)
		read.list, _ = list.(*ast.SequenceNode)
	}
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	return read, nil
}

// entries reads the list of tokens.
func (r *reader) entries(list ast.Node, defaults *settings) []Entry {
	names, hashes := make(map[string]int), make(map[Hash]int)
	values := r.list(list, "clients")
	entries := make([]Entry, 0, len(values))
	for i, value := range values {
		e, ok := r.entry(value, defaults)
		if !ok {
			continue
		}
		if line, twice := names[e.Name]; twice {
			r.noteLinef(e.place.name, "name", "%q is a token of line %d already: names tell clients apart", e.Name, line)
		}
		if line, twice := hashes[e.Hash]; twice {
			r.noteLinef(e.place.hash, "hash", "is that of line %d already: give each client a token of its own, by `openai-connect clients add`", line)
		}
		names[e.Name], hashes[e.Hash] = e.place.name, e.place.hash
		if sequence, block := list.(*ast.SequenceNode); block && !sequence.IsFlowStyle && i < len(sequence.Entries) {
			e.place.entry = lineOf(sequence.Entries[i].Start)
		}
		entries = append(entries, e)
	}
	return entries
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)

// CheckName says what is wrong with the name of a token.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q is no name of a token: it has 1 to 64 letters of a to z, digits, and . _ @ -", name)
	}
	return nil
}

// entry reads one token, and returns false if it lacks what names it.
func (r *reader) entry(node ast.Node, defaults *settings) (Entry, bool) {
	var (
		own       settings
		name      string
		hash      Hash
		at        place
		has       = make(map[string]bool)
		described = len(r.problems)
	)
	for _, m := range r.mapping(node, "clients") {
		has[m.name] = true
		switch m.name {
		case "name":
			at.name = lineOf(m.key)
			if text, ok := r.text(m.value, "name"); ok {
				name = text
				if err := CheckName(text); err != nil {
					r.notef(m.key, "name", "%v", err)
				}
			}
		case "hash":
			at.hash = lineOf(m.key)
			if text, ok := r.text(m.value, "hash"); ok {
				var err error
				if hash, err = parseHash(text); err != nil {
					r.notef(m.key, "hash", "%v", err)
				}
			}
		default:
			r.setting(&own, m, "")
		}
	}
	if len(r.problems) > described {
		return Entry{}, false
	}
	for _, field := range []string{"name", "hash"} {
		if !has[field] {
			r.notef(node.GetToken(), field, "is missing: `openai-connect clients add` writes an entry with both")
		}
	}
	if !has["name"] || !has["hash"] {
		return Entry{}, false
	}
	e := own.entry(defaults)
	e.Name, e.Hash = name, hash
	at.key = e.place.key
	if at.key == 0 {
		at.key = at.name
	}
	e.place = at
	return e, true
}

// setting reads a field that tokens and the defaults have.
func (r *reader) setting(s *settings, m member, parent string) {
	field := within(parent, m.name)
	switch m.name {
	case "expires":
		if at, ok := r.expiry(m.value, field); ok {
			s.expires = &at
		}
	case "upstream_key":
		s.keyLine = lineOf(m.key)
		s.key = r.source(m.value, field)
	case "models":
		s.models = r.patterns(m.value, field, Pattern.Check)
	case "paths":
		s.paths = r.patterns(m.value, field, Pattern.CheckPath)
	case "limits":
		r.limits(s, m.value, field)
	default:
		known := "name, hash, expires, upstream_key, models, paths and limits"
		if parent != "" {
			known = "expires, upstream_key, models, paths and limits"
		}
		r.notef(m.key, parent, "%q is no field of it: there are %s", m.name, known)
	}
}

// expiry reads an instant. ParseExpiry says of which form.
func (r *reader) expiry(node ast.Node, field string) (time.Time, bool) {
	text, ok := r.text(node, field)
	if !ok {
		return time.Time{}, false
	}
	at, err := ParseExpiry(text)
	if err != nil {
		r.notef(node.GetToken(), field, "%v", err)
	}
	return at, err == nil
}

// ParseExpiry reads when a token expires: a date, which is its beginning in UTC, a
// time as of RFC 3339, or "never", which is the zero time.
func ParseExpiry(text string) (time.Time, error) {
	if text == never {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil && !at.IsZero() {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no date such as 2027-01-01, no time such as 2027-01-01T12:00:00Z, and not never", text)
}

var variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Check says what is wrong with a source.
func (s KeySource) Check() error {
	switch {
	case s.Env == "" && s.File == "" || s.Env != "" && s.File != "":
		return errors.New("needs one of env and file: write {env: VARIABLE} or {file: PATH}")
	case s.Env != "" && !variableForm.MatchString(s.Env):
		// Not shown: it may be the key itself.
		return errors.New("env is no name of an environment variable: write the name, not the key")
	}
	return nil
}

func (r *reader) source(node ast.Node, field string) *KeySource {
	var source KeySource
	members := r.mapping(node, field)
	if len(members) == 0 {
		return nil
	}
	for _, m := range members {
		text := &source.Env
		switch m.name {
		case "env":
		case "file":
			text = &source.File
		default:
			r.notef(m.key, field, "%q is no field of it: write {env: VARIABLE} or {file: PATH}", m.name)
			return nil
		}
		var ok bool
		if *text, ok = r.text(m.value, within(field, m.name)); !ok {
			return nil
		}
	}
	if err := source.Check(); err != nil {
		r.notef(node.GetToken(), field, "%v", err)
		return nil
	}
	return &source
}

func (r *reader) patterns(node ast.Node, field string, check func(Pattern) error) Patterns {
	values := r.list(node, field)
	if values != nil && len(values) == 0 {
		r.notef(node.GetToken(), field, "is an empty list: name what is allowed, or leave the field out where all is")
	}
	patterns := make(Patterns, 0, len(values))
	for _, value := range values {
		text, ok := r.text(value, field)
		if !ok {
			continue
		}
		if err := check(Pattern(text)); err != nil {
			r.notef(value.GetToken(), field, "%q %v", text, err)
		}
		patterns = append(patterns, Pattern(text))
	}
	return patterns
}
