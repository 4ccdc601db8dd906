// Package report is what came of a run of the benchmark: its figures, and what
// they say side by side. Times differ from machine to machine and from hour to
// hour, so everything that is judged is a ratio within one round.
package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"
)

// Result is a run.
type Result struct {
	Date       time.Time         `json:"date"`
	Machine    Machine           `json:"machine"`
	Parameters Parameters        `json:"parameters"`
	Versions   map[string]string `json:"versions"`
	// Measures and Subjects are in the order in which they are shown.
	Measures []Measure `json:"measures"`
	Subjects []string  `json:"subjects"`
	Ours     []string  `json:"ours"`
	Notes    []string  `json:"notes"`
	Samples  []Sample  `json:"samples"`
}

// Parameters are what a run was asked for.
type Parameters struct {
	Rounds          int     `json:"rounds"`
	Seconds         float64 `json:"seconds"`
	EventsPerSecond int     `json:"events_per_second"`
	Cores           string  `json:"cores"`
}

// Measure is a kind of figures under some circumstances.
type Measure struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Title says what was done.
	Title string `json:"title"`
	// Upstream says how the upstream was spoken to, and Streams how many were
	// open, if any.
	Upstream string `json:"upstream"`
	Streams  int    `json:"streams,omitempty"`
}

// Plain is the upstream over HTTP/1.1 without TLS.
const Plain = "plain"

// Kind is a set of figures that are taken together.
type Kind string

// The kinds of measures.
const (
	Unary   Kind = "unary"
	Latency Kind = "latency"
	Streams Kind = "streams"
	Start   Kind = "start"
)

// Sample is the figures of one subject in one measure in one round.
type Sample struct {
	Round   int                `json:"round"`
	Measure string             `json:"measure"`
	Subject string             `json:"subject"`
	Figures map[Metric]float64 `json:"figures"`
}

// Metric names a figure, with its unit.
type Metric string

// The figures of a sample, and AddedP50 and AddedP99, which follow from a
// sample and that of the direct way in the same round.
const (
	CPU          Metric = "cpu_us"         // for each request, or event
	Rate         Metric = "per_second"     // requests
	P50          Metric = "p50_us"         // latency of a request, or an event
	P99          Metric = "p99_us"         //
	AddedP50     Metric = "added_p50_us"   //
	AddedP99     Metric = "added_p99_us"   //
	FirstP50     Metric = "first_p50_us"   // from a stream's request to its first event
	FirstP99     Metric = "first_p99_us"   //
	Memory       Metric = "memory_kb"      // for each open stream
	Wire         Metric = "bytes"          // for each event, on the client's side
	Failed       Metric = "failed"         // requests that failed, or streams that were cut short
	StartUp      Metric = "start_ms"       // from exec to the first answer
	Size         Metric = "size_mb"        // the program's file
	IdleMemory   Metric = "idle_mb"        // after the first answer
	EventsPerSec Metric = "events_per_sec" // that came, of all streams
)

// Value returns a figure of a round.
func (r *Result) Value(round int, measure, subject string, metric Metric) (float64, bool) {
	switch metric {
	case AddedP50:
		return r.added(round, measure, subject, P50)
	case AddedP99:
		return r.added(round, measure, subject, P99)
	default: // was measured
	}
	for _, sample := range r.Samples {
		if sample.Round == round && sample.Measure == measure && sample.Subject == subject {
			value, found := sample.Figures[metric]
			return value, found
		}
	}
	return 0, false
}

func (r *Result) added(round int, measure, subject string, metric Metric) (float64, bool) {
	through, found := r.Value(round, measure, subject, metric)
	without, foundDirect := r.Value(round, measure, direct, metric)
	return through - without, found && foundDirect && subject != direct
}

// The subjects that others are compared with.
const (
	direct       = "direct" // has nothing between client and upstream
	nginx        = "nginx"
	reverseProxy = "ReverseProxy"
	vanguard     = "vanguard"
	raw          = "ours raw"
	grpc         = "ours gRPC"
)

// Spread is a figure over the rounds.
type Spread struct{ Median, Min, Max float64 }

// Spread returns a figure over the rounds, and whether there is any.
func (r *Result) Spread(measure, subject string, metric Metric) (Spread, bool) {
	return r.spread(func(round int) (float64, bool) { return r.Value(round, measure, subject, metric) })
}

// Place is where a figure stands.
type Place struct {
	Measure string
	Subject string
	Metric  Metric
}

// Ratio returns the ratio of two figures over the rounds, of which each is taken
// within one round, and whether there is any.
func (r *Result) Ratio(over, under Place) (Spread, bool) {
	return r.spread(func(round int) (float64, bool) {
		a, found := r.Value(round, over.Measure, over.Subject, over.Metric)
		b, foundPeer := r.Value(round, under.Measure, under.Subject, under.Metric)
		return a / b, found && foundPeer && a > 0 && b > 0
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

// Total returns the sum of a figure over the rounds, and whether there is any.
func (r *Result) Total(measure, subject string, metric Metric) (float64, bool) {
	sum, some := 0.0, false
	for round := range r.Parameters.Rounds {
		if v, found := r.Value(round, measure, subject, metric); found {
			sum, some = sum+v, true
		}
	}
	return sum, some
}

// Write writes the result as JSON.
func (r *Result) Write(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644) //nolint:gosec // to be read by anyone
}

// Read reads a result that was written as JSON.
func Read(file string) (*Result, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the caller's to choose
	if err != nil {
		return nil, err
	}
	result := new(Result)
	if err := json.Unmarshal(text, result); err != nil {
		return nil, fmt.Errorf("%s holds no result of the benchmark: %w", file, err)
	}
	return result, nil
}

// round3 rounds a number to three digits.
func round3(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}
