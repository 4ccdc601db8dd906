// Command benchmark compares openai-connect with other proxies over loopback. It
// measures the CPU time, latency and memory per request and per event of a stream, as
// accounted by the operating system for the proxy process. It requires Linux.
//
//	go run -C server/benchmark . [flags]
//
// The baselines are nginx and haproxy (if installed), Caddy,
// net/http/httputil.ReverseProxy, connectrpc.com/vanguard, and a Cloudflare Worker in
// workerd (if npm is installed). Unavailable contenders are skipped and noted.
//
// Rounds are interleaved: each round takes every measure of every contender, with a new
// process for each. A reported figure is the median of all rounds, with its range. A
// ratio is the median of the ratios within each round.
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

	"github.com/openai-connect/openai-connect/server/benchmark/contender"
	"github.com/openai-connect/openai-connect/server/benchmark/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "benchmark: %v\n", err)
		os.Exit(1) //nolint:gocritic // nothing to clean up
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rounds := flags.Int("rounds", 5, "`number` of rounds")
	seconds := flags.Float64("seconds", 3, "`seconds` per measure")
	contenders := flags.String("contenders", "", "comma-separated `names` of contenders (default all)")
	measures := flags.String("measures", "", "comma-separated `names` of measures (default all)")
	streams := flags.String("streams", "1000,10000", "comma-separated `numbers` of concurrent event streams, one per measure; reduced to the limit on open files")
	jsonFile := flags.String("json", "", "write all figures to a JSON `file`")
	plotFile := flags.String("plot", "", "plot the medians to an SVG `file`")
	compare := flags.String("compare", "", "compare with an earlier JSON `file`, and fail if a ratio is more than 25% worse")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 || *rounds < 1 || *seconds <= 0 {
		return errors.New("invalid arguments: want only flags, at least one round, and a positive number of seconds (see -help)")
	}
	var earlier *report.Result
	if *compare != "" {
		var err error
		if earlier, err = report.Read(*compare); err != nil {
			return err
		}
	}
	counts, err := parseStreamCounts(*streams)
	if err != nil {
		return err
	}
	takenMeasures, err := choose(*measures, allMeasures(counts), func(m measure) string { return m.Name })
	if err != nil {
		return fmt.Errorf("-measures: %w", err)
	}
	takenContenders, err := choose(*contenders, contender.All(), func(s contender.Contender) string { return s.Name })
	if err != nil {
		return fmt.Errorf("-contenders: %w", err)
	}

	result := &report.Result{
		Date: time.Now().UTC().Truncate(time.Second), Machine: report.ThisMachine(),
		Parameters: report.Parameters{Rounds: *rounds, Seconds: *seconds, EventsPerSecond: eventsPerSecond},
		Versions:   make(map[string]string),
	}
	for _, m := range takenMeasures {
		result.Measures = append(result.Measures, m.Measure)
	}
	err = withTempDir(func(dir string) error {
		b := &benchmark{
			length: time.Duration(*seconds * float64(time.Second)), rounds: *rounds,
			dir: dir, result: result, progress: stderr,
		}
		if err := b.prepare(ctx, takenContenders); err != nil {
			return err
		}
		result.Parameters.Cores = b.describeCores()
		b.run(ctx, takenMeasures)
		return nil
	})
	if err != nil {
		return err
	}
	if err := result.WriteText(stdout); err != nil {
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
	if regressions := result.Regressions(earlier); len(regressions) > 0 {
		return fmt.Errorf("regressions compared with %s:\n%s", *compare, strings.Join(regressions, "\n"))
	}
	return nil
}

// parseStreamCounts parses the numbers of streams. It caps them by the limit on open
// files, because a proxy needs two per stream and some more.
func parseStreamCounts(list string) ([]int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	most := int(min(limit.Max, 1<<20)-200) / 2
	var counts []int
	for number := range strings.SplitSeq(list, ",") {
		count, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || count < 1 {
			return nil, fmt.Errorf("-streams: invalid number %q: want a positive integer", number)
		}
		counts = append(counts, min(count, most))
	}
	return counts, nil
}

// allMeasures returns the measures in the order of a round.
func allMeasures(streams []int) []measure {
	var all []measure
	for _, w := range []struct {
		upstreamProtocol contender.UpstreamProtocol
		suffix           string
		title            string
	}{
		{contender.Plain, "", ""},
		{contender.TLS, "-tls", ", upstream over TLS"},
		{contender.HTTP2, "-http2", ", upstream over HTTP/2 with TLS"},
	} {
		add := func(kind report.Kind, name, title string, streams int) {
			all = append(all, measure{report.Measure{
				Name: name + w.suffix, Kind: kind, Title: title + w.title,
				Upstream: string(w.upstreamProtocol), Streams: streams,
			}, w.upstreamProtocol})
		}
		add(report.Unary, "unary", fmt.Sprintf("Unary requests over %d connections", callers), 0)
		counts := streams
		if w.upstreamProtocol == contender.Plain {
			add(report.Latency, "latency", "Unary requests over 1 connection", 0)
			add(report.Start, "start", "Startup until the first response", 0)
		} else {
			counts = streams[:1]
		}
		for _, count := range counts {
			add(report.Streams, fmt.Sprintf("streams-%d", count), fmt.Sprintf("%d concurrent event streams, %d events/s in total", count, eventsPerSecond), count)
		}
	}
	return all
}
