package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// closeTimeout bounds the time to close connections, the rate limiter and the exporter
// of traces after the last request.
const closeTimeout = 6 * time.Second

// messageTimeout bounds the time to write the final message.
const messageTimeout = 100 * time.Millisecond

// watchdog ends the process if its shutdown hangs, for example in a file, a connection,
// a lock or the log. The parts of the shutdown have shorter timeouts.
type watchdog struct {
	stderr io.Writer

	mu      sync.Mutex
	timer   *time.Timer   // nil before the shutdown; guarded by mu
	allowed time.Duration // guarded by mu
}

// watchShutdown returns a watchdog that starts when ctx is done. It allows no time for
// requests until [watchdog.serving] is called.
func watchShutdown(ctx context.Context, stderr io.Writer) *watchdog {
	w := &watchdog{stderr: stderr, allowed: closeTimeout}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer = time.AfterFunc(w.allowed, w.exit)
	})
	return w
}

// serving adds the time for requests to finish.
func (w *watchdog) serving(drain time.Duration) { w.allow(drain + closeTimeout) }

// served is called after the last request.
func (w *watchdog) served() { w.allow(closeTimeout) }

func (w *watchdog) allow(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.allowed = limit
	if w.timer != nil {
		w.timer.Reset(limit)
	}
}

func (w *watchdog) exit() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		fmt.Fprintf(w.stderr, "openai-connect: the shutdown hangs: exiting now\n")
	}()
	select {
	case <-written:
	case <-time.After(messageTimeout):
	}
	os.Exit(failed)
}
