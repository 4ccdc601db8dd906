package lifecycle_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A server that shuts down accepts no new connections and lets calls in progress
// finish.
func TestShutdown_LetsStreamsFinish(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	url := e2etest.ServeScripts(t, map[string]e2etest.Script{"held": func(conn *upstreamtest.Conn) {
		e2etest.BeginStream(conn)
		conn.SendChunk(e2etest.Chunk(0, "before"))
		e2etest.Receive(t, goOn, "the shutdown")
		conn.SendChunk(e2etest.Chunk(0, "behind"))
		conn.SendChunk(e2etest.DoneEvent)
		e2etest.EndStream(conn)
	}})
	front, stop, served := e2etest.StartWithDrainTimeout(t, e2etest.Timeout, url)
	ways := e2etest.Callers(t, front)
	began, results := make(chan struct{}), make(chan error)
	for _, method := range ways {
		go func() {
			first := true
			results <- method.Stream(t.Context(), t, "held", func() {
				if first {
					first = false
					began <- struct{}{}
				}
			})
		}()
	}
	for range ways {
		e2etest.Receive(t, began, "the streams to begin")
	}
	stop()
	for refused := false; !refused; {
		conn, err := net.Dial("tcp", front.Address)
		if refused = err != nil; !refused {
			conn.Close()
		}
	}
	select {
	case err := <-served:
		t.Fatalf("server shut down before its streams ended: %v", err)
	default:
	}
	close(goOn)
	for range ways {
		if err := e2etest.Receive(t, results, "the streams to end"); err != nil {
			t.Errorf("stream in progress failed: %v", err)
		}
	}
	if err := e2etest.Receive(t, served, "the server to shut down"); err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

// Streams that outlast the drain timeout are aborted. Clients and the upstream
// notice.
func TestShutdown_AbortsStreamsAfterTimeout(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	url := e2etest.ServeScripts(t, map[string]e2etest.Script{"held": func(conn *upstreamtest.Conn) {
		e2etest.BeginStream(conn)
		conn.SendChunk(e2etest.Chunk(0, "a") + e2etest.Finish(0, "stop"))
		conn.WaitEnd()
		ended <- struct{}{}
	}})
	front, stop, served := e2etest.StartWithDrainTimeout(t, 50*time.Millisecond, url)
	ways := e2etest.Callers(t, front)
	type result struct {
		name string
		err  error
	}
	began, results := make(chan struct{}), make(chan result)
	for _, method := range ways {
		go func() {
			first := true
			err := method.Stream(t.Context(), t, "held", func() {
				if first {
					first = false
					began <- struct{}{}
				}
			})
			results <- result{method.Name, err}
		}()
	}
	for range ways {
		e2etest.Receive(t, began, "the streams to begin")
	}
	stop()
	for range ways {
		if r := e2etest.Receive(t, results, "the streams to end"); r.err == nil {
			t.Errorf("%s: aborted stream looks complete", r.name)
		} else {
			t.Logf("%s: %v", r.name, r.err)
		}
	}
	for range ways {
		e2etest.Receive(t, ended, "the upstream to see the end")
	}
	if err := e2etest.Receive(t, served, "the server to shut down"); err == nil || !strings.Contains(err.Error(), "aborted requests in progress after 50ms") {
		t.Errorf("Serve returned %v", err)
	}
}
