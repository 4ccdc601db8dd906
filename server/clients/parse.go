package clients

import (
	"fmt"
	"math"
	"regexp"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/openai-connect/openai-connect/server/internal/readfile"
	"github.com/openai-connect/openai-connect/server/internal/strictyaml"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
)

const (
	// maxFileBytes and maxTokens limit the size of a file, and its keys and values:
	// enough for 50,000 clients.
	maxFileBytes = 16 << 20
	maxTokens    = 500_000
)

// document is a parsed file.
type document struct {
	entries []Entry
	list    *ast.SequenceNode // of the clients
	next    int               // the line of the field after the list, or 0 if the list is last
}

// Read returns the clients in a file, in file order. It does not read the keys that the
// file refers to.
func Read(file string) ([]Entry, error) {
	text, err := readText(file)
	if err != nil {
		return nil, err
	}
	parsed, err := parse(file, text)
	if err != nil {
		return nil, err
	}
	return parsed.entries, nil
}

func readText(file string) ([]byte, error) {
	return readfile.Read(file, maxFileBytes, readfile.Timeout)
}

// settingNames are the fields of the defaults, which a client may override.
var settingNames = []string{"expires", "upstream_key", "models", "paths", "limits"}

// limitNames are the limits of a client, in total or for a model pattern.
var limitNames = []string{
	string(ratelimit.RequestsPerMinute), string(ratelimit.TokensPerMinute), string(ratelimit.TokensPerDay), string(ratelimit.ConcurrentStreams),
}

// parse parses the text of a file. The error is of type [strictyaml.Errors].
func parse(file string, text []byte) (*document, error) {
	doc := strictyaml.Parse(file, text, maxTokens)
	if !doc.Root().Exists() && doc.Err() == nil {
		doc.Errorf(1, "", "the file is empty: want a list of clients; `openai-connect clients add` creates one")
	}
	var (
		parsed   document
		defaults Entry
		list     strictyaml.Value
	)
	for _, field := range doc.Root().Fields("defaults", "clients") {
		if list.Exists() && parsed.next == 0 {
			parsed.next = field.Line()
		}
		if field.Name == "clients" {
			list = field.Value
			continue
		}
		for _, setting := range field.Fields(settingNames...) {
			parseSetting(&defaults, setting)
		}
	}
	if !list.Exists() && doc.Err() == nil {
		doc.Errorf(1, "clients", "is missing: want a list of clients, or [] for none")
	}
	parsed.entries = parseEntries(doc, list, defaults)
	parsed.list, _ = list.Node().(*ast.SequenceNode)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return &parsed, nil
}

