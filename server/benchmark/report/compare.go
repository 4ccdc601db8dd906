package report

import "fmt"

// regressionFactor is the minimum increase of a ratio that counts as a regression.
const regressionFactor = 1.25

// Regressions compares the ratios to a baseline with those of an earlier run, and
// describes regressions. A regression is an increase by more than a quarter, without an
// overlap of the ranges. The baseline is nginx, or ReverseProxy if a run had no nginx.
// Regressions does not compare absolute times.
func (r *Result) Regressions(earlier *Result) []string {
	var regressions []string
	for _, measure := range r.Measures {
		for _, contender := range r.Ours {
			for _, metric := range []Metric{CPU, AddedP50, Memory, Wire, StartUp} {
				if metric == AddedP50 && measure.Kind != Latency {
					continue // Latency under load depends on the load.
				}
				id := figureID{measure.Name, contender, metric}
				baseline, now, before, found := ratios(r, earlier, id)
				if found && now.Median > regressionFactor*before.Median && now.Min > before.Max {
					regressions = append(regressions, fmt.Sprintf("%s, %s, %s: %s times %s, was %s", measure.Name, contender, metric, now, baseline, before))
				}
			}
			now, _ := r.Total(measure.Name, contender, Failed)
			if before, found := earlier.Total(measure.Name, contender, Failed); found && before == 0 && now > 0 {
				regressions = append(regressions, fmt.Sprintf("%s, %s: %.0f failed, was 0", measure.Name, contender, now))
			}
		}
	}
	return regressions
}

// ratios returns the ratios of a figure to the first baseline in both runs.
func ratios(r, earlier *Result, id figureID) (baseline string, now, before Spread, found bool) {
	for _, baseline := range ratioBaselines {
		under := figureID{id.Measure, baseline, id.Metric}
		now, found := r.ratio(id, under)
		before, foundBefore := earlier.ratio(id, under)
		if found && foundBefore {
			return baseline, now, before, true
		}
	}
	return "", Spread{}, Spread{}, false
}
