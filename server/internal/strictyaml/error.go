package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error describes a problem in a YAML file.
type Error struct {
	File string
	Line int // counted from 1
	// Field is the path of the field, such as "limits.requests_per_minute". It is relative
	// to the innermost list item, if there is one. It is empty if the problem isn't in a
	// field.
	Field string
	// Text describes the problem and how to fix it.
	Text string
}

// Error returns the problem in the form "FILE:LINE: FIELD: TEXT".
func (e Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Field, e.Text)
}

// Errors is a list of all problems in a file.
type Errors []Error

// Error returns one line per problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, problem := range e {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Err sorts the problems by line and returns e, or nil if e is empty.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) })
	return e
}

// Nearest returns the name with the smallest edit distance to text, or "" if no name is
// similar.
func Nearest(text string, names []string) string {
	best, limit := "", len(text)/3+2
	for _, name := range names {
		if d := editDistance(text, name); d < limit {
			best, limit = name, d
		}
	}
	return best
}

// editDistance returns the Levenshtein distance between two strings.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
