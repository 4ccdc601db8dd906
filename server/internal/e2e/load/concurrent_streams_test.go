package load_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// A thousand streams at once, in each of the ways: all of them are open at the
// same time, as the upstream holds each until all have begun, and each gets its
// own events, all of them, in their order, and its end.
func TestAThousandStreamsAtOnce(t *testing.T) {
	const (
		streams     = 1000
		events      = 5
		connections = 4 // over which streams of HTTP/2 are spread
		patience    = time.Minute
	)
	for _, method := range []struct {
		name string
		// open returns a function that follows one stream.
		open func(*testing.T, *servertest.Front) func(context.Context, follower) error
	}{
		{"raw over HTTP/1.1", func(t *testing.T, front *servertest.Front) func(context.Context, follower) error {
			t.Helper()
			return rawFollower(front, servertest.HTTPClient(t, false))
		}},
		{"raw over HTTP/2", func(t *testing.T, front *servertest.Front) func(context.Context, follower) error {
			t.Helper()
			return rawFollower(front, servertest.HTTPClient(t, true))
		}},
		{"Connect", func(t *testing.T, front *servertest.Front) func(context.Context, follower) error {
			t.Helper()
			return typedFollower(e2etest.NewConnectClient("", front.Connect(t, servertest.Protocols()[0])))
		}},
		{"gRPC-Web", func(t *testing.T, front *servertest.Front) func(context.Context, follower) error {
			t.Helper()
			return typedFollower(e2etest.NewConnectClient("", front.Connect(t, servertest.Protocols()[4])))
		}},
		{"gRPC by grpc-go", func(t *testing.T, front *servertest.Front) func(context.Context, follower) error {
			t.Helper()
			return typedFollower(e2etest.NewGRPCClient(t, front))
		}},
	} {
		t.Run(method.name, func(t *testing.T) {
			crowd := newCrowd(streams)
			front := e2etest.StartServer(t, server.Config{Upstream: servertest.StartUpstream(t, crowd.serve(events)).URL})
			var follow []func(context.Context, follower) error
			for range connections {
				follow = append(follow, method.open(t, front))
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var (
				followers sync.WaitGroup
				failures  atomic.Int32
				start     = time.Now()
			)
			for i := range streams {
				followers.Go(func() {
					if err := follow[i%connections](ctx, follower{fmt.Sprintf("stream %d of %d", i, streams), events}); err != nil {
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

// crowd holds requests until all of them are there.
type crowd struct {
	missing  atomic.Int32
	arrived  chan struct{} // has one for each request that is there
	complete chan struct{}
	once     sync.Once
}

func newCrowd(size int) *crowd {
	c := &crowd{arrived: make(chan struct{}, size), complete: make(chan struct{})}
	c.missing.Store(int32(size))
	return c
}

// disperse lets everyone go: not all will come.
func (c *crowd) disperse() { c.once.Do(func() { close(c.complete) }) }

// serve answers with a stream of events, of which each has the marker that the
// request has. The first one comes at once, the others when all requests have
// begun.
func (c *crowd) serve(events int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		marker := r.Header.Get(e2etest.ScriptHeader)
		control := http.NewResponseController(w)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range events {
			_, _ = io.WriteString(w, e2etest.Chunk(0, fmt.Sprintf("%s, event %d", marker, i)))
			_ = control.Flush()
			if i > 0 {
				continue
			}
			c.arrived <- struct{}{}
			if c.missing.Add(-1) == 0 {
				c.disperse()
			}
			select {
			case <-c.complete:
			case <-r.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(w, e2etest.DoneEvent)
	}
}

// follower is what one stream is to bring: that many events with its marker.
type follower struct {
	marker string
	events int
}

// check compares one text with what must come next.
func (f follower) check(i int, text string) error {
	if want := fmt.Sprintf("%s, event %d", f.marker, i); text != want {
		return fmt.Errorf("%q came, where %q was expected", text, want)
	}
	return nil
}

func typedFollower(client e2etest.Client) func(context.Context, follower) error {
	return func(ctx context.Context, f follower) error {
		var (
			n     int
			wrong error
		)
		c := e2etest.Call{Method: e2etest.StreamMethod, Request: e2etest.Hello(), Metadata: http.Header{e2etest.ScriptHeader: {f.marker}}}
		_, err := client.Stream(ctx, c, func(message *chatv1.ChatCompletionChunk) {
			wrong = errors.Join(wrong, f.check(n, e2etest.ChunkText(message)))
			n++
		})
		if n != f.events {
			wrong = errors.Join(wrong, fmt.Errorf("%d events came, want %d", n, f.events))
		}
		return errors.Join(err, wrong)
	}
}

func rawFollower(front *servertest.Front, client *http.Client) func(context.Context, follower) error {
	return func(ctx context.Context, f follower) error {
		request, err := e2etest.NewRawRequest(ctx, front.URL, f.marker)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		for i := range f.events {
			var line string
			for line == "" && lines.Scan() {
				line = lines.Text()
			}
			if want := strings.TrimSpace(e2etest.Chunk(0, fmt.Sprintf("%s, event %d", f.marker, i))); line != want {
				return fmt.Errorf("event got %d %q, want %q: %w", i, line, want, lines.Err())
			}
		}
		var rest strings.Builder
		for lines.Scan() {
			rest.WriteString(lines.Text())
		}
		if rest.String() != strings.TrimSpace(e2etest.DoneEvent) {
			return fmt.Errorf("the stream ends with %q", rest.String())
		}
		return lines.Err()
	}
}
