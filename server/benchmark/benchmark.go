package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/process"
	"github.com/openai-connect/openai-connect/server/benchmark/report"
	"github.com/openai-connect/openai-connect/server/benchmark/subject"
)

// eventsPerSecond is how many events all streams of a measure have together: as
// many at 1,000 streams as at 10,000, so that the figures for an event can be
// compared, and few enough to leave a small machine idle time.
const eventsPerSecond = 5000

// benchmark is a run.
type benchmark struct {
	length time.Duration // of what is counted
	rounds int

	dir                      string // for what is built and written
	upstream                 string // its program
	certificate, key         string // of the upstream
	measuredCores, loadCores []int  // none for all
	candidates               []candidate

	result   *report.Result
	progress io.Writer
}

// candidate is a subject whose program is there.
type candidate struct {
	subject.Subject

	program string
}

// prepare builds what the run needs. A subject that can't be had is left out,
// which the result notes.
func (b *benchmark) prepare(ctx context.Context, subjects []subject.Subject) error {
	var err error
	if b.certificate, b.key, err = writeCertificate(b.dir); err != nil {
		return err
	}
	if b.measuredCores, b.loadCores, err = process.Split(); err != nil {
		return err
	}
	if err := process.Pin(b.loadCores); err != nil {
		return err
	}
	workshop := subject.NewWorkshop(ctx, ".", b.dir)
	if b.upstream, err = workshop.Build(".", "./upstream"); err != nil {
		return err
	}
	for _, s := range subjects {
		fmt.Fprintf(b.progress, "prepare %s\n", s.Name)
		program, err := s.Program(workshop)
		switch {
		case err != nil && s.Ours:
			return err
		case err != nil:
			b.notef("%s is LEFT OUT: %v", s.Name, err)
			continue
		}
		if b.result.Versions[s.Name], err = s.Version(program); err != nil {
			return err
		}
		b.candidates = append(b.candidates, candidate{s, program})
		b.result.Subjects = append(b.result.Subjects, s.Name)
		if s.Ours {
			b.result.Ours = append(b.result.Ours, s.Name)
		}
	}
	return nil
}

// run takes every measure of every subject in each round, so that what the
// machine does meanwhile strikes all alike. Each round begins with another
// subject. Interrupted, it ends early.
func (b *benchmark) run(ctx context.Context, measures []measure) {
	for round := range b.rounds {
		for _, m := range measures {
			turn := slices.Concat(b.candidates[round%len(b.candidates):], b.candidates[:round%len(b.candidates)])
			for _, c := range turn {
				if !m.fits(c.Subject) {
					continue
				}
				begun := time.Now()
				figures, err := b.figures(ctx, m, c)
				if ctx.Err() != nil {
					b.notef("interrupted in round %d", round+1)
					return
				}
				if err != nil {
					b.notef("%s, %s: FAILED: %v", m.Name, c.Name, err)
					continue
				}
				b.result.Samples = append(b.result.Samples, report.Sample{Round: round, Measure: m.Name, Subject: c.Name, Figures: figures})
				fmt.Fprintf(b.progress, "round %d of %d, %s, %s: %.1f s\n", round+1, b.rounds, m.Name, c.Name, time.Since(begun).Seconds())
			}
		}
	}
}

// notef keeps what a reader of the result has to know, and says it at once.
func (b *benchmark) notef(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	fmt.Fprintf(b.progress, "NOTE: %s\n", note)
	if !slices.Contains(b.result.Notes, note) {
		b.result.Notes = append(b.result.Notes, note)
	}
}

// subjectCores is how many cores a subject may use.
func (b *benchmark) subjectCores() int {
	if b.measuredCores != nil {
		return len(b.measuredCores)
	}
	return b.result.Machine.Cores
}

// coresUsed says who ran where.
func (b *benchmark) coresUsed() string {
	if b.measuredCores == nil {
		return "the subject, the load and the upstream share all cores"
	}
	return fmt.Sprintf("the subject on %v, the load and the upstream on %v", b.measuredCores, b.loadCores)
}

// choose returns what a flag's list names of all, or all.
func choose[T any](list string, all []T, name func(T) string) ([]T, error) {
	if list == "" {
		return all, nil
	}
	var chosen []T
	for want := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(one T) bool { return strings.EqualFold(name(one), strings.TrimSpace(want)) })
		if i < 0 {
			var names []string
			for _, one := range all {
				names = append(names, name(one))
			}
			return nil, fmt.Errorf("no %q among %s", want, strings.Join(names, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// inTemporary calls a function with a folder that is removed afterwards.
func inTemporary(call func(dir string) error) error {
	dir, err := os.MkdirTemp("", "openai-connect-benchmark-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return call(dir)
}
