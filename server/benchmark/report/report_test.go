package report

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// figures is a figure of a subject, round by round.
type figures map[string][]float64

// resultOf makes a result of one figure.
func resultOf(metric Metric, of figures) *Result {
	r := &Result{
		Measures: []Measure{{Name: "unary", Kind: Unary, Upstream: Plain}},
		Ours:     []string{raw},
	}
	for _, subject := range []string{direct, nginx, reverseProxy, raw} {
		values := of[subject]
		r.Parameters.Rounds = max(r.Parameters.Rounds, len(values))
		if len(values) > 0 {
			r.Subjects = append(r.Subjects, subject)
		}
		for round, value := range values {
			r.Samples = append(r.Samples, Sample{round, "unary", subject, map[Metric]float64{metric: value}})
		}
	}
	return r
}

func TestARatioIsTheMedianOfTheRoundsRatios(t *testing.T) {
	// A machine that is ten times slower in one round changes no ratio.
	r := resultOf(CPU, figures{nginx: {10, 100, 20}, raw: {20, 210, 60}})
	got, found := r.Ratio(Place{"unary", raw, CPU}, Place{"unary", nginx, CPU})
	if want := (Spread{2.1, 2, 3}); !found || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestARoundWithoutBothFiguresHasNoRatio(t *testing.T) {
	r := resultOf(CPU, figures{nginx: {10}, raw: {20, 90}})
	got, found := r.Ratio(Place{"unary", raw, CPU}, Place{"unary", nginx, CPU})
	if want := (Spread{2, 2, 2}); !found || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, found := r.Ratio(Place{"unary", raw, CPU}, Place{"unary", reverseProxy, CPU}); found {
		t.Error("there is a ratio to what was not measured")
	}
}

func TestAddedLatencyIsOverTheSameRoundsDirectOne(t *testing.T) {
	r := resultOf(P50, figures{direct: {20, 200}, nginx: {50, 280}})
	got, found := r.Spread("unary", nginx, AddedP50)
	if want := (Spread{55, 30, 80}); !found || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, found := r.Spread("unary", direct, AddedP50); found {
		t.Error("the direct way adds something to itself")
	}
}

func TestOnlyARatioThatIsClearlyWorseIsFlagged(t *testing.T) {
	earlier := figures{nginx: {10, 10, 10}, reverseProxy: {50, 50, 50}, raw: {20, 21, 22}}
	for _, test := range []struct {
		name string
		now  figures
		want string // a part of what is said, or nothing
	}{
		{"the same", earlier, ""},
		{"ten times slower, nginx as well", figures{nginx: {100, 100, 100}, raw: {200, 210, 220}}, ""},
		{"better", figures{nginx: {10, 10, 10}, raw: {10, 10, 10}}, ""},
		{"worse by a fifth", figures{nginx: {10, 10, 10}, raw: {25, 25, 25}}, ""},
		{"worse by half in the median, with a range that overlaps", figures{nginx: {10, 10, 10}, raw: {21.5, 32, 33}}, ""},
		{"worse by half in every round", figures{nginx: {10, 10, 10}, raw: {30, 31, 32}}, "that of nginx, where it was 2.1 [2–2.2]"},
		{"worse by half, with no nginx", figures{reverseProxy: {50, 50, 50}, raw: {30, 31, 32}}, "that of ReverseProxy"},
		{"no peer to compare with", figures{raw: {300, 310, 320}}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			worse := strings.Join(resultOf(CPU, test.now).Worse(resultOf(CPU, earlier)), "\n")
			if (worse == "") != (test.want == "") || !strings.Contains(worse, test.want) {
				t.Errorf("it says %q, want %q", worse, test.want)
			}
		})
	}
}

func TestFailuresThatWereNotThereAreFlagged(t *testing.T) {
	none, some := resultOf(Failed, figures{raw: {0, 0}}), resultOf(Failed, figures{raw: {0, 3}})
	if worse := some.Worse(none); len(worse) != 1 {
		t.Errorf("of 3 failures: %q", worse)
	}
	if worse := none.Worse(some); len(worse) != 0 {
		t.Errorf("of no failures: %q", worse)
	}
}

func TestTargetsAreJudgedByTheirRatio(t *testing.T) {
	r := resultOf(CPU, figures{nginx: {10}, reverseProxy: {40}, raw: {19}})
	var text strings.Builder
	if err := r.Targets(&text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], " met ") || !strings.Contains(lines[1], "NOT MET") {
		t.Errorf("1.9 times nginx and 0.475 times ReverseProxy are judged so:\n%s", &text)
	}
}

func TestAResultIsReadAsItWasWritten(t *testing.T) {
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
