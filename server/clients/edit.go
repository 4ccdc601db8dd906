package clients

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"

	"github.com/openai-connect/openai-connect/server/ratelimit"
)

// newFile is what a file begins with.
const newFile = "# The clients of a server, by their tokens. A server that runs reads it again when it changes.\nclients:\n"

// lockPatience is how long an edit waits for another one to end.
const lockPatience = 10 * time.Second

// errByHand is why a file isn't edited.
var errByHand = errors.New("is written in a way that can't be edited here: write the tokens as a list with a dash and a line for each, or edit it by hand")

// Add adds a client at the end of a file, which is made, for its owner alone, if
// it is missing. All that the file has stays as it is, comments too.
func Add(file string, e Entry) error {
	return update(file, true, func(text []byte, read *document) ([]byte, []Entry, error) {
		for _, other := range read.entries {
			if other.Name == e.Name {
				return nil, nil, fmt.Errorf("%s:%d: name: there is a token %q already: choose another name, rotate it, or revoke it", file, other.place.name, e.Name)
			}
		}
		added, err := render(e)
		if err != nil {
			return nil, nil, err
		}
		edited, err := insert(text, read, added)
		return edited, append(slices.Clone(read.entries), e), err
	})
}

// Revoke takes a client out of a file, with the comment lines right above it.
func Revoke(file, name string) error {
	return update(file, false, func(text []byte, read *document) ([]byte, []Entry, error) {
		i, err := read.find(file, name)
		if err != nil {
			return nil, nil, err
		}
		edited, err := remove(text, read, i)
		return edited, slices.Delete(slices.Clone(read.entries), i, i+1), err
	})
}

// Rotate gives a client of a file another token. The one before is then unknown.
func Rotate(file, name string, hash Hash) error {
	return update(file, false, func(text []byte, read *document) ([]byte, []Entry, error) {
		i, err := read.find(file, name)
		if err != nil {
			return nil, nil, err
		}
		entries := slices.Clone(read.entries)
		lines := bytes.SplitAfter(text, []byte("\n"))
		at := entries[i].place.hash - 1
		if at >= len(lines) {
			return nil, nil, errByHand
		}
		// The digits may be in capitals.
		before, digits := entries[i].Hash.String(), bytes.Index(bytes.ToLower(lines[at]), []byte(entries[i].Hash.String()))
		if digits < 0 {
			return nil, nil, errByHand
		}
		lines[at] = slices.Concat(lines[at][:digits], []byte(hash.String()), lines[at][digits+len(before):])
		entries[i].Hash = hash
		return bytes.Join(lines, nil), entries, nil
	})
}

// find returns the index of a client's entry.
func (d *document) find(file, name string) (int, error) {
	i := slices.IndexFunc(d.entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return 0, fmt.Errorf("%s: there is no token %q: `openai-connect clients list` tells which there are", file, name)
	}
	return i, nil
}

// update replaces a file by what edit makes of it, at once, while nobody else
// does. What is made has to say what edit says that it does: before that is sure
// nothing is written.
func update(file string, create bool, edit func([]byte, *document) ([]byte, []Entry, error)) error {
	path, err := filepath.EvalSymlinks(file)
	if errors.Is(err, os.ErrNotExist) && create {
		path, err = file, nil
	}
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Dir(path), lockPatience)
	if err != nil {
		return err
	}
	defer unlock()
	text, err := readText(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && create:
		text = nil
	case err != nil:
		return err
	}
	read := new(document)
	switch {
	case create && len(text) == 0:
		text = []byte(newFile)
	case create && isRemark(text):
		text = append(text, "\nclients:\n"...)
	default:
		if read, err = parse(file, text); err != nil {
			return err
		}
	}
	if bytes.Count(text, []byte("\r")) != bytes.Count(text, []byte("\r\n")) {
		return fmt.Errorf("%s: %w", file, errByHand) // Its lines are others to YAML.
	}
	edited, entries, err := edit(text, read)
	if err == nil {
		if again, broken := parse(file, edited); broken != nil || !same(again.entries, entries) {
			err = errByHand
		}
	}
	switch {
	case errors.Is(err, errByHand):
		return fmt.Errorf("%s: %w", file, err)
	case err != nil:
		return err
	}
	return replace(path, edited)
}

