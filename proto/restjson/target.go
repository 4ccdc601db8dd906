package restjson

import (
	"maps"
	"net/url"
	"slices"
)

// AppendPathSegment appends a path parameter, percent-encoded. Empty, `.` and
// `..` are refused: they would name another resource.
func AppendPathSegment(b []byte, field, value string) ([]byte, error) {
	switch value {
	case "":
		return b, &FieldError{field, isRequired}
	case ".", "..":
		return b, &FieldError{field, quote(value) + " is no id"}
	}
	return append(b, url.PathEscape(value)...), nil
}

// Query appends query parameters, in the order in which they are added.
type Query struct {
	names   []string
	started bool
}

// Add appends a parameter, percent-encoded.
func (q *Query) Add(b []byte, name, value string) []byte {
	q.names = append(q.names, name)
	if q.started {
		b = append(b, '&')
	} else {
		b = append(b, '?')
	}
	q.started = true
	b = append(b, url.QueryEscape(name)...)
	b = append(b, '=')
	return append(b, url.QueryEscape(value)...)
}

// AddMap appends a map as `name[key]=value`, sorted by key.
func (q *Query) AddMap(b []byte, name string, m map[string]string) []byte {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		b = q.Add(b, name+"["+key+"]", m[key])
	}
	return b
}

// AddExtra appends further parameters, sorted by name. Those that are set as a
// typed field too are refused.
func (q *Query) AddExtra(b []byte, field string, m map[string]string) ([]byte, error) {
	typed := q.names
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(typed, name) {
			return b, &FieldError{field, quote(name) + " is set as a typed field too: leave one out"}
		}
		b = q.Add(b, name, m[name])
	}
	return b, nil
}
