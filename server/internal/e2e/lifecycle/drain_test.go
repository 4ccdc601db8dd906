package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// startWithConfig runs a server with a ServeConfig. It returns the server and the
// result of Serve.
func startWithConfig(t *testing.T, upstream string, listening server.ServeConfig) (front *servertest.Front, served <-chan error) {
	t.Helper()
	s, err := server.New(server.Config{Upstream: upstream})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	result, left := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(left)
		result <- s.Serve(ctx, listener, listening)
	}()
	t.Cleanup(func() {
		stop()
		<-left
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	address := listener.Addr().String()
	return &servertest.Front{Server: s, Address: address, URL: "http://" + address, Stop: stop}, result
}

const smallRequest = `{"model":"sandbox","messages":[{"role":"user","content":"Hi"}]}`

// drainClient is a client of two servers. It opens connections to the server that
// is ready, as behind a load balancer that notices at once, and keeps using its open
// connections.
type drainClient struct {
	name string
	ask  func(ctx context.Context) error
}

// newDrainClient returns a client with its own connections, opened by dial.
type newDrainClient func(t *testing.T, dial func(context.Context) (net.Conn, error)) drainClient

func httpDrainClient(version int) newDrainClient {
	return func(t *testing.T, dial func(context.Context) (net.Conn, error)) drainClient {
		t.Helper()
		client := servertest.HTTPClient(t, version == 2)
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
		return drainClient{fmt.Sprintf("HTTP/%d", version), func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server/v1/chat/completions", strings.NewReader(smallRequest))
			if err != nil {
				return err
			}
			request.Header.Set("Content-Type", "application/json")
			if version == 1 {
				request.GetBody = nil // prevents retries by the client
			}
			response, err := client.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), "chat.completion") {
				return fmt.Errorf("got status %s and body %q: %w", response.Status, body, err)
			}
			return nil
		}}
	}
}

func grpcDrainClient(t *testing.T, dial func(context.Context) (net.Conn, error)) drainClient {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///server", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return drainClient{"gRPC", func(ctx context.Context) error {
		response := new(chatv1.ChatCompletion)
		err := conn.Invoke(ctx, chatv1connect.ChatServiceCreateChatCompletionProcedure, e2etest.Hello(), response)
		if err == nil && len(response.GetChoices()) == 0 {
			err = errors.New("empty response")
		}
		return err
	}}
}

// Clients send requests continuously over persistent connections while the server
// shuts down. No request is lost on the way to another server.
func TestDrain_ClientsMoveToAnotherServerWithoutFailure(t *testing.T) {
	t.Parallel()
	const (
		clients = 8
		enough  = 400 // requests before and after
	)
	for name, open := range map[string]newDrainClient{"over HTTP/1.1": httpDrainClient(1), "over HTTP/2": httpDrainClient(2), "gRPC": grpcDrainClient} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listening := server.ServeConfig{DrainDelay: 300 * time.Millisecond, DrainTimeout: e2etest.Timeout}
			first, served := startWithConfig(t, server.Sandbox, listening)
			second, _ := startWithConfig(t, server.Sandbox, listening)
			var dialed [2]atomic.Int32
			dial := func(ctx context.Context) (net.Conn, error) {
				if first.Server.Ready() == nil {
					dialed[0].Add(1)
					return new(net.Dialer).DialContext(ctx, "tcp", first.Address)
				}
				dialed[1].Add(1)
				return new(net.Dialer).DialContext(ctx, "tcp", second.Address)
			}
			var (
				asked, after, failed atomic.Int32
				gone                 atomic.Bool
				warm                 = make(chan struct{})
				working              sync.WaitGroup
			)
			for range clients {
				m := open(t, dial)
				working.Go(func() {
					for after.Load() < enough {
						if err := m.ask(e2etest.Context(t)); err != nil && failed.Add(1) < 5 {
							t.Errorf("request %d: %v", asked.Load(), err)
						}
						if asked.Add(1) == enough {
							close(warm)
						}
						if gone.Load() {
							after.Add(1)
						}
						time.Sleep(rand.N(5 * time.Millisecond)) // leaves connections idle at times
					}
				})
			}
			e2etest.Receive(t, warm, "the first requests")
			first.Stop()
			if err := e2etest.Receive(t, served, "the server to shut down"); err != nil {
				t.Errorf("Serve returned %v", err)
			}
			gone.Store(true)
			working.Wait()
			t.Logf("%d requests, %d failed; %d connections to the first server, %d to the second", asked.Load(), failed.Load(), dialed[0].Load(), dialed[1].Load())
			if failed.Load() > 0 || dialed[0].Load() != clients || dialed[1].Load() != clients {
				t.Errorf("%d requests failed; got %d and %d connections, want one for each client", failed.Load(), dialed[0].Load(), dialed[1].Load())
			}
		})
	}
}

