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
	"github.com/openai-connect/openai-connect/server/secret"
)

// newFile is the beginning of a new file.
const newFile = "# The clients of a server. A running server reloads this file when it changes.\nclients:\n"

// lockName is the lock file for edits in a directory. Only its owner can open it. A lock
// on the directory, or on the file of clients, could be held by everyone who can read
// them.
const lockName = ".clients.lock"

// lockTimeout is how long an edit waits for another one.
const lockTimeout = 10 * time.Second

// errNotEditable is the error for a file that has an unusual form.
var errNotEditable = errors.New("can't be edited automatically: write each client as a list item that begins with a dash, or edit the file by hand")

// Add adds a client at the end of a file. It creates a missing file, for its owner only.
// The rest of the file stays unchanged, including comments.
func Add(file string, e Entry) error {
	return update(file, true, func(text []byte, parsed *document) ([]byte, []Entry, error) {
		for _, other := range parsed.entries {
			if other.Name == e.Name {
				return nil, nil, fmt.Errorf("%s:%d: name: client %q already exists: choose another name, or rotate or revoke its key", file, other.lines.name, e.Name)
			}
		}
		added, err := marshalEntry(e)
		if err != nil {
			return nil, nil, err
		}
		edited, err := insert(text, parsed, added)
		return edited, append(slices.Clone(parsed.entries), e), err
	})
}

// Revoke removes a client from a file, with the comment lines directly above it.
func Revoke(file, name string) error {
	return update(file, false, func(text []byte, parsed *document) ([]byte, []Entry, error) {
		i, err := parsed.find(file, name)
		if err != nil {
			return nil, nil, err
		}
		edited, err := remove(text, parsed, i)
		return edited, slices.Delete(slices.Clone(parsed.entries), i, i+1), err
	})
}

// Rotate replaces the API key of a client.
func Rotate(file, name string, hash Hash) error {
	return update(file, false, func(text []byte, parsed *document) ([]byte, []Entry, error) {
		i, err := parsed.find(file, name)
		if err != nil {
			return nil, nil, err
		}
		entries := slices.Clone(parsed.entries)
		lines := bytes.SplitAfter(text, []byte("\n"))
		old := []byte(entries[i].Hash.String())
		line := &lines[min(entries[i].lines.hash, len(lines))-1]
		at := bytes.Index(bytes.ToLower(*line), old) // the digits may be in upper case
		if at < 0 {
			return nil, nil, errNotEditable
		}
		*line = slices.Concat((*line)[:at], []byte(hash.String()), (*line)[at+len(old):])
		entries[i].Hash = hash
		return bytes.Join(lines, nil), entries, nil
	})
}

// find returns the index of a client.
func (d *document) find(file, name string) (int, error) {
	i := slices.IndexFunc(d.entries, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return 0, fmt.Errorf("%s: no client %q: `openai-connect clients list` lists the clients", file, name)
	}
	return i, nil
}

// update edits a file under a lock and replaces it atomically. It writes nothing unless
// the edited text has exactly the entries that edit returns.
func update(file string, create bool, edit func([]byte, *document) ([]byte, []Entry, error)) error {
	path, err := filepath.EvalSymlinks(file)
	if errors.Is(err, os.ErrNotExist) && create {
		path, err = file, nil
	}
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Dir(path), lockTimeout)
	if err != nil {
		return err
	}
	defer unlock()
	text, err := readText(path)
	if err != nil && (!create || !errors.Is(err, os.ErrNotExist)) {
		return err
	}
	parsed := new(document)
	switch {
	case create && len(text) == 0:
		text = []byte(newFile)
	case create && isCommentOnly(text):
		text = append(text, "\nclients:\n"...)
	default:
		if parsed, err = parse(file, text); err != nil {
			return err
		}
	}
	if bytes.Count(text, []byte("\r")) != bytes.Count(text, []byte("\r\n")) {
		return fmt.Errorf("%s: %w", file, errNotEditable) // YAML counts other lines
	}
	edited, entries, err := edit(text, parsed)
	if err == nil {
		if again, invalid := parse(file, edited); invalid != nil || !same(again.entries, entries) {
			err = errNotEditable
		}
	}
	switch {
	case errors.Is(err, errNotEditable):
		return fmt.Errorf("%s: %w", file, err)
	case err != nil:
		return err
	}
	return writeAtomically(path, edited)
}

