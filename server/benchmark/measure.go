package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/contender"
	"github.com/openai-connect/openai-connect/server/benchmark/load"
	"github.com/openai-connect/openai-connect/server/benchmark/report"
)

// measure is a measurement, identical for each contender.
type measure struct {
	report.Measure

	upstreamProtocol contender.UpstreamProtocol
}

// supports reports whether the measure applies to a contender.
func (m measure) supports(c contender.Contender) bool {
	switch {
	case !c.Supports(m.upstreamProtocol):
		return false
	case m.Kind == report.Streams:
		return c.Streams()
	case m.Kind == report.Start:
		return !c.IsDirect()
	}
	return true
}

const (
	callers = 64          // concurrent callers of a unary measure
	warmUp  = time.Second // before the measurement
)

// figures takes the measure of a contender. It starts a new process, because an earlier
// measure would affect memory usage.
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
	return nil, fmt.Errorf("unknown kind of measure: %q", m.Kind)
}

// unary measures requests by concurrent callers with separate connections.
func (b *benchmark) unary(ctx context.Context, m measure, c candidate, callers int) (map[report.Metric]float64, error) {
	setup, err := b.startSetup(ctx, m, c)
	if err != nil {
		return nil, err
	}
	defer setup.close()
	client, err := load.NewClient(c.Protocol, setup.address, callers)
	if err != nil {
		return nil, setup.withOutput(err)
	}
	defer client.Close()

	load.RunUnary(ctx, client.Call, callers, warmUp)
	before, err := setup.cpu()
	if err != nil {
		return nil, err
	}
	result := load.RunUnary(ctx, client.Call, callers, b.length)
	after, err := setup.cpu()
	if err != nil {
		return nil, setup.withOutput(err)
	}
	if result.Failed == result.Requests {
		return nil, setup.withOutput(result.Failure)
	}
	if result.Failed > 0 {
		b.notef("%s, %s: %d of %d requests failed, the first with: %v", m.Name, c.Name, result.Failed, result.Requests, result.Failure)
	}
	figures := map[report.Metric]float64{
		report.Rate:   float64(result.Requests-result.Failed) / result.Elapsed.Seconds(),
		report.P50:    microseconds(load.Quantile(result.Latencies, 0.5)),
		report.P99:    microseconds(load.Quantile(result.Latencies, 0.99)),
		report.Failed: float64(result.Failed),
	}
	if !c.IsDirect() {
		figures[report.CPU] = microseconds(after-before) / float64(result.Requests)
	}
	return figures, nil
}

// streams measures concurrent event streams.
func (b *benchmark) streams(ctx context.Context, m measure, c candidate) (map[report.Metric]float64, error) {
	setup, err := b.startSetup(ctx, m, c)
	if err != nil {
		return nil, err
	}
	defer setup.close()
	client, err := load.NewClient(c.Protocol, setup.address, m.Streams)
	if err != nil {
		return nil, setup.withOutput(err)
	}
	defer client.Close()
	if err := client.Call(ctx); err != nil { // The first response allocates more.
		return nil, setup.withOutput(err)
	}
	baseline, err := setup.memory()
	if err != nil {
		return nil, err
	}

	interval := time.Duration(m.Streams) * time.Second / eventsPerSecond
	streams := load.OpenStreams(ctx, client, m.Streams, interval)
	time.Sleep(min(interval, warmUp)) // Wait until the events are spread over time.
	before, err := setup.cpu()
	if err != nil {
		return nil, err
	}
	window := streams.Measure(max(b.length, interval))
	after, err := setup.cpu()
	if err != nil {
		return nil, setup.withOutput(err)
	}
	memory, err := setup.memory()
	if err != nil {
		return nil, err
	}
	if err := setup.upstream.Signal(syscall.SIGUSR1); err != nil {
		return nil, err
	}
	cutShort, reason := streams.Wait(interval + 30*time.Second)
	if cutShort == m.Streams {
		return nil, setup.withOutput(reason)
	}
	if cutShort > 0 {
		b.notef("%s, %s: %d of %d streams were cut short, the first with: %v", m.Name, c.Name, cutShort, m.Streams, reason)
	}
	figures := map[report.Metric]float64{
		report.P50:          microseconds(load.Quantile(window.Latencies, 0.5)),
		report.P99:          microseconds(load.Quantile(window.Latencies, 0.99)),
		report.FirstP50:     microseconds(load.Quantile(streams.FirstEvents, 0.5)),
		report.FirstP99:     microseconds(load.Quantile(streams.FirstEvents, 0.99)),
		report.Wire:         float64(window.Bytes) / float64(window.Events),
		report.EventsPerSec: float64(window.Events) / max(b.length, interval).Seconds(),
		report.Failed:       float64(cutShort),
	}
	if !c.IsDirect() {
		figures[report.CPU] = microseconds(after-before) / float64(window.Events)
		figures[report.Memory] = float64(memory-baseline) / float64(m.Streams) / 1024
	}
	return figures, nil
}

// start measures the time from the start of a program to its first response.
func (b *benchmark) start(ctx context.Context, m measure, c candidate) (map[report.Metric]float64, error) {
	setup, err := b.startSetup(ctx, m, c)
	if err != nil {
		return nil, err
	}
	defer setup.close()
	client, err := load.NewClient(c.Protocol, setup.address, 1)
	if err != nil {
		return nil, setup.withOutput(err)
	}
	defer client.Close()
	if err := client.Call(ctx); err != nil {
		return nil, setup.withOutput(err)
	}
	took := time.Since(setup.started)
	memory, err := setup.memory()
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

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
