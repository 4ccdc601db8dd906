package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// closeTimeout is how long what a server is made of may take to close when its calls
// have ended: connections, the store of limits, the exporter of traces.
const closeTimeout = 6 * time.Second

// complaintTimeout is how long the log may block the last words.
const complaintTimeout = 100 * time.Millisecond

// watchdog ends the process if its shutdown hangs, for example in a file, a connection, a
// lock or the log. Each part of the shutdown has a bound of its own, which is
// shorter. It watches until the process has ended.
type watchdog struct {
	complain io.Writer

	mu      sync.Mutex
	timer   *time.Timer   // nil before the shutdown; guarded by mu
	allowed time.Duration // guarded by mu
}

// watchShutdown begins to watch when ctx is done. Until [watchdog.serving] is called
// there are no calls to wait for.
func watchShutdown(ctx context.Context, complain io.Writer) *watchdog {
	w := &watchdog{complain: complain, allowed: closeTimeout}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer = time.AfterFunc(w.allowed, w.exit)
	})
	return w
}

// serving allows the shutdown the time that calls have to end.
func (w *watchdog) serving(drain time.Duration) { w.allow(drain + closeTimeout) }

// served is called when calls have ended.
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
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprintf(w.complain, "openai-connect: the shutdown hangs: exiting without waiting for it\n")
	}()
	select {
	case <-said:
	case <-time.After(complaintTimeout):
	}
	os.Exit(failed)
}
