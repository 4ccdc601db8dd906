package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes a report with the machine, the tables, the targets and the notes.
func (r *Result) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d cores, Linux %s, %s\n", r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go)
	fmt.Fprintf(w, "%s, %d rounds of %g s, %s\n", r.Date.Format("2006-01-02"), r.Parameters.Rounds, r.Parameters.Seconds, r.Parameters.Cores)
	var versions []string
	for _, contender := range r.Contenders {
		if version := r.Versions[contender]; version != "" {
			versions = append(versions, contender+": "+version)
		}
	}
	fmt.Fprintln(w, strings.Join(versions, "; "))
	if err := r.writeTable(w); err != nil {
		return err
	}
	fmt.Fprint(w, "\nTargets: ratio, as the median of all rounds [range]\n")
	if err := r.writeTargets(w); err != nil {
		return err
	}
	for _, note := range r.Notes {
		if _, err := fmt.Fprintf(w, "\nNOTE: %s\n", note); err != nil {
			return err
		}
	}
	return nil
}
