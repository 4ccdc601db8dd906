package deploy_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// result holds the benchmark's results.
type result struct {
	Samples []struct {
		Measure string             `json:"measure"`
		Subject string             `json:"subject"`
		Figures map[string]float64 `json:"figures"`
	} `json:"samples"`
}

// median returns the median of a figure over all rounds, rounded as in the README.
func (r result) median(t *testing.T, measure, subject, figure string) int {
	t.Helper()
	var values []float64
	for _, sample := range r.Samples {
		if value, found := sample.Figures[figure]; found && sample.Measure == measure && sample.Subject == subject {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		t.Fatalf("the results lack measure %s, subject %s, figure %s", measure, subject, figure)
	}
	slices.Sort(values)
	return int(math.Round(values[len(values)/2]))
}

// The sizing table in the README follows from the benchmark's results.
func TestSizing_MatchesBenchmark(t *testing.T) {
	t.Parallel()
	var r result
	if err := json.Unmarshal([]byte(readFile(t, "../benchmark/result.json")), &r); err != nil {
		t.Fatal(err)
	}
	readme := readFile(t, "README.md")
	prose := strings.Join(strings.Fields(readme), " ")
	hundreds := func(n int) int { return n / 100 * 100 }
	for _, name := range []string{"raw", "gRPC", "Connect", "gRPC-Web"} {
		request := r.median(t, "unary", "ours "+name, "cpu_us")
		event := r.median(t, "streams-1000", "ours "+name, "cpu_us")
		memory := r.median(t, "streams-9900", "ours "+name, "memory_kb")
		row := fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d |\n", name,
			request, hundreds(1e6/request), event, hundreds(1e6/event), 1e6/event/50, memory, hundreds(1e6/memory))
		if !strings.Contains(readme, row) {
			t.Errorf("the README lacks the row\n%s", row)
		}
	}
	haproxy := fmt.Sprintf("HAProxy took %d µs per request and %d µs per event", r.median(t, "unary", "haproxy", "cpu_us"), r.median(t, "streams-1000", "haproxy", "cpu_us"))
	if !strings.Contains(prose, haproxy) {
		t.Errorf("the README lacks %q", haproxy)
	}
}
