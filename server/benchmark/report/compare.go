package report

import "fmt"

// worseBy is how much larger a ratio has to be than it was, to count as worse.
const worseBy = 1.25

// Worse compares the ratios of ours to a peer with those of an earlier run, and
// says which are worse: by more than a quarter, and with ranges that don't
// overlap, so that it takes several rounds to tell a change from noise. The peer
// is nginx, or ReverseProxy where one of the runs had no nginx. Times are never
// compared.
func (r *Result) Worse(earlier *Result) []string {
	var worse []string
	for _, measure := range r.Measures {
		for _, subject := range r.Ours {
			for _, metric := range []Metric{CPU, AddedP50, Memory, Wire, StartUp} {
				if metric == AddedP50 && measure.Kind != Latency {
					continue // Under load it measures the load.
				}
				place := Place{measure.Name, subject, metric}
				peer, now, before, found := ratios(r, earlier, place)
				if found && now.Median > worseBy*before.Median && now.Min > before.Max {
					worse = append(worse, fmt.Sprintf("%s, %s, %s: %s times that of %s, where it was %s", measure.Name, subject, metric, now, peer, before))
				}
			}
			now, _ := r.Total(measure.Name, subject, Failed)
			if before, found := earlier.Total(measure.Name, subject, Failed); found && before == 0 && now > 0 {
				worse = append(worse, fmt.Sprintf("%s, %s: %.0f failed, where none did", measure.Name, subject, now))
			}
		}
	}
	return worse
}

// ratios returns the ratios of a figure to the first peer that both runs have.
func ratios(r, earlier *Result, place Place) (peer string, now, before Spread, found bool) {
	for _, peer := range ratioPeers {
		under := Place{place.Measure, peer, place.Metric}
		now, found := r.Ratio(place, under)
		before, foundBefore := earlier.Ratio(place, under)
		if found && foundBefore {
			return peer, now, before, true
		}
	}
	return "", Spread{}, Spread{}, false
}
