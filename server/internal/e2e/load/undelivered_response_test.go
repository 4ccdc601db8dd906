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

// heldBy is what the metrics say of what clients make the server hold on to.
func heldBy(o *telemetry.Observer, name string) string {
	recorder := httptest.NewRecorder()
	o.Admin(telemetry.AdminConfig{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
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
	for deadline := time.Now().Add(e2etest.Timeout); heldBy(o, name) != want; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("got %s %s, want %s", name, heldBy(o, name), want)
		}
	}
}

// A client over HTTP/2 that opens no window for an answer, whose handler returned
// long ago, holds on to it for no longer than the limit. Until then the metrics
// show it.
func TestZeroWindow_AnswersAreGivenUp(t *testing.T) {
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
		{name: "a typed reply", method: "POST", path: e2etest.CreateProcedure, fields: typed, body: []string{e2etest.ChatBody(t)}, status: "200"},
		{name: "a typed error", method: "POST", path: e2etest.CreateProcedure, fields: typed, body: []string{"{"}, status: "400"},
		{name: "no such service", method: "POST", path: "/no.such.Service/Method", fields: []e2etest.HeaderField{{Name: "connect-protocol-version", Value: "1"}, typed[0]}, body: []string{"{}"}, status: "404"},
		{name: "no token", method: "GET", path: "/v1/x", status: "401", guarded: true},
		{name: "another length", method: "POST", path: "/v1/x", fields: []e2etest.HeaderField{{Name: "content-length", Value: "1"}, {Name: "content-length", Value: "1"}}, body: []string{"{"}, status: "400"},
		{name: "the health", method: "POST", path: "/grpc.health.v1.Health/Check", fields: typed, body: []string{"{}"}, status: "200"},
		{name: "the playground", method: "GET", path: "/playground/", status: "200"},
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
					t.Errorf("stream %d has the status %s, and has ended: %v", stream, status, s.Ended[stream])
				}
			}
			awaitMetric(t, observer, "openai_connect_undelivered_responses", "0")
			awaitMetric(t, observer, "openai_connect_exempt_requests", "0")
			awaitMetric(t, observer, "openai_connect_open_connections", "1")
		})
	}
}

// An answer that is taken in time is whole, however many there are, and its stream is
// never reset, also not when the limit has passed.
func TestZeroWindow_AnswersThatAreTakenStay(t *testing.T) {
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
	client.WatchUntil(t, "the answers", &s, func() bool { return len(s.Ended)+len(s.Reset) == streams })
	awaitMetric(t, observer, "openai_connect_undelivered_responses", "0")
	// One that isn't taken shows that the limit has passed.
	const last = 2*streams + 1
	if err := client.Send(last, e2etest.RequestFields("GET", "/v1/x")); err != nil {
		t.Fatal(err)
	}
	client.WatchUntil(t, "the reset", &s, func() bool { return s.Reset[last] })
	if len(s.Reset) != 1 {
		t.Errorf("%d streams were reset", len(s.Reset)-1)
	}
}

// What everyone may ask without a limit by calls is bounded by connection, and in
// all, where the connection that has the most gives way.
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
	// One more on the connection is refused.
	watch(first, 17)
	first.WatchUntil(t, "a refusal", &s1, func() bool { return s1.Ended[17] })
	// On others there is room, for which the first one gives way in the end.
	for i := range uint32(4) {
		watch(second, 2*i+1)
		second.WatchUntil(t, "a header", &s2, func() bool { return s2.Status[2*i+1] == "200" })
	}
	watch(third, 1)
	third.WatchUntil(t, "a header", &s3, func() bool { return s3.Status[1] == "200" })
	first.WatchUntil(t, "the resets of the three oldest", &s1, func() bool { return s1.Reset[1] && s1.Reset[3] && s1.Reset[5] })
	for stream := range s1.Reset {
		if stream > 5 && stream != 17 { // net/http may reset 17, as the refusal did not read its body.
			t.Errorf("got streams that were reset %v", s1.Reset)
		}
	}
	if len(s2.Ended)+len(s2.Reset)+len(s3.Ended)+len(s3.Reset) > 0 {
		t.Errorf("others lost some too: %v, %v", s2, s3)
	}
	awaitMetric(t, observer, "openai_connect_exempt_requests", "10")
	if got := heldBy(observer, "openai_connect_overload_rejected_total"); got != "1" {
		t.Errorf("%s were refused", got)
	}
	response, err := servertest.HTTPClient(t, false).Post(front.URL+"/grpc.health.v1.Health/Check", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != `{"status":"SERVING"}` {
		t.Errorf("got health %q, %v", body, err)
	}
	first.Conn.Close()
	awaitMetric(t, observer, "openai_connect_exempt_requests", "5")
}