func parseEntries(doc *strictyaml.Document, list strictyaml.Value, defaults Entry) []Entry {
	names, hashes := make(map[string]int), make(map[Hash]int)
	items, _ := list.List()
	entries := make([]Entry, 0, len(items))
	for i, item := range items {
		e, ok := parseEntry(doc, item, defaults)
		if !ok {
			continue
		}
		if line, duplicate := names[e.Name]; duplicate {
			doc.Errorf(e.lines.name, "name", "duplicate name %q, first on line %d", e.Name, line)
		}
		if line, duplicate := hashes[e.Hash]; duplicate {
			doc.Errorf(e.lines.hash, "hash", "duplicate hash, first on line %d: run `openai-connect clients rotate` for one of the clients", line)
		}
		names[e.Name], hashes[e.Hash] = e.lines.name, e.lines.hash
		if sequence, ok := list.Node().(*ast.SequenceNode); ok && !sequence.IsFlowStyle && i < len(sequence.Entries) {
			e.lines.entry = sequence.Entries[i].Start.Position.Line
		}
		entries = append(entries, e)
	}
	return entries
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,64}$`)

// CheckName returns an error for an invalid name of a client.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf(`invalid name %q: want 1 to 64 letters, digits, ".", "_", "@" and "-"`, name)
	}
	return nil
}

// parseEntry reads a client. It returns false if the client has problems.
func parseEntry(doc *strictyaml.Document, item strictyaml.Value, defaults Entry) (Entry, bool) {
	e, problems := defaults, doc.Problems()
	for _, field := range item.Fields(append([]string{"name", "hash"}, settingNames...)...) {
		switch field.Name {
		case "name":
			e.lines.name = field.Line()
			name, ok := field.Text()
			if err := CheckName(name); ok && err != nil {
				field.Errorf("%v", err)
			}
			e.Name = name
		case "hash":
			e.lines.hash = field.Line()
			text, ok := field.Text()
			hash, err := parseHash(text)
			if ok && err != nil {
				field.Errorf("%v", err)
			}
			e.Hash = hash
		default:
			parseSetting(&e, field)
		}
	}
	if doc.Problems() > problems {
		return Entry{}, false
	}
	const missing = "is missing: `openai-connect clients add` writes entries with a name and a hash"
	if e.lines.name == 0 {
		doc.Errorf(item.Line(), "name", missing)
	}
	if e.lines.hash == 0 {
		doc.Errorf(item.Line(), "hash", missing)
	}
	return e, doc.Problems() == problems
}

// parseSetting reads a field of a client or of the defaults.
func parseSetting(e *Entry, field strictyaml.Field) {
	switch field.Name {
	case "expires":
		text, ok := field.Text()
		if !ok {
			return
		}
		var err error
		if e.Expires, err = ParseExpiry(text); err != nil {
			field.Errorf("%v", err)
		}
	case "upstream_key":
		e.lines.upstreamKey = field.Line()
		e.UpstreamKey, _ = secret.ParseSource(field.Value)
	case "models":
		e.Models = parsePatterns(field.Value, Pattern.Check)
	case "paths":
		e.Paths = parsePatterns(field.Value, Pattern.CheckPath)
	case "limits":
		for _, limit := range field.Fields(append([]string{"models"}, limitNames...)...) {
			if limit.Name == "models" {
				e.ModelLimits = parseModelLimits(limit.Value)
			} else {
				parseLimit(&e.Limits, limit)
			}
		}
	}
}

// ParseExpiry parses the time at which a client expires: a date, meaning midnight UTC, an
// RFC 3339 time, or "never", which is the zero time.
func ParseExpiry(text string) (time.Time, error) {
	if text == never {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil && !at.IsZero() {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid time %q: want a date such as 2027-01-01, a time such as 2027-01-01T12:00:00Z, or never", text)
}

func parsePatterns(list strictyaml.Value, check func(Pattern) error) Patterns {
	items, ok := list.List()
	if ok && len(items) == 0 {
		list.Errorf("is an empty list: list what is allowed, or remove the field to allow everything")
	}
	patterns := make(Patterns, 0, len(items))
	for _, item := range items {
		text, ok := item.Text()
		if err := check(Pattern(text)); ok && err != nil {
			item.Errorf("%v", err)
		}
		patterns = append(patterns, Pattern(text))
	}
	return patterns
}

func parseLimit(limits *ratelimit.Limits, field strictyaml.Field) {
	var count int64
	if !field.Is(none) {
		var ok bool
		if count, ok = field.Int(1, math.MaxInt64, "an integer of at least 1, or none"); !ok {
			return
		}
	}
	switch ratelimit.Kind(field.Name) {
	case ratelimit.RequestsPerMinute:
		limits.RequestsPerMinute = count
	case ratelimit.TokensPerMinute:
		limits.TokensPerMinute = count
	case ratelimit.TokensPerDay:
		limits.TokensPerDay = count
	case ratelimit.ConcurrentStreams:
		limits.ConcurrentStreams = count
	}
}

// parseModelLimits reads the limits of each model pattern, in file order.
func parseModelLimits(v strictyaml.Value) []ModelLimits {
	var all []ModelLimits
	for _, entry := range v.Entries() {
		limits := ModelLimits{Models: Pattern(entry.Name)}
		if err := limits.Models.Check(); err != nil {
			entry.Errorf("%v", err)
			continue
		}
		for _, earlier := range all {
			if earlier.Models.covers(limits.Models) {
				entry.Errorf("never applies, as %s above matches the same models: move it up", earlier.Models)
			}
		}
		for _, limit := range entry.Fields(limitNames...) {
			parseLimit(&limits.Limits, limit)
		}
		all = append(all, limits)
	}
	return all
}