// isRemark reports whether a text has nothing but comments.
func isRemark(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// same reports whether entries are the same, wherever they stand. Of one without a
// place, which has just been added, it compares what no defaults fill.
func same(got, want []Entry) bool {
	return slices.EqualFunc(got, want, func(a, b Entry) bool {
		if b.place == (place{}) {
			return a.Name == b.Name && a.Hash == b.Hash
		}
		a.place, b.place = place{}, place{}
		return reflect.DeepEqual(a, b)
	})
}

// insert puts a new entry, in lines that begin with its dash, behind the others.
func insert(text []byte, read *document, added string) ([]byte, error) {
	newline := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		newline = "\r\n"
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(slices.Clone(text), newline...)
	}
	lines := strings.SplitAfter(string(text), "\n")
	indent, at := "  ", len(lines)-1
	switch list := read.list; {
	case list == nil: // a new file
	case list.IsFlowStyle:
		line := lineOf(list.Start) - 1
		if len(list.Values) > 0 || !strings.Contains(lines[line], "[]") {
			return nil, errByHand
		}
		lines[line] = strings.Replace(lines[line], " []", "", 1)
		at = line + 1
	default:
		last := read.entries[len(read.entries)-1].place.entry
		indent, _, _ = strings.Cut(lines[last-1], "-")
		if strings.Trim(indent, " ") != "" {
			return nil, errByHand
		}
		at = lastLine(text, last, read.next)
	}
	entry := strings.ReplaceAll(indent+strings.ReplaceAll(strings.TrimSuffix(added, "\n"), "\n", "\n"+indent)+"\n", "\n", newline)
	return []byte(strings.Join(slices.Insert(lines, at, entry), "")), nil
}

// remove takes an entry out, with the comments right above it.
func remove(text []byte, read *document, i int) ([]byte, error) {
	if read.list.IsFlowStyle {
		return nil, errByHand
	}
	lines := strings.SplitAfter(string(text), "\n")
	first, next := read.entries[i].place.entry, read.next
	if i+1 < len(read.entries) {
		next = read.entries[i+1].place.entry
	}
	end := lastLine(text, first, next)
	begin := first - 1
	for begin > 0 && strings.HasPrefix(strings.TrimSpace(lines[begin-1]), "#") {
		begin--
	}
	if len(read.entries) == 1 {
		// The list itself stays. Its name is in a line above.
		above := lineOf(read.list.Start)
		for above--; above > 0; above-- {
			if name, found := strings.CutPrefix(lines[above-1], "clients:"); found {
				lines[above-1] = "clients: []" + name
				break
			}
		}
		if above == 0 {
			return nil, errByHand
		}
	}
	return []byte(strings.Join(slices.Delete(lines, begin, min(end, len(lines))), "")), nil
}

// lastLine is the last line, from 1 on, that has more than a comment, from one
// line on up to another, or to the end if that is 0.
func lastLine(text []byte, from, to int) int {
	last := from
	for _, t := range lexer.Tokenize(string(text)) {
		if t.Type != token.CommentType && t.Position.Line >= last && (to == 0 || t.Position.Line < to) {
			last = t.Position.Line
		}
	}
	return last
}

// render writes an entry.
func render(e Entry) (string, error) {
	type limitsText struct {
		RequestsPerMinute int64         `yaml:"requests_per_minute,omitempty"`
		TokensPerMinute   int64         `yaml:"tokens_per_minute,omitempty"`
		TokensPerDay      int64         `yaml:"tokens_per_day,omitempty"`
		ConcurrentStreams int64         `yaml:"concurrent_streams,omitempty"`
		Models            yaml.MapSlice `yaml:"models,omitempty"`
	}
	limitsOf := func(l ratelimit.Limits) limitsText {
		return limitsText{l.RequestsPerMinute, l.TokensPerMinute, l.TokensPerDay, l.ConcurrentStreams, nil}
	}
	text := struct {
		Name        string     `yaml:"name"`
		Hash        string     `yaml:"hash"`
		Expires     string     `yaml:"expires,omitempty"`
		UpstreamKey KeySource  `yaml:"upstream_key,flow,omitempty"`
		Models      Patterns   `yaml:"models,flow,omitempty"`
		Paths       Patterns   `yaml:"paths,flow,omitempty"`
		Limits      limitsText `yaml:"limits,omitempty"`
	}{Name: e.Name, Hash: e.Hash.String(), UpstreamKey: e.UpstreamKey, Models: e.Models, Paths: e.Paths, Limits: limitsOf(e.Limits)}
	if !e.Expires.IsZero() {
		text.Expires = FormatExpiry(e.Expires)
	}
	for _, m := range e.ModelLimits {
		text.Limits.Models = append(text.Limits.Models, yaml.MapItem{Key: string(m.Models), Value: limitsOf(m.Limits)})
	}
	written, err := yaml.MarshalWithOptions([]any{text}, yaml.UseSingleQuote(false))
	return string(written), err
}

// FormatExpiry writes an instant in the shortest form that [ParseExpiry] reads.
func FormatExpiry(at time.Time) string {
	switch at = at.UTC(); {
	case at.IsZero():
		return never
	case at.Equal(at.Truncate(24 * time.Hour)):
		return at.Format(time.DateOnly)
	default:
		return at.Format(time.RFC3339Nano)
	}
}
