package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// column is a column of a table.
type column struct {
	title  string
	metric Metric
	// ratios adds columns with the ratios to the baselines.
	ratios bool
	// total shows the sum over all rounds instead of the median.
	total bool
}

// columns returns the columns of a measure.
func columns(kind Kind) []column {
	switch kind {
	case Unary:
		return []column{
			{title: "CPU µs/request", metric: CPU, ratios: true},
			{title: "requests/s", metric: Rate},
			{title: "failed", metric: Failed, total: true},
		}
	case Latency:
		return []column{
			{title: "p50 µs", metric: P50},
			{title: "p99 µs", metric: P99},
			{title: "added p50 µs", metric: AddedP50, ratios: true},
			{title: "added p99 µs", metric: AddedP99},
			{title: "failed", metric: Failed, total: true},
		}
	case Streams:
		return []column{
			{title: "CPU µs/event", metric: CPU, ratios: true},
			{title: "KB/stream", metric: Memory, ratios: true},
			{title: "p50 µs", metric: P50},
			{title: "p99 µs", metric: P99},
			{title: "first event p50 µs", metric: FirstP50},
			{title: "first event p99 µs", metric: FirstP99},
			{title: "bytes/event", metric: Wire},
			{title: "cut short", metric: Failed, total: true},
		}
	case Start:
		return []column{
			{title: "startup ms", metric: StartUp},
			{title: "program MB", metric: Size},
			{title: "idle MB", metric: IdleMemory},
		}
	}
	return nil
}

// The baselines of the ratios.
var ratioBaselines = []string{nginx, reverseProxy}

// writeTable writes a table for each measure. A figure is the median over all rounds, with
// its range.
func (r *Result) writeTable(w io.Writer) error {
	for _, measure := range r.Measures {
		if _, err := fmt.Fprintf(w, "\n%s\n", measure.Title); err != nil {
			return err
		}
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, strings.Join(r.titles(measure), "\t")+"\t")
		for _, contender := range r.Contenders {
			if cells, some := r.cells(measure, contender); some {
				fmt.Fprintln(table, strings.Join(cells, "\t")+"\t")
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Result) titles(measure Measure) []string {
	titles := []string{"  "}
	for _, column := range columns(measure.Kind) {
		titles = append(titles, column.title)
		if column.ratios {
			for _, baseline := range ratioBaselines {
				titles = append(titles, "× "+baseline)
			}
		}
	}
	return titles
}

// cells returns a row of a table, and whether it has any figures.
func (r *Result) cells(measure Measure, contender string) (cells []string, some bool) {
	cells = []string{contender}
	for _, column := range columns(measure.Kind) {
		spread, found := r.Spread(measure.Name, contender, column.metric)
		some = some || found
		switch {
		case !found:
			cells = append(cells, "–")
		case column.total:
			total, _ := r.Total(measure.Name, contender, column.metric)
			cells = append(cells, strconv.FormatFloat(total, 'f', 0, 64))
		default:
			cells = append(cells, spread.String())
		}
		if !column.ratios {
			continue
		}
		for _, baseline := range ratioBaselines {
			ratio, found := r.ratio(figureID{measure.Name, contender, column.metric}, figureID{measure.Name, baseline, column.metric})
			if found && baseline != contender {
				cells = append(cells, fmt.Sprintf("%.2f", ratio.Median))
			} else {
				cells = append(cells, "–")
			}
		}
	}
	return cells, some
}

// String formats the median and the range.
func (s Spread) String() string {
	if s.Min == s.Max {
		return number(s.Median)
	}
	return fmt.Sprintf("%s [%s–%s]", number(s.Median), number(s.Min), number(s.Max))
}

func number(v float64) string { return strconv.FormatFloat(round3(v), 'f', -1, 64) }
