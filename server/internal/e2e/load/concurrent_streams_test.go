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

// A thousand concurrent streams in each protocol. The upstream holds all streams
// until the last one has started. Each client receives its own events, in order, and
// the end of its stream.
func TestLoad_ThousandConcurrentStreams(t *testing.T) {
	const (
		streams     = 1000
		events      = 5
		connections = 4 // for the HTTP/2 streams
		patience    = time.Minute
	)
	for _, method := range []struct {
		name string
		// open returns a function that reads one stream.
		open func(*testing.T, *servertest.Front) func(context.Context, expectedStream) error
	}{
		{"raw over HTTP/1.1", func(t *testing.T, front *servertest.Front) func(context.Context, expectedStream) error {
			t.Helper()
			return rawReader(front, servertest.HTTPClient(t, false))
		}},
		{"raw over HTTP/2", func(t *testing.T, front *servertest.Front) func(context.Context, expectedStream) error {
			t.Helper()
			return rawReader(front, servertest.HTTPClient(t, true))
		}},
		{"Connect", func(t *testing.T, front *servertest.Front) func(context.Context, expectedStream) error {
			t.Helper()
			return typedReader(e2etest.NewConnectClient("", front.Connect(t, servertest.Protocols()[0])))
		}},
		{"gRPC-Web", func(t *testing.T, front *servertest.Front) func(context.Context, expectedStream) error {
			t.Helper()
			return typedReader(e2etest.NewConnectClient("", front.Connect(t, servertest.Protocols()[4])))
		}},
		{"grpc-go", func(t *testing.T, front *servertest.Front) func(context.Context, expectedStream) error {
			t.Helper()
			return typedReader(e2etest.NewGRPCClient(t, front))
		}},
	} {
		t.Run(method.name, func(t *testing.T) {
			barrier := newBarrier(streams)
			front := e2etest.StartServer(t, server.Config{Upstream: servertest.StartUpstream(t, barrier.serve(events)).URL})
			var follow []func(context.Context, expectedStream) error
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
					if err := follow[i%connections](ctx, expectedStream{fmt.Sprintf("stream %d of %d", i, streams), events}); err != nil {
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

// barrier holds requests until all of them have arrived.
type barrier struct {
	missing  atomic.Int32
	arrived  chan struct{} // receives one value for each request
	complete chan struct{}
	once     sync.Once
}

func newBarrier(size int) *barrier {
	c := &barrier{arrived: make(chan struct{}, size), complete: make(chan struct{})}
	c.missing.Store(int32(size))
	return c
}

// release stops waiting for further requests.
func (c *barrier) release() { c.once.Do(func() { close(c.complete) }) }

// serve responds with a stream of events that contain the marker of the request. It
// sends the first event at once, and the others when all requests have arrived.
func (c *barrier) serve(events int) http.HandlerFunc {
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
				c.release()
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

// expectedStream is a number of events with a marker.
type expectedStream struct {
	marker string
	events int
}

// check compares text with the expected event.
func (f expectedStream) check(i int, text string) error {
	if want := fmt.Sprintf("%s, event %d", f.marker, i); text != want {
		return fmt.Errorf("got %q, want %q", text, want)
	}
	return nil
}

func typedReader(client e2etest.Client) func(context.Context, expectedStream) error {
	return func(ctx context.Context, f expectedStream) error {
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
			wrong = errors.Join(wrong, fmt.Errorf("got %d events, want %d", n, f.events))
		}
		return errors.Join(err, wrong)
	}
}

func rawReader(front *servertest.Front, client *http.Client) func(context.Context, expectedStream) error {
	return func(ctx context.Context, f expectedStream) error {
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
				return fmt.Errorf("got event %d %q, want %q: %w", i, line, want, lines.Err())
			}
		}
		var rest strings.Builder
		for lines.Scan() {
			rest.WriteString(lines.Text())
		}
		if rest.String() != strings.TrimSpace(e2etest.DoneEvent) {
			return fmt.Errorf("got end of stream %q", rest.String())
		}
		return lines.Err()
	}
}
