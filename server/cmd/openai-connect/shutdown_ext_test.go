package main_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// scene is a server with a typed and a raw stream, each in the middle.
type scene struct {
	*process

	typed  grpc.ClientStream
	raw    io.Reader
	health grpc_health_v1.Health_WatchClient

	// finish has the upstream finish the streams.
	finish context.CancelFunc
}

const (
	firstEvent = `data: {"id":"1","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}` + "\n\n"
	lastEvents = `data: {"id":"1","choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
)

// open sets the scene.
func open(t *testing.T, arguments ...string) *scene {
	t.Helper()
	finished, finish := context.WithCancel(t.Context())
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, firstEvent)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-finished.Done():
			_, _ = io.WriteString(w, lastEvents)
		case <-r.Context().Done():
		}
	})
	s := &scene{finish: finish}
	s.process = start(t, nil, append(arguments, "--upstream", upstream.URL, "--listen", "127.0.0.1:0", "--log-level", "warn")...)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)

	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s.health, err = grpc_health_v1.NewHealthClient(conn).Watch(ctx, new(grpc_health_v1.HealthCheckRequest))
	if err != nil {
		t.Fatal(err)
	}
	s.sees(t, grpc_health_v1.HealthCheckResponse_SERVING)
	s.typed, err = conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/openaiconnect.chat.v1.ChatService/StreamChatCompletion")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.typed.SendMsg(hello()), s.typed.CloseSend()); err != nil {
		t.Fatal(err)
	}
	if text, err := s.receive(); err != nil || text != "a" {
		t.Fatalf("got %q and %v", text, err)
	}

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := servertest.HTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	s.raw = response.Body
	event := make([]byte, len(firstEvent))
	if _, err := io.ReadFull(s.raw, event); err != nil || string(event) != firstEvent {
		t.Fatalf("got %q and %v", event, err)
	}
	return s
}

// sees waits for the status of the server's health to be this.
func (s *scene) sees(t *testing.T, want grpc_health_v1.HealthCheckResponse_ServingStatus) {
	t.Helper()
	response, err := s.health.Recv()
	if err != nil || response.GetStatus() != want {
		t.Fatalf("got health %v, error %v, want %v", response.GetStatus(), err, want)
	}
}

// receive returns the text of the typed stream's next message.
func (s *scene) receive() (string, error) {
	chunk := new(chatv1.ChatCompletionChunk)
	if err := s.typed.RecvMsg(chunk); err != nil {
		return "", err
	}
	return chunk.GetChoices()[0].GetDelta().GetContent(), nil
}

func TestShutdown_LetsStreamsFinish(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			s.signal(t, signal)
			s.sees(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
			s.finish()
			if text, err := s.receive(); err != nil || text != "b" {
				t.Errorf("the typed stream goes on with %q and %v", text, err)
			}
			if _, err := s.receive(); !errors.Is(err, io.EOF) {
				t.Errorf("the typed stream ends with %v", err)
			}
			if rest, err := io.ReadAll(s.raw); err != nil || string(rest) != lastEvents {
				t.Errorf("the raw stream ends with %q and %v", rest, err)
			}
			s.exitsCleanly(t)
			if s.stderr.Len() > 0 {
				t.Errorf("got log\n%s", &s.stderr)
			}
		})
	}
}

// During the delay of a shutdown, the server accepts requests and connections, and its
// status is not ready.
func TestShutdown_WaitsForTheDelay(t *testing.T) {
	t.Parallel()
	s := open(t, "--drain-delay", "500ms")
	s.signal(t, syscall.SIGTERM)
	s.sees(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	response, err := servertest.HTTPClient(t, false).Get(s.url + "/playground/") // by a new connection
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("got %s, close %t", response.Status, response.Close)
	}
	s.finish()
	if _, err := s.receive(); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(s.raw); err != nil || string(rest) != lastEvents {
		t.Errorf("the raw stream ends with %q and %v", rest, err)
	}
	s.exitsCleanly(t)
}

func TestShutdown_AbortsStreamsAfterTheTimeout(t *testing.T) {
	t.Parallel()
	s := open(t, "--drain-timeout", "50ms")
	s.signal(t, syscall.SIGTERM)
	if text, err := s.receive(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the typed stream goes on with %q and %v", text, err)
	}
	if rest, err := io.ReadAll(s.raw); err == nil || len(rest) > 0 {
		t.Errorf("the raw stream ends with %q and %v", rest, err)
	}
	s.wait(t)
	failed, ok := errors.AsType[*exec.ExitError](s.err)
	if !ok || failed.ExitCode() != 1 {
		t.Errorf("got exit error %v", s.err)
	}
	if text := s.stderr.String(); !strings.Contains(text, "aborted requests in progress after 50ms") {
		t.Errorf("got log\n%s", text)
	}
}

func TestShutdown_ASecondSignalExitsAtOnce(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]string{"while calls end": "--drain-timeout", "while calls are still taken": "--drain-delay"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, flag, "1h")
			s.signal(t, syscall.SIGINT)
			s.sees(t, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
			// The first signal may not yet be done with.
			ticks := time.NewTicker(10 * time.Millisecond)
			defer ticks.Stop()
			for ended := false; !ended; {
				select {
				case <-ticks.C:
					_ = s.command.Process.Signal(syscall.SIGINT)
				case <-s.ended:
					ended = true
				case <-t.Context().Done():
					t.Fatal("the process did not exit")
				}
			}
			failed, ok := errors.AsType[*exec.ExitError](s.err)
			if !ok || failed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Errorf("got exit error %v", s.err)
			}
		})
	}
}
