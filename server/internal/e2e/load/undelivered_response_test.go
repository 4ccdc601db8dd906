package load_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/overload"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// metricValue returns the value of a metric.
func metricValue(o *telemetry.Observer, name string) string {
	recorder := httptest.NewRecorder()
	o.MetricsHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(recorder.Body.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "nothing"
}

// awaitMetric waits until a metric has a value.
func awaitMetric(t *testing.T, o *telemetry.Observer, name, want string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(e2etest.Timeout); metricValue(o, name) != want; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("got %s %s, want %s", name, metricValue(o, name), want)
		}
	}
}

// An HTTP/2 client that opens no window for a response, whose handler has returned,
// can retain the response for a limited time only. The metrics show it until then.
func TestZeroWindow_ResponsesAreDiscarded(t *testing.T) {
	t.Parallel()
	const streams = 20
	typed := []e2etest.HeaderField{{Name: "content-type", Value: "application/json"}}
	upstreamURL := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/chat/completions" {
			servertest.JSON(http.StatusOK, e2etest.Completion("hi"))(w, r)
			return
		}
		servertest.JSON(http.StatusOK, `{"id":1}`)(w, r)
	}).URL
	for _, row := range []struct {
		name, method, path string
		fields             []e2etest.HeaderField
		body               []string
		status             string
		guarded            bool
	}{
		{name: "raw", method: "GET", path: "/v1/x", status: "200"},
		{name: "typed response", method: "POST", path: e2etest.CreateProcedure, fields: typed, body: []string{e2etest.ChatBody(t)}, status: "200"},
		{name: "typed error", method: "POST", path: e2etest.CreateProcedure, fields: typed, body: []string{"{"}, status: "400"},
		{name: "unknown service", method: "POST", path: "/no.such.Service/Method", fields: []e2etest.HeaderField{{Name: "connect-protocol-version", Value: "1"}, typed[0]}, body: []string{"{}"}, status: "404"},
		{name: "no client key", method: "GET", path: "/v1/x", status: "401", guarded: true},
		{name: "duplicate length", method: "POST", path: "/v1/x", fields: []e2etest.HeaderField{{Name: "content-length", Value: "1"}, {Name: "content-length", Value: "1"}}, body: []string{"{"}, status: "400"},
		{name: "health", method: "POST", path: "/grpc.health.v1.Health/Check", fields: typed, body: []string{"{}"}, status: "200"},
		{name: "playground", method: "GET", path: "/playground/", status: "200"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			observer, err := telemetry.New(telemetry.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(observer.Close)
			config := server.Config{Upstream: upstreamURL, Observer: observer}
			if row.guarded {
				config.UpstreamKey, config.ClientKey = e2etest.Secret(t, e2etest.UpstreamKey), e2etest.Secret(t, "token-token-token-token")
			}
			limits := e2etest.ShortTimeouts
			limits.StallTimeout = 500 * time.Millisecond
			front := servertest.StartWith(t, config, limits)
			client := e2etest.DialHTTP2(t, front, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			for i := range uint32(streams) {
				if err := client.Send(2*i+1, e2etest.RequestFields(row.method, row.path, row.fields...), row.body...); err != nil {
					t.Fatal(err)
				}
			}
			var s e2etest.HTTP2Streams
			client.WatchUntil(t, "the headers", &s, func() bool { return len(s.Status) == streams })
			client.WatchUntil(t, "the resets", &s, func() bool { return len(s.Reset) == streams })
			for stream, status := range s.Status {
				if status != row.status || s.Ended[stream] {
					t.Errorf("stream %d: got status %s, ended: %v", stream, status, s.Ended[stream])
				}
			}
			awaitMetric(t, observer, "openai_connect_undelivered_responses", "0")
			awaitMetric(t, observer, "openai_connect_exempt_requests", "0")
			awaitMetric(t, observer, "openai_connect_open_connections", "1")
		})
	}
}

