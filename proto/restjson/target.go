package restjson

import (
	"maps"
	"net/url"
	"slices"
)

// AppendPathSegment appends a percent-encoded path parameter. The values empty, `.`
// and `..` are errors, because they would name another resource.
func AppendPathSegment(b []byte, field, value string) ([]byte, error) {
	switch value {
	case "":
		return b, &FieldError{field, required}
	case ".", "..":
		return b, &FieldError{field, quote(value) + " is not a valid ID"}
	}
	return append(b, url.PathEscape(value)...), nil
}

// Query appends query parameters in the order of the calls.
type Query struct {
	names   []string
	started bool
}

// Add appends a percent-encoded parameter.
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

// AddExtra appends the remaining parameters, sorted by name. A parameter that was
// already added is an error.
func (q *Query) AddExtra(b []byte, field string, m map[string]string) ([]byte, error) {
	typed := q.names
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(typed, name) {
			return b, &FieldError{field, quote(name) + " is also set as a typed field: remove one"}
		}
		b = q.Add(b, name, m[name])
	}
	return b, nil
}
