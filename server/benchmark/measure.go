package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/load"
	"github.com/openai-connect/openai-connect/server/benchmark/report"
	"github.com/openai-connect/openai-connect/server/benchmark/subject"
)

// measure is a measurement: the same for each subject.
type measure struct {
	report.Measure

	way subject.Way
}

// fits says whether the measure can be taken of a subject.
func (m measure) fits(s subject.Subject) bool {
	switch {
	case !s.Can(m.way):
		return false
	case m.Kind == report.Streams:
		return s.Streams()
	case m.Kind == report.Start:
		return !s.IsDirect()
	}
	return true
}

const (
	callers   = 64          // of a unary measure
	warmingUp = time.Second // before anything is counted
)

// figures takes the measure of a subject, which is started for it: what an
// earlier measure left in its memory would be in the figures of this one.
func (b *benchmark) figures(ctx context.Context, m measure, c candidate) (map[report.Metric]float64, error) {
	switch m.Kind {
	case report.Unary:
		return b.unary(ctx, m, c, callers)
	case report.Latency:
		return b.unary(ctx, m, c, 1)
	case report.Streams:
		return b.streams(ctx, m, c)
	case report.Start:
		return b.start(ctx, m, c)
	}
	return nil, fmt.Errorf("no kind of a measure: %q", m.Kind)
}

// unary measures requests of some callers, each with a connection of its own.
func (b *benchmark) unary(ctx context.Context, m measure, c candidate, callers int) (map[report.Metric]float64, error) {
	stage, err := b.open(ctx, m, c)
	if err != nil {
		return nil, err
	}
	defer stage.close()
	client, err := load.NewClient(c.Form, stage.address, callers)
	if err != nil {
		return nil, stage.explain(err)
	}
	defer client.Close()

	load.RunUnary(ctx, client.Call, callers, warmingUp)
	before, err := stage.cpu()
	if err != nil {
		return nil, err
	}
	result := load.RunUnary(ctx, client.Call, callers, b.length)
	after, err := stage.cpu()
	if err != nil {
		return nil, stage.explain(err)
	}
	if result.Failed == result.Requests {
		return nil, stage.explain(result.Failure)
	}
	if result.Failed > 0 {
		b.notef("%s, %s: %d of %d requests failed, the first so: %v", m.Name, c.Name, result.Failed, result.Requests, result.Failure)
	}
	figures := map[report.Metric]float64{
		report.Rate:   float64(result.Requests-result.Failed) / result.Elapsed.Seconds(),
		report.P50:    micros(load.Quantile(result.Latencies, 0.5)),
		report.P99:    micros(load.Quantile(result.Latencies, 0.99)),
		report.Failed: float64(result.Failed),
	}
	if !c.IsDirect() {
		figures[report.CPU] = micros(after-before) / float64(result.Requests)
	}
	return figures, nil
}

// streams measures event streams that are all open together.
func (b *benchmark) streams(ctx context.Context, m measure, c candidate) (map[report.Metric]float64, error) {
	stage, err := b.open(ctx, m, c)
	if err != nil {
		return nil, err
	}
	defer stage.close()
	client, err := load.NewClient(c.Form, stage.address, m.Streams)
	if err != nil {
		return nil, stage.explain(err)
	}
	defer client.Close()
	if err := client.Call(ctx); err != nil { // Of its first answer anyone allocates more.
		return nil, stage.explain(err)
	}
	baseline, err := stage.memory()
	if err != nil {
		return nil, err
	}

	interval := time.Duration(m.Streams) * time.Second / eventsPerSecond
	streams := load.OpenStreams(ctx, client, m.Streams, interval)
	time.Sleep(min(interval, warmingUp)) // What opened together has spread.
	before, err := stage.cpu()
	if err != nil {
		return nil, err
	}
	window := streams.Measure(max(b.length, interval))
	after, err := stage.cpu()
	if err != nil {
		return nil, stage.explain(err)
	}
	memory, err := stage.memory()
	if err != nil {
		return nil, err
	}
	if err := stage.upstream.Signal(syscall.SIGUSR1); err != nil {
		return nil, err
	}
	cutShort, reason := streams.Wait(interval + 30*time.Second)
	if cutShort == m.Streams {
		return nil, stage.explain(reason)
	}
	if cutShort > 0 {
		b.notef("%s, %s: %d of %d streams were cut short, the first so: %v", m.Name, c.Name, cutShort, m.Streams, reason)
	}
	figures := map[report.Metric]float64{
		report.P50:          micros(load.Quantile(window.Latencies, 0.5)),
		report.P99:          micros(load.Quantile(window.Latencies, 0.99)),
		report.FirstP50:     micros(load.Quantile(streams.FirstEvents, 0.5)),
		report.FirstP99:     micros(load.Quantile(streams.FirstEvents, 0.99)),
		report.Wire:         float64(window.Bytes) / float64(window.Events),
		report.EventsPerSec: float64(window.Events) / max(b.length, interval).Seconds(),
		report.Failed:       float64(cutShort),
	}
	if !c.IsDirect() {
		figures[report.CPU] = micros(after-before) / float64(window.Events)
		figures[report.Memory] = float64(memory-baseline) / float64(m.Streams) / 1024
	}
	return figures, nil
}

// start measures the time from a program's start to its first answer.
func (b *benchmark) start(ctx context.Context, m measure, c candidate) (map[report.Metric]float64, error) {
	stage, err := b.open(ctx, m, c)
	if err != nil {
		return nil, err
	}
	defer stage.close()
	client, err := load.NewClient(c.Form, stage.address, 1)
	if err != nil {
		return nil, stage.explain(err)
	}
	defer client.Close()
	if err := client.Call(ctx); err != nil {
		return nil, stage.explain(err)
	}
	took := time.Since(stage.begun)
	memory, err := stage.memory()
	if err != nil {
		return nil, err
	}
	file, err := filepath.EvalSymlinks(c.program)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	return map[report.Metric]float64{
		report.StartUp:    took.Seconds() * 1000,
		report.Size:       float64(info.Size()) / 1e6,
		report.IdleMemory: float64(memory) / 1e6,
	}, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
