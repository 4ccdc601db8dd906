package report

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// figures holds a figure of each round by contender.
type figures map[string][]float64

// resultOf returns a result with one metric.
func resultOf(metric Metric, of figures) *Result {
	r := &Result{
		Measures: []Measure{{Name: "unary", Kind: Unary, Upstream: Plain}},
		Ours:     []string{raw},
	}
	for _, contender := range []string{direct, nginx, reverseProxy, raw} {
		values := of[contender]
		r.Parameters.Rounds = max(r.Parameters.Rounds, len(values))
		if len(values) > 0 {
			r.Contenders = append(r.Contenders, contender)
		}
		for round, value := range values {
			r.Samples = append(r.Samples, Sample{round, "unary", contender, map[Metric]float64{metric: value}})
		}
	}
	return r
}

func TestResult_RatioIsMedianOfRatiosWithinRound(t *testing.T) {
	// A ten times slower round does not change the ratio.
	r := resultOf(CPU, figures{nginx: {10, 100, 20}, raw: {20, 210, 60}})
	got, found := r.ratio(figureID{"unary", raw, CPU}, figureID{"unary", nginx, CPU})
	if want := (Spread{2.1, 2, 3}); !found || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestResult_RatioNeedsBothFigures(t *testing.T) {
	r := resultOf(CPU, figures{nginx: {10}, raw: {20, 90}})
	got, found := r.ratio(figureID{"unary", raw, CPU}, figureID{"unary", nginx, CPU})
	if want := (Spread{2, 2, 2}); !found || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, found := r.ratio(figureID{"unary", raw, CPU}, figureID{"unary", reverseProxy, CPU}); found {
		t.Error("there is a ratio to a missing figure")
	}
}

func TestResult_AddedLatencyIsRelativeToDirect(t *testing.T) {
	r := resultOf(P50, figures{direct: {20, 200}, nginx: {50, 280}})
	got, found := r.Spread("unary", nginx, AddedP50)
	if want := (Spread{55, 30, 80}); !found || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, found := r.Spread("unary", direct, AddedP50); found {
		t.Error("the direct connection has added latency")
	}
}

func TestRegressions_NeedClearDifference(t *testing.T) {
	earlier := figures{nginx: {10, 10, 10}, reverseProxy: {50, 50, 50}, raw: {20, 21, 22}}
	for _, test := range []struct {
		name string
		now  figures
		want string // part of the report, or empty
	}{
		{"no change", earlier, ""},
		{"everything ten times slower", figures{nginx: {100, 100, 100}, raw: {200, 210, 220}}, ""},
		{"improvement", figures{nginx: {10, 10, 10}, raw: {10, 10, 10}}, ""},
		{"worse by a fifth", figures{nginx: {10, 10, 10}, raw: {25, 25, 25}}, ""},
		{"worse by half, with overlapping ranges", figures{nginx: {10, 10, 10}, raw: {21.5, 32, 33}}, ""},
		{"worse by half in every round", figures{nginx: {10, 10, 10}, raw: {30, 31, 32}}, "times nginx, was 2.1 [2–2.2]"},
		{"worse by half, without nginx", figures{reverseProxy: {50, 50, 50}, raw: {30, 31, 32}}, "times ReverseProxy"},
		{"no baseline", figures{raw: {300, 310, 320}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			worse := strings.Join(resultOf(CPU, test.now).Regressions(resultOf(CPU, earlier)), "\n")
			if (worse == "") != (test.want == "") || !strings.Contains(worse, test.want) {
				t.Errorf("got %q, want %q", worse, test.want)
			}
		})
	}
}

func TestRegressions_IncludeNewFailures(t *testing.T) {
	none, some := resultOf(Failed, figures{raw: {0, 0}}), resultOf(Failed, figures{raw: {0, 3}})
	if worse := some.Regressions(none); len(worse) != 1 {
		t.Errorf("3 failures: got %q, want one regression", worse)
	}
	if worse := none.Regressions(some); len(worse) != 0 {
		t.Errorf("no failures: got %q, want no regression", worse)
	}
}

func TestResult_WritesWhetherTargetsAreMet(t *testing.T) {
	r := resultOf(CPU, figures{nginx: {10}, reverseProxy: {40}, raw: {19}})
	var text strings.Builder
	if err := r.writeTargets(&text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], " met ") || !strings.Contains(lines[1], "NOT MET") {
		t.Errorf("want targets met for nginx and not met for ReverseProxy, got:\n%s", &text)
	}
}

func TestResult_IsReadAsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	wrote := resultOf(CPU, figures{nginx: {10, 11.5}, raw: {19, 20.25}})
	if err := wrote.Write(file); err != nil {
		t.Fatal(err)
	}
	read, err := Read(file)
	if err != nil || !reflect.DeepEqual(read, wrote) {
		t.Errorf("%+v and %v, want %+v", read, err, wrote)
	}
}
