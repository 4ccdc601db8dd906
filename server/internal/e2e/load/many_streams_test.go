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

// allowFiles has the process open that many files, if it may, and returns how
// many it may open.
func allowFiles(t *testing.T, wanted uint64) uint64 {
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

// Ten thousand streams, all of them open at the same time, each on connections
// of its own, or over HTTP/2 on one to the upstream: every one is complete. Where
// the system allows the process too few files, it is as many as it allows.
func TestTenThousandStreamsAtOnce(t *testing.T) {
	const (
		events   = 5
		others   = 500 // files
		entering = 200 // streams at a time
		patience = 3 * time.Minute
	)
	for _, method := range []struct {
		name    string
		http2   bool
		sockets int // of a stream, both ends of each connection
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
			if files := allowFiles(t, wanted); files < wanted {
				streams = int(files-others) / method.sockets
				t.Logf("no more than %d files may be open: %d streams", files, streams)
			}
			crowd := newCrowd(streams)
			front := e2etest.StartServer(t, server.Config{Upstream: servertest.StartUpstream(t, crowd.serve(events)).URL})
			follow := rawFollower(front, servertest.HTTPClient(t, method.http2))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var (
				followers sync.WaitGroup
				failures  atomic.Int32
				start     = time.Now()
			)
			for i := range streams {
				// All are open in the end, but they don't come at one moment: the client
				// dials for each as long as it has no connection, and ten thousand
				// connections at once are more than a listener's queue takes.
				if i >= entering {
					select {
					case <-crowd.arrived:
					case <-crowd.complete:
					}
				}
				followers.Go(func() {
					if err := follow(ctx, follower{fmt.Sprintf("stream %d", i), events}); err != nil {
						if failures.Add(1) <= 5 {
							t.Errorf("stream %d: %v", i, err)
						}
						crowd.disperse()
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