// During the drain delay, a server that reports not ready accepts requests and
// connections as before.
func TestDrain_ServesDuringDelay(t *testing.T) {
	t.Parallel()
	front, served := startWithConfig(t, server.Sandbox, server.ServeConfig{DrainDelay: 500 * time.Millisecond, DrainTimeout: e2etest.Timeout})
	if err := front.Server.Ready(); err != nil {
		t.Errorf("got readiness error %v before the shutdown", err)
	}
	watch := servertest.HTTPClient(t, false)
	front.Stop()
	asked := 0
	for refused := false; !refused; asked++ {
		if front.Server.Ready() == nil {
			continue // The shutdown has not started.
		}
		response, err := watch.Post(front.URL+"/v1/chat/completions", "application/json", strings.NewReader(smallRequest))
		if refused = err != nil; refused {
			break
		}
		if response.Body.Close(); response.StatusCode != http.StatusOK || !response.Close {
			t.Fatalf("got status %s, closed: %t", response.Status, response.Close)
		}
	}
	if asked == 0 {
		t.Error("got no response during the delay")
	}
	if err := front.Server.Ready(); err == nil || err.Error() != "the server is shutting down" {
		t.Errorf("got readiness error %v", err)
	}
	if err := e2etest.Receive(t, served, "the server to shut down"); err != nil {
		t.Error(err)
	}
}

// The server sends GOAWAY on an idle HTTP/2 connection before it closes it.
func TestDrain_IdleHTTP2ConnectionGetsGoAway(t *testing.T) {
	t.Parallel()
	front, served := startWithConfig(t, server.Sandbox, server.ServeConfig{DrainDelay: time.Millisecond, DrainTimeout: e2etest.Timeout})
	conn, err := net.Dial("tcp", front.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(e2etest.Timeout)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(framer.WriteSettings(), framer.WritePing(false, [8]byte{1})); err != nil {
		t.Fatal(err)
	}
	var heard []string
	for stopped := false; ; {
		frame, err := framer.ReadFrame()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("got end of connection %v, want EOF", err)
			}
			break
		}
		switch frame := frame.(type) {
		case *http2.PingFrame:
			if !stopped {
				stopped = true
				front.Stop()
			} else {
				heard = append(heard, "PONG")
			}
		case *http2.GoAwayFrame:
			heard = append(heard, "GOAWAY "+frame.ErrCode.String())
			if err := framer.WritePing(false, [8]byte{2}); err != nil {
				t.Error(err)
			}
		}
	}
	if got := strings.Join(heard, ", "); got != "GOAWAY NO_ERROR, PONG" {
		t.Errorf("got frames %q", got)
	}
	if err := e2etest.Receive(t, served, "the server to shut down"); err != nil {
		t.Error(err)
	}
}