// Responses read in time are complete, and their streams are not reset after the
// timeout.
func TestZeroWindow_ReadResponsesAreKept(t *testing.T) {
	t.Parallel()
	const streams = 300
	observer, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observer.Close)
	limits := server.ServeConfig{StallTimeout: time.Second}
	url := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{"id":1}`)).URL
	front := servertest.StartWith(t, server.Config{Upstream: url, Observer: observer}, limits)
	client := e2etest.DialHTTP2(t, front, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	var s e2etest.HTTP2Streams
	for i := range uint32(streams) {
		stream := 2*i + 1
		if err := client.Send(stream, e2etest.RequestFields("GET", "/v1/x")); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			client.WatchUntil(t, "a header", &s, func() bool { return s.Status[stream] == "200" })
			awaitMetric(t, observer, "openai_connect_undelivered_responses", "1")
		}
		if err := client.WriteWindowUpdate(stream, 1<<16); err != nil {
			t.Fatal(err)
		}
	}
	client.WatchUntil(t, "the responses", &s, func() bool { return len(s.Ended)+len(s.Reset) == streams })
	awaitMetric(t, observer, "openai_connect_undelivered_responses", "0")
	// An unread response shows that the timeout has passed.
	const last = 2*streams + 1
	if err := client.Send(last, e2etest.RequestFields("GET", "/v1/x")); err != nil {
		t.Fatal(err)
	}
	client.WatchUntil(t, "the reset", &s, func() bool { return s.Reset[last] })
	if len(s.Reset) != 1 {
		t.Errorf("got %d reset streams, want none", len(s.Reset)-1)
	}
}

// Requests exempt from the request limit are limited per connection and in total. At
// the total limit, the connection with the most requests loses one.
func TestExempt_IsBounded(t *testing.T) {
	t.Parallel()
	observer, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observer.Close)
	bounds := &overload.Config{MaxCalls: 1, MaxExempt: 10, MaxExemptOnConnection: 8}
	front := servertest.Start(t, server.Config{Upstream: server.Sandbox, Observer: observer, Overload: bounds})
	grpc := []e2etest.HeaderField{{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}}
	watch := func(client *e2etest.HTTP2Conn, stream uint32) {
		t.Helper()
		if err := client.Send(stream, e2etest.RequestFields("POST", "/grpc.health.v1.Health/Watch", grpc...), "\x00\x00\x00\x00\x00"); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := e2etest.DialHTTP2(t, front), e2etest.DialHTTP2(t, front), e2etest.DialHTTP2(t, front)
	var s1, s2, s3 e2etest.HTTP2Streams
	for i := range uint32(8) {
		watch(first, 2*i+1)
		first.WatchUntil(t, "a header", &s1, func() bool { return s1.Status[2*i+1] == "200" })
	}
	awaitMetric(t, observer, "openai_connect_exempt_requests", "8")
	// One more on the connection is rejected.
	watch(first, 17)
	first.WatchUntil(t, "a rejection", &s1, func() bool { return s1.Ended[17] })
	// Requests on other connections are admitted at the expense of the first.
	for i := range uint32(4) {
		watch(second, 2*i+1)
		second.WatchUntil(t, "a header", &s2, func() bool { return s2.Status[2*i+1] == "200" })
	}
	watch(third, 1)
	third.WatchUntil(t, "a header", &s3, func() bool { return s3.Status[1] == "200" })
	first.WatchUntil(t, "the resets of the three oldest", &s1, func() bool { return s1.Reset[1] && s1.Reset[3] && s1.Reset[5] })
	for stream := range s1.Reset {
		if stream > 5 && stream != 17 { // net/http may reset 17, because the rejection did not read its body.
			t.Errorf("got reset streams %v", s1.Reset)
		}
	}
	if len(s2.Ended)+len(s2.Reset)+len(s3.Ended)+len(s3.Reset) > 0 {
		t.Errorf("got resets on other connections: %v, %v", s2, s3)
	}
	awaitMetric(t, observer, "openai_connect_exempt_requests", "10")
	if got := metricValue(observer, "openai_connect_overload_rejected_total"); got != "1" {
		t.Errorf("got %s rejections, want 1", got)
	}
	response, err := servertest.HTTPClient(t, false).Post(front.URL+"/grpc.health.v1.Health/Check", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != `{"status":"SERVING"}` {
		t.Errorf("got health response %q and error %v", body, err)
	}
	first.Conn.Close()
	awaitMetric(t, observer, "openai_connect_exempt_requests", "5")
}
