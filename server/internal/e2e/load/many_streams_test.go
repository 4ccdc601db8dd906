//go:build unix

package load_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// raiseFileLimit raises the limit of open files up to wanted if possible, and
// returns the limit.
func raiseFileLimit(t *testing.T, wanted uint64) uint64 {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= wanted {
		return limit.Cur
	}
	raised := syscall.Rlimit{Cur: wanted, Max: max(limit.Max, wanted)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) })
		return wanted
	}
	return limit.Cur
}

// Ten thousand concurrent streams are all complete. Over HTTP/1.1 each uses its own
// connections, over HTTP/2 they share an upstream connection. A lower file limit
// reduces the number of streams.
func TestLoad_TenThousandConcurrentStreams(t *testing.T) {
	const (
		events   = 5
		others   = 500 // files
		entering = 200 // streams at a time
		patience = 3 * time.Minute
	)
	for _, method := range []struct {
		name    string
		http2   bool
		sockets int // per stream, counting both ends of each connection
	}{
		{"over HTTP/1.1", false, 4},
		{"over HTTP/2", true, 2},
	} {
		t.Run(method.name, func(t *testing.T) {
			streams := 10_000
			if testing.Short() {
				streams = 1000
			}
			wanted := uint64(streams*method.sockets + others)
			if files := raiseFileLimit(t, wanted); files < wanted {
				streams = int(files-others) / method.sockets
				t.Logf("limited to %d open files: %d streams", files, streams)
			}
			barrier := newBarrier(streams)
			front := e2etest.StartServer(t, server.Config{Upstream: servertest.StartUpstream(t, barrier.serve(events)).URL})
			follow := rawReader(front, servertest.HTTPClient(t, method.http2))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var (
				followers sync.WaitGroup
				failures  atomic.Int32
				start     = time.Now()
			)
			for i := range streams {
				// Streams start gradually. Ten thousand simultaneous connection attempts
				// would overflow the listen queue.
				if i >= entering {
					select {
					case <-barrier.arrived:
					case <-barrier.complete:
					}
				}
				followers.Go(func() {
					if err := follow(ctx, expectedStream{fmt.Sprintf("stream %d", i), events}); err != nil {
						if failures.Add(1) <= 5 {
							t.Errorf("stream %d: %v", i, err)
						}
						barrier.release()
					}
				})
			}
			followers.Wait()
			if n := failures.Load(); n > 0 {
				t.Errorf("%d of %d streams failed", n, streams)
			}
			t.Logf("%d streams of %d events took %v", streams, events, time.Since(start))
		})
	}
}