// Clients replace a connection of the maximum age. Requests in progress on the old
// connection continue.
func TestConnectionAge_OldConnectionTakesNoMoreRequests(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]int{"over HTTP/1.1": 1, "over HTTP/2": 2} {
		for age, fresh := range map[time.Duration]int32{0: 1, time.Nanosecond: 5, time.Hour: 1} {
			t.Run(fmt.Sprintf("%s at %v", name, age), func(t *testing.T) {
				t.Parallel()
				front, _ := startWithConfig(t, server.Sandbox, server.ServeConfig{DrainTimeout: e2etest.Timeout, MaxConnectionAge: age})
				var dialed atomic.Int32
				m := httpDrainClient(version)(t, func(ctx context.Context) (net.Conn, error) {
					dialed.Add(1)
					return new(net.Dialer).DialContext(ctx, "tcp", front.Address)
				})
				for range 5 {
					if err := m.ask(e2etest.Context(t)); err != nil {
						t.Error(err)
					}
				}
				if got := dialed.Load(); got != fresh {
					t.Errorf("got %d connections for 5 calls, want %d", got, fresh)
				}
			})
		}
	}
	t.Run("with an HTTP/2 stream in progress", func(t *testing.T) {
		t.Parallel()
		finish := make(chan struct{})
		upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, e2etest.Chunk(0, "a"))
			_ = http.NewResponseController(w).Flush()
			<-finish
			_, _ = io.WriteString(w, e2etest.Chunk(0, "b")+e2etest.DoneEvent)
		})
		front, _ := startWithConfig(t, upstream.URL, server.ServeConfig{DrainTimeout: e2etest.Timeout, MaxConnectionAge: time.Nanosecond})
		client := servertest.HTTPClient(t, true)
		response, err := client.Post(front.URL+"/v1/chat/completions", "application/json", strings.NewReader(smallRequest))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		for range 3 {
			if _, err := client.Get(front.URL + "/playground/"); err != nil {
				t.Error(err)
			}
		}
		close(finish)
		if body, err := io.ReadAll(response.Body); err != nil || !strings.HasSuffix(string(body), e2etest.DoneEvent) {
			t.Errorf("got end of stream %q and error %v", body, err)
		}
	})
	t.Run("with a new WebSocket", func(t *testing.T) {
		t.Parallel()
		front, _ := startWithConfig(t, e2etest.ServeWebSocketEcho(t, func(error) {}), server.ServeConfig{DrainTimeout: e2etest.Timeout, MaxConnectionAge: time.Nanosecond})
		conn, _, err := websocket.Dial(e2etest.Context(t), "ws://"+front.Address+"/v1/realtime", &websocket.DialOptions{HTTPClient: servertest.HTTPClient(t, false)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		if err := conn.Write(e2etest.Context(t), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, message, err := conn.Read(e2etest.Context(t)); err != nil || string(message) != "hello" {
			t.Errorf("got message %q and error %v", message, err)
		}
	})
}

// Clients retry calls that cross a GOAWAY on another connection, as RFC 9113
// section 6.8 allows. gRPC clients retry a call once, so connections must not
// expire immediately.
func TestConnectionAge_NoCallIsLostAtGoAway(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]newDrainClient{"over HTTP/2": httpDrainClient(2), "gRPC": grpcDrainClient} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const callers, calls = 8, 150
			front, _ := startWithConfig(t, server.Sandbox, server.ServeConfig{DrainTimeout: e2etest.Timeout, MaxConnectionAge: 200 * time.Millisecond})
			var dialed, failed atomic.Int32
			m := open(t, func(ctx context.Context) (net.Conn, error) {
				dialed.Add(1)
				return new(net.Dialer).DialContext(ctx, "tcp", front.Address)
			})
			var working sync.WaitGroup
			for range callers {
				working.Go(func() {
					for range calls {
						if err := m.ask(e2etest.Context(t)); err != nil && failed.Add(1) < 5 {
							t.Error(err)
						}
					}
				})
			}
			working.Wait()
			t.Logf("%d calls over %d connections, %d failed", callers*calls, dialed.Load(), failed.Load())
			if dialed.Load() < 2 {
				t.Error("got one connection, want several")
			}
		})
	}
}
