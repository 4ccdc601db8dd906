// Command benchmark measures openai-connect beside its peers, on loopback: what
// a request and an event of a stream cost in processor time, latency and memory,
// by the operating system's accounts of the one process that stands between a
// client and an upstream. It runs on Linux alone.
//
//	go run -C server/benchmark . [flags]
//
// Peers are nginx and haproxy where they are installed, Caddy,
// net/http/httputil.ReverseProxy and connectrpc.com/vanguard, and a Cloudflare
// Worker in workerd where npm is there. What is missing is said, and left out.
//
// Rounds are interleaved: each takes every measure of every subject, which is
// started anew for it. A figure is the median of the rounds, with its range, and
// a ratio is the median of ratios within a round.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/report"
	"github.com/openai-connect/openai-connect/server/benchmark/subject"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "benchmark: %v\n", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rounds := flags.Int("rounds", 5, "how many `rounds`")
	seconds := flags.Float64("seconds", 3, "how many `seconds` each measure counts")
	subjects := flags.String("subjects", "", "the `subjects` to measure, by name and comma (default all)")
	measures := flags.String("measures", "", "the `measures` to take, by name and comma (default all)")
	streams := flags.String("streams", "1000,10000", "how many event streams are open at a time, a `number` for each measure of streams; fewer where the limit on open files says so")
	jsonFile := flags.String("json", "", "write every figure to a `file`")
	plotFile := flags.String("plot", "", "draw the medians into an SVG `file`")
	compare := flags.String("compare", "", "compare the ratios with those of an earlier JSON `file`, and fail where ours are more than a quarter worse")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 || *rounds < 1 || *seconds <= 0 {
		return errors.New("no arguments but flags, one round at least, and some time (see -help)")
	}
	var earlier *report.Result
	if *compare != "" {
		var err error
		if earlier, err = report.Read(*compare); err != nil {
			return err
		}
	}
	counts, err := parseStreams(*streams)
	if err != nil {
		return err
	}
	takenMeasures, err := choose(*measures, allMeasures(counts), func(m measure) string { return m.Name })
	if err != nil {
		return fmt.Errorf("-measures: %w", err)
	}
	takenSubjects, err := choose(*subjects, subject.All(), func(s subject.Subject) string { return s.Name })
	if err != nil {
		return fmt.Errorf("-subjects: %w", err)
	}

	result := &report.Result{
		Date: time.Now().UTC().Truncate(time.Second), Machine: report.ThisMachine(),
		Parameters: report.Parameters{Rounds: *rounds, Seconds: *seconds, EventsPerSecond: eventsPerSecond},
		Versions:   make(map[string]string),
	}
	for _, m := range takenMeasures {
		result.Measures = append(result.Measures, m.Measure)
	}
	err = inTemporary(func(dir string) error {
		b := &benchmark{
			length: time.Duration(*seconds * float64(time.Second)), rounds: *rounds,
			dir: dir, result: result, progress: stderr,
		}
		if err := b.prepare(ctx, takenSubjects); err != nil {
			return err
		}
		result.Parameters.Cores = b.coresUsed()
		b.run(ctx, takenMeasures)
		return nil
	})
	if err != nil {
		return err
	}
	if err := result.Text(stdout); err != nil {
		return err
	}
	if *jsonFile != "" {
		if err := result.Write(*jsonFile); err != nil {
			return err
		}
	}
	if *plotFile != "" {
		if err := result.Plot(*plotFile); err != nil {
			return err
		}
	}
	if earlier == nil {
		return nil
	}
	if worse := result.Worse(earlier); len(worse) > 0 {
		return fmt.Errorf("worse than in %s:\n%s", *compare, strings.Join(worse, "\n"))
	}
	return nil
}

// parseStreams reads the numbers of streams, and bounds each by the limit on open
// files: a proxy has two for a stream, and some of its own.
func parseStreams(list string) ([]int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	most := int(min(limit.Max, 1<<20)-200) / 2
	var counts []int
	for number := range strings.SplitSeq(list, ",") {
		count, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || count < 1 {
			return nil, fmt.Errorf("-streams: no number of streams: %q", number)
		}
		counts = append(counts, min(count, most))
	}
	return counts, nil
}

// allMeasures returns the measures in the order in which they are taken.
func allMeasures(streams []int) []measure {
	var all []measure
	for _, w := range []struct {
		way    subject.Way
		suffix string
		title  string
	}{
		{subject.Plain, "", ""},
		{subject.TLS, "-tls", ", upstream over TLS"},
		{subject.HTTP2, "-http2", ", upstream over TLS by HTTP/2"},
	} {
		add := func(kind report.Kind, name, title string, streams int) {
			all = append(all, measure{report.Measure{
				Name: name + w.suffix, Kind: kind, Title: title + w.title,
				Upstream: string(w.way), Streams: streams,
			}, w.way})
		}
		add(report.Unary, "unary", fmt.Sprintf("Unary requests over %d connections", callers), 0)
		counts := streams
		if w.way == subject.Plain {
			add(report.Latency, "latency", "Unary requests over 1 connection", 0)
			add(report.Start, "start", "Start-up to the first answer", 0)
		} else {
			counts = streams[:1]
		}
		for _, count := range counts {
			add(report.Streams, fmt.Sprintf("streams-%d", count), fmt.Sprintf("%d event streams open together, %d events a second in all", count, eventsPerSecond), count)
		}
	}
	return all
}
