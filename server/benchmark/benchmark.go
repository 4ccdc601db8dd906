package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/contender"
	"github.com/openai-connect/openai-connect/server/benchmark/process"
	"github.com/openai-connect/openai-connect/server/benchmark/report"
)

// eventsPerSecond is the total rate of events over all streams. It does not depend on the
// number of streams, so that the figures per event are comparable. It is low enough to
// leave a small machine idle time.
const eventsPerSecond = 5000

// benchmark is a run of the benchmark.
type benchmark struct {
	length time.Duration // of a measure
	rounds int

	dir                      string // for built programs and other files
	upstream                 string // the upstream's program
	certificate, key         string // the upstream's, as PEM files
	measuredCores, loadCores []int  // nil for all
	candidates               []candidate

	result   *report.Result
	progress io.Writer
}

// candidate is a contender whose program is available.
type candidate struct {
	contender.Contender

	program string
}

// prepare builds the programs. It skips unavailable contenders and adds a note to the
// result.
func (b *benchmark) prepare(ctx context.Context, contenders []contender.Contender) error {
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
	builder := contender.NewBuilder(ctx, ".", b.dir)
	if b.upstream, err = builder.Build(".", "./upstream"); err != nil {
		return err
	}
	for _, c := range contenders {
		fmt.Fprintf(b.progress, "prepare %s\n", c.Name)
		program, err := c.Program(builder)
		switch {
		case err != nil && c.Ours:
			return err
		case err != nil:
			b.notef("%s is SKIPPED: %v", c.Name, err)
			continue
		}
		if b.result.Versions[c.Name], err = c.Version(program); err != nil {
			return err
		}
		b.candidates = append(b.candidates, candidate{c, program})
		b.result.Contenders = append(b.result.Contenders, c.Name)
		if c.Ours {
			b.result.Ours = append(b.result.Ours, c.Name)
		}
	}
	return nil
}

// run takes every measure of every contender in each round, so that changes of the
// machine's speed affect all contenders alike. The first contender differs between
// rounds. run returns early if interrupted.
func (b *benchmark) run(ctx context.Context, measures []measure) {
	for round := range b.rounds {
		for _, m := range measures {
			turn := slices.Concat(b.candidates[round%len(b.candidates):], b.candidates[:round%len(b.candidates)])
			for _, c := range turn {
				if !m.supports(c.Contender) {
					continue
				}
				started := time.Now()
				figures, err := b.figures(ctx, m, c)
				if ctx.Err() != nil {
					b.notef("interrupted in round %d", round+1)
					return
				}
				if err != nil {
					b.notef("%s, %s: FAILED: %v", m.Name, c.Name, err)
					continue
				}
				b.result.Samples = append(b.result.Samples, report.Sample{Round: round, Measure: m.Name, Contender: c.Name, Figures: figures})
				fmt.Fprintf(b.progress, "round %d of %d, %s, %s: %.1f s\n", round+1, b.rounds, m.Name, c.Name, time.Since(started).Seconds())
			}
		}
	}
}

// notef adds a note to the result and prints it.
func (b *benchmark) notef(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	fmt.Fprintf(b.progress, "NOTE: %s\n", note)
	if !slices.Contains(b.result.Notes, note) {
		b.result.Notes = append(b.result.Notes, note)
	}
}

// contenderCores returns the number of cores for a contender.
func (b *benchmark) contenderCores() int {
	if b.measuredCores != nil {
		return len(b.measuredCores)
	}
	return b.result.Machine.Cores
}

// describeCores describes which process uses which cores.
func (b *benchmark) describeCores() string {
	if b.measuredCores == nil {
		return "the contender, the load and the upstream share all cores"
	}
	return fmt.Sprintf("the contender on %v, the load and the upstream on %v", b.measuredCores, b.loadCores)
}

// choose returns the elements named in a comma-separated list, or all if it is empty.
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
			return nil, fmt.Errorf("unknown name %q: want one of %s", want, strings.Join(names, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// withTempDir calls a function with a temporary directory.
func withTempDir(run func(dir string) error) error {
	dir, err := os.MkdirTemp("", "openai-connect-benchmark-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return run(dir)
}
