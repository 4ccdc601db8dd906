package report

import (
	"fmt"
	"io"
	"strings"
)

// Text writes the result for a reader: where it was made, the tables, which
// targets are met, and what went wrong.
func (r *Result) Text(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d cores, Linux %s, %s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go)
	fmt.Fprintf(w, "%s, %d rounds of %g s, %s\n", r.Date.Format("2006-01-02"), r.Parameters.Rounds, r.Parameters.Seconds, r.Parameters.Cores)
	var versions []string
	for _, subject := range r.Subjects {
		if version := r.Versions[subject]; version != "" {
			versions = append(versions, subject+": "+version)
		}
	}
	fmt.Fprintln(w, strings.Join(versions, "; "))
	if err := r.Table(w); err != nil {
		return err
	}
	fmt.Fprint(w, "\nTargets: the ratio, the median of rounds [range]\n")
	if err := r.Targets(w); err != nil {
		return err
	}
	for _, note := range r.Notes {
		if _, err := fmt.Fprintf(w, "\nNOTE: %s\n", note); err != nil {
			return err
		}
	}
	return nil
}
