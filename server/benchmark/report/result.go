// Package report holds the result of a benchmark run and formats it as tables, targets, a
// plot, and a comparison with an earlier run. Absolute times vary between machines and
// over time, so targets and comparisons use only ratios within a round.
package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"
)

// Result is the result of a run.
type Result struct {
	Date       time.Time         `json:"date"`
	Machine    Machine           `json:"machine"`
	Parameters Parameters        `json:"parameters"`
	Versions   map[string]string `json:"versions"`
	// Measures and Contenders are in the order of the report.
	Measures   []Measure `json:"measures"`
	Contenders []string  `json:"subjects"`
	Ours       []string  `json:"ours"`
	Notes      []string  `json:"notes"`
	Samples    []Sample  `json:"samples"`
}

// Parameters are the parameters of a run.
type Parameters struct {
	Rounds          int     `json:"rounds"`
	Seconds         float64 `json:"seconds"`
	EventsPerSecond int     `json:"events_per_second"`
	Cores           string  `json:"cores"`
}

// Measure is a kind of measurement with specific parameters.
type Measure struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Title describes the measure.
	Title string `json:"title"`
	// Upstream is the upstream protocol, and Streams the number of streams, if any.
	Upstream string `json:"upstream"`
	Streams  int    `json:"streams,omitempty"`
}

// Plain is the upstream over HTTP/1.1 without TLS.
const Plain = "plain"

// Kind is a kind of measure. It determines the metrics.
type Kind string

// The kinds of measures.
const (
	Unary   Kind = "unary"
	Latency Kind = "latency"
	Streams Kind = "streams"
	Start   Kind = "start"
)

// Sample holds the figures of a contender for a measure in a round.
type Sample struct {
	Round     int                `json:"round"`
	Measure   string             `json:"measure"`
	Contender string             `json:"subject"`
	Figures   map[Metric]float64 `json:"figures"`
}

// Metric is the name of a metric, including its unit.
type Metric string

// The metrics. AddedP50 and AddedP99 are the difference to the direct connection in the
// same round. All others are measured.
const (
	CPU          Metric = "cpu_us"         // per request or event
	Rate         Metric = "per_second"     // requests
	P50          Metric = "p50_us"         // latency of a request or event
	P99          Metric = "p99_us"         //
	AddedP50     Metric = "added_p50_us"   //
	AddedP99     Metric = "added_p99_us"   //
	FirstP50     Metric = "first_p50_us"   // from a stream's request to its first event
	FirstP99     Metric = "first_p99_us"   //
	Memory       Metric = "memory_kb"      // per open stream
	Wire         Metric = "bytes"          // per event, received by the client
	Failed       Metric = "failed"         // failed requests, or streams cut short
	StartUp      Metric = "start_ms"       // from exec to the first response
	Size         Metric = "size_mb"        // of the program's file
	IdleMemory   Metric = "idle_mb"        // after the first response
	EventsPerSec Metric = "events_per_sec" // received, of all streams
)

// Value returns a figure of a round, and whether there is one.
func (r *Result) Value(round int, measure, contender string, metric Metric) (float64, bool) {
	switch metric {
	case AddedP50:
		return r.added(round, measure, contender, P50)
	case AddedP99:
		return r.added(round, measure, contender, P99)
	default: // measured
	}
	for _, sample := range r.Samples {
		if sample.Round == round && sample.Measure == measure && sample.Contender == contender {
			value, found := sample.Figures[metric]
			return value, found
		}
	}
	return 0, false
}

func (r *Result) added(round int, measure, contender string, metric Metric) (float64, bool) {
	through, found := r.Value(round, measure, contender, metric)
	without, foundDirect := r.Value(round, measure, direct, metric)
	return through - without, found && foundDirect && contender != direct
}

// Contenders in ratios.
const (
	direct       = "direct" // no proxy
	nginx        = "nginx"
	reverseProxy = "ReverseProxy"
	vanguard     = "vanguard"
	raw          = "ours raw"
	grpc         = "ours gRPC"
)

// Spread is the distribution of a figure over all rounds.
type Spread struct{ Median, Min, Max float64 }

// Spread returns the distribution of a figure over all rounds, and whether there is one.
func (r *Result) Spread(measure, contender string, metric Metric) (Spread, bool) {
	return r.spread(func(round int) (float64, bool) { return r.Value(round, measure, contender, metric) })
}

// figureID identifies a figure of each round.
type figureID struct {
	Measure   string
	Contender string
	Metric    Metric
}

// ratio returns the distribution of the ratio of two figures of the same round, and
// whether there is one.
func (r *Result) ratio(over, under figureID) (Spread, bool) {
	return r.spread(func(round int) (float64, bool) {
		a, found := r.Value(round, over.Measure, over.Contender, over.Metric)
		b, foundBaseline := r.Value(round, under.Measure, under.Contender, under.Metric)
		return a / b, found && foundBaseline && a > 0 && b > 0
	})
}

func (r *Result) spread(value func(round int) (float64, bool)) (Spread, bool) {
	var values []float64
	for round := range r.Parameters.Rounds {
		if v, found := value(round); found {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return Spread{}, false
	}
	slices.Sort(values)
	n := len(values)
	return Spread{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}, true
}

// Total returns the sum of a figure over all rounds, and whether there is one.
func (r *Result) Total(measure, contender string, metric Metric) (float64, bool) {
	sum, some := 0.0, false
	for round := range r.Parameters.Rounds {
		if v, found := r.Value(round, measure, contender, metric); found {
			sum, some = sum+v, true
		}
	}
	return sum, some
}

// Write writes the result to a JSON file.
func (r *Result) Write(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644) //nolint:gosec // not secret
}

// Read reads a result from a JSON file.
func Read(file string) (*Result, error) {
	text, err := os.ReadFile(file) //nolint:gosec // chosen by the caller
	if err != nil {
		return nil, err
	}
	result := new(Result)
	if err := json.Unmarshal(text, result); err != nil {
		return nil, fmt.Errorf("invalid result %s: %w", file, err)
	}
	return result, nil
}

// round3 rounds a number to three significant digits.
func round3(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}
