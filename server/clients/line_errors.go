package clients

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// LineError is something that is wrong with the file.
type LineError struct {
	File string
	Line int // from 1 on
	// Field is where in the file it is, such as "limits.requests_per_minute";
	// empty if it is in none.
	Field string
	// Text says what is wrong, and what to do.
	Text string
}

// Error is "FILE:LINE: FIELD: TEXT".
func (e LineError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Field, e.Text)
}

// LineErrors are all that is wrong with a file, in its order.
type LineErrors []LineError

// Error has a line for each.
func (e LineErrors) Error() string {
	lines := make([]string, len(e))
	for i, problem := range e {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// err returns the problems as an error, nil if there are none.
func (e LineErrors) err() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b LineError) int { return cmp.Compare(a.Line, b.Line) })
	return e
}