// isCommentOnly reports whether text consists of comments only.
func isCommentOnly(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return true
}

// same reports whether entries are equal except for their lines. For a new entry, which
// has no lines, it only compares what defaults cannot change.
func same(got, want []Entry) bool {
	return slices.EqualFunc(got, want, func(a, b Entry) bool {
		if b.lines == (entryLines{}) {
			return a.Name == b.Name && a.Hash == b.Hash
		}
		a.lines, b.lines = entryLines{}, entryLines{}
		return reflect.DeepEqual(a, b)
	})
}

// insert adds the lines of a new entry, which begin with its dash, after the others.
func insert(text []byte, parsed *document, added string) ([]byte, error) {
	newline := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		newline = "\r\n"
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(slices.Clone(text), newline...)
	}
	lines := strings.SplitAfter(string(text), "\n")
	indent, at := "  ", len(lines)-1
	switch list := parsed.list; {
	case list == nil: // a new file
	case list.IsFlowStyle:
		line := list.Start.Position.Line - 1
		if len(list.Values) > 0 || !strings.Contains(lines[line], "[]") {
			return nil, errNotEditable
		}
		lines[line] = strings.Replace(lines[line], " []", "", 1)
		at = line + 1
	default:
		last := parsed.entries[len(parsed.entries)-1].lines.entry
		indent, _, _ = strings.Cut(lines[last-1], "-")
		if strings.Trim(indent, " ") != "" {
			return nil, errNotEditable
		}
		at = lastLine(text, last, parsed.next)
	}
	entry := strings.ReplaceAll(indent+strings.ReplaceAll(strings.TrimSuffix(added, "\n"), "\n", "\n"+indent)+"\n", "\n", newline)
	return []byte(strings.Join(slices.Insert(lines, at, entry), "")), nil
}

// remove removes an entry and the comments directly above it.
func remove(text []byte, parsed *document, i int) ([]byte, error) {
	if parsed.list.IsFlowStyle {
		return nil, errNotEditable
	}
	lines := strings.SplitAfter(string(text), "\n")
	first, next := parsed.entries[i].lines.entry, parsed.next
	if i+1 < len(parsed.entries) {
		next = parsed.entries[i+1].lines.entry
	}
	end := lastLine(text, first, next)
	begin := first - 1
	for begin > 0 && strings.HasPrefix(strings.TrimSpace(lines[begin-1]), "#") {
		begin--
	}
	if len(parsed.entries) == 1 {
		// The list stays, empty. Its name is on a line above.
		above := parsed.list.Start.Position.Line
		for above--; above > 0; above-- {
			if rest, found := strings.CutPrefix(lines[above-1], "clients:"); found {
				lines[above-1] = "clients: []" + rest
				break
			}
		}
		if above == 0 {
			return nil, errNotEditable
		}
	}
	return []byte(strings.Join(slices.Delete(lines, begin, min(end, len(lines))), "")), nil
}

// lastLine returns the last line with more than a comment, from line from up to line to,
// or to the end if to is 0.
func lastLine(text []byte, from, to int) int {
	last := from
	for _, t := range lexer.Tokenize(string(text)) {
		if t.Type != token.CommentType && t.Position.Line >= last && (to == 0 || t.Position.Line < to) {
			last = t.Position.Line
		}
	}
	return last
}

// marshalEntry returns the YAML of an entry.
func marshalEntry(e Entry) (string, error) {
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
		Name        string        `yaml:"name"`
		Hash        string        `yaml:"hash"`
		Expires     string        `yaml:"expires,omitempty"`
		UpstreamKey secret.Source `yaml:"upstream_key,flow,omitempty"`
		Models      Patterns      `yaml:"models,flow,omitempty"`
		Paths       Patterns      `yaml:"paths,flow,omitempty"`
		Limits      limitsText    `yaml:"limits,omitempty"`
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

// FormatExpiry returns the shortest form of a time that [ParseExpiry] accepts.
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
