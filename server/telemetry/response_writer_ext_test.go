package telemetry_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/telemetry/internal/observetest"
)

// serve runs a handler behind an observer until the test ends.
func serve(tb testing.TB, config telemetry.Config, handler http.HandlerFunc) (*telemetry.Observer, string) {
	tb.Helper()
	o, err := telemetry.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(o.Close)
	s := httptest.NewServer(observed(o, handler))
	tb.Cleanup(s.Close)
	return o, s.URL
}

func TestTelemetry_CountsBytesOfWebSockets(t *testing.T) {
	t.Run("without spans", func(t *testing.T) { checkWebSocket(t, telemetry.Config{}) })
	t.Run("with spans", func(t *testing.T) {
		checkWebSocket(t, telemetry.Config{Tracing: &telemetry.Tracing{Endpoint: "http://" + observetest.Refused(t)}})
	})
}

func checkWebSocket(t *testing.T, config telemetry.Config) {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}))
	t.Cleanup(echo.Close)
	f := observetest.Start(t, config, echo.URL)
	conn, _, err := websocket.Dial(t.Context(), "ws://"+f.Address()+"/v1/realtime?model=m", &websocket.DialOptions{HTTPClient: f.HTTP()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	message := strings.Repeat("x", 1000)
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	if _, back, err := conn.Read(t.Context()); err != nil || string(back) != message {
		t.Fatalf("%q, %v", back, err)
	}
	samples := scrape(t, f.Observer)
	if got := samples[`openai_connect_open_streams{protocol="raw"}`]; got != 1 {
		t.Errorf("%v streams are open, not 1", got)
	}
	for _, name := range []string{`openai_connect_received_bytes_total{protocol="raw"}`, `openai_connect_sent_bytes_total{protocol="raw"}`} {
		if got := samples[name]; got < 1000 || got > 1100 {
			t.Errorf("%s is %v for a message of 1000 bytes", name, got)
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	observetest.Wait(t, "the end of the WebSocket", func() bool {
		samples := scrape(t, f.Observer)
		return samples[`openai_connect_open_streams{protocol="raw"}`] == 0 &&
			samples[`openai_connect_requests_total{client="",code="101",model="",protocol="raw",route="/v1/realtime"}`] == 1
	})
}

func TestTelemetry_WriterKeepsOptionalMethods(t *testing.T) {
	t.Run("without spans", func(t *testing.T) { checkWriter(t, telemetry.Config{}) })
	t.Run("with spans", func(t *testing.T) {
		checkWriter(t, telemetry.Config{Tracing: &telemetry.Tracing{Endpoint: "http://" + observetest.Refused(t)}})
	})
}

func checkWriter(t *testing.T, config telemetry.Config) {
	t.Helper()
	var failed error
	_, url := serve(t, config, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(http.Flusher); !ok {
			failed = errors.New("no http.Flusher")
		}
		control := http.NewResponseController(w)
		for _, err := range []error{
			control.EnableFullDuplex(),
			control.SetReadDeadline(time.Now().Add(time.Minute)),
			control.SetWriteDeadline(time.Now().Add(time.Minute)),
			control.Flush(),
		} {
			failed = errors.Join(failed, err)
		}
		// Full duplex: the body is read after the response has started.
		content, err := io.ReadAll(r.Body)
		failed = errors.Join(failed, err)
		_, _ = w.Write(content)
	})
	reader, writer := io.Pipe()
	request, err := http.NewRequest(http.MethodPost, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan *http.Response, 1)
	go func() {
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
		}
		answered <- resp
	}()
	_, _ = io.WriteString(writer, "first, ")
	resp := <-answered
	if resp == nil {
		t.FailNow()
	}
	_, _ = io.WriteString(writer, "then the rest")
	writer.Close()
	if got := drain(t, resp); got != "first, then the rest" || failed != nil {
		t.Errorf("%q, %v", got, failed)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestTelemetry_CountsAbortedResponses(t *testing.T) {
	t.Run("without spans", func(t *testing.T) { checkBroken(t, telemetry.Config{}) })
	t.Run("with spans", func(t *testing.T) {
		checkBroken(t, telemetry.Config{Tracing: &telemetry.Tracing{Endpoint: "http://" + observetest.Refused(t)}})
	})
}

func checkBroken(t *testing.T, config telemetry.Config) {
	t.Helper()
	o, url := serve(t, config, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := http.Get(url + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the client saw %v, not the break", err)
	}
	observetest.Wait(t, "the count", func() bool {
		return scrape(t, o)[`openai_connect_requests_total{client="",code="aborted",model="",protocol="raw",route="/v1/models"}`] == 1
	})
	http.DefaultClient.CloseIdleConnections()
}

func TestTelemetry_ForwardsInterimResponses(t *testing.T) {
	o, url := serve(t, telemetry.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 103") {
		t.Errorf("%q, %v", line, err)
	}
	observetest.Wait(t, "the count", func() bool {
		return scrape(t, o)[`openai_connect_requests_total{client="",code="418",model="",protocol="raw",route="/v1/models"}`] == 1
	})
}

func TestTelemetry_ForwardsRequestTrailers(t *testing.T) {
	got := make(chan http.Header, 1)
	_, url := serve(t, telemetry.Config{}, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		got <- r.Trailer
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 5\r\n\r\n")
	if sum := (<-got).Get("X-Sum"); sum != "5" {
		t.Errorf("the trailer's X-Sum is %q, not 5", sum)
	}
}

func TestTelemetry_RequestIDs(t *testing.T) {
	for _, test := range []struct{ name, sent, want string }{
		{"a client's own is kept", "call-1", "call-1"},
		{"one of 128 characters is kept", strings.Repeat("a", 128), strings.Repeat("a", 128)},
		{"one of 129 is not", strings.Repeat("a", 129), ""},
		{"one with a space is not", "a b", ""},
		{"one beyond ASCII is not", "ä", ""},
		{"an empty one is not", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, err := telemetry.New(telemetry.Config{})
			if err != nil {
				t.Fatal(err)
			}
			var id string
			r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/v1/models", nil)
			r.Header.Set("X-Client-Request-Id", test.sent)
			observed(o, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				id = request.FromContext(r.Context()).ID
			})).ServeHTTP(httptest.NewRecorder(), r)
			if test.want != "" && id != test.want || test.want == "" && len(id) != 32 {
				t.Errorf("the call is called %q, not %q", id, test.want)
			}
		})
	}
}
