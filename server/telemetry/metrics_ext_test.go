package telemetry_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2/connecthttp"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/telemetry/internal/observetest"
)

const (
	unaryBody  = `{"model": "m", "messages": [{"role": "user", "content": "Hello!"}]}`
	streamBody = `{"model": "m", "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "Hello!"}]}`
	completion = "/v1/chat/completions"
	procedure  = "/openaiconnect.chat.v1.ChatService/CreateChatCompletion"
)

// post sends a chat completion the raw way, with header fields in pairs.
func post(tb testing.TB, f *observetest.Front, body string, fields ...string) *http.Response {
	tb.Helper()
	request, err := http.NewRequest(http.MethodPost, f.URL+completion, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(fields); i += 2 {
		request.Header.Set(fields[i], fields[i+1])
	}
	resp, err := f.HTTP().Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	return resp
}

func hello() *chatv1.CreateChatCompletionRequest {
	content := "Hello!"
	return &chatv1.CreateChatCompletionRequest{
		Model:    "m",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: &content}},
	}
}

func TestMetrics_OfRequests(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(t *testing.T, f *observetest.Front)
		want map[string]float64 // samples; -1 for any but 0
	}{
		{
			"a raw completion counts with its token's name, the model that answered, and what it took",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				drain(t, post(t, f, unaryBody, observetest.TokenHeader, "ada"))
			},
			map[string]float64{
				`openai_connect_requests_total{client="ada",code="200",model="sandbox",protocol="raw",route="/v1/chat/completions"}`: 1,
				`openai_connect_tokens_total{client="ada",estimated="false",kind="input",model="sandbox"}`:                           -1,
				`openai_connect_tokens_total{client="ada",estimated="false",kind="output",model="sandbox"}`:                          -1,
				`openai_connect_upstream_requests_total{code="200",upstream="main"}`:                                                 1,
				`openai_connect_request_duration_seconds_count{protocol="raw",route="/v1/chat/completions"}`:                         1,
				`openai_connect_time_to_headers_seconds_count{protocol="raw",route="/v1/chat/completions"}`:                          1,
				`openai_connect_received_bytes_total{protocol="raw"}`:                                                                float64(len(unaryBody)),
				`openai_connect_sent_bytes_total{protocol="raw"}`:                                                                    -1,
				`openai_connect_upstream_connections{state="idle",upstream="main"}`:                                                  1,
				`openai_connect_upstream_connections{state="active",upstream="main"}`:                                                0,
				`openai_connect_open_requests{protocol="raw"}`:                                                                       0,
			},
		},
		{
			"a raw stream counts the times of its tokens",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				drain(t, post(t, f, streamBody))
			},
			map[string]float64{
				`openai_connect_requests_total{client="",code="200",model="sandbox",protocol="raw",route="/v1/chat/completions"}`: 1,
				`openai_connect_time_to_first_token_seconds_count{model="sandbox",protocol="raw",route="/v1/chat/completions"}`:   1,
				`openai_connect_time_between_tokens_seconds_count{protocol="raw",route="/v1/chat/completions"}`:                   -1,
				`openai_connect_open_streams{protocol="raw"}`:                                                                     0,
			},
		},
		{
			"an RPC counts by its procedure and code",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				if _, err := f.Client(t).CreateChatCompletion(t.Context(), hello()); err != nil {
					t.Fatal(err)
				}
			},
			map[string]float64{
				`openai_connect_requests_total{client="",code="ok",model="sandbox",protocol="connect",route="` + procedure + `"}`: 1,
				`openai_connect_sent_bytes_total{protocol="connect"}`:                                                             -1,
			},
		},
		{
			"gRPC and gRPC-Web are ways of their own",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				for _, protocol := range []connecthttp.Option{connecthttp.WithGRPC(), connecthttp.WithGRPCWeb()} {
					if _, err := f.Client(t, protocol).CreateChatCompletion(t.Context(), hello()); err != nil {
						t.Fatal(err)
					}
				}
			},
			map[string]float64{
				`openai_connect_requests_total{client="",code="ok",model="sandbox",protocol="grpc",route="` + procedure + `"}`:     1,
				`openai_connect_requests_total{client="",code="ok",model="sandbox",protocol="grpc-web",route="` + procedure + `"}`: 1,
			},
		},
		{
			"an error of the upstream's has its status raw and its code typed, and no model",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				drain(t, post(t, f, unaryBody, "X-Sandbox-Status", "429"))
				if _, err := f.Client(t).GetChatCompletion(t.Context(), &chatv1.GetChatCompletionRequest{CompletionId: "none"}); err == nil {
					t.Error("a completion that doesn't exist was found")
				}
			},
			map[string]float64{
				`openai_connect_requests_total{client="",code="429",model="",protocol="raw",route="/v1/chat/completions"}`:                                           1,
				`openai_connect_requests_total{client="",code="not_found",model="",protocol="connect",route="/openaiconnect.chat.v1.ChatService/GetChatCompletion"}`: 1,
				`openai_connect_upstream_requests_total{code="429",upstream="main"}`:                                                                                 1,
				`openai_connect_upstream_requests_total{code="404",upstream="main"}`:                                                                                 1,
			},
		},
		{
			"a request that no RPC takes has a code too",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				resp, err := f.HTTP().Post(f.URL+procedure, "text/plain", strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				drain(t, resp)
			},
			map[string]float64{
				`openai_connect_requests_total{client="",code="unknown",model="",protocol="connect",route="` + procedure + `"}`: 1,
			},
		},
		{
			"a path that OpenAI doesn't have is other, whatever it is",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				for _, path := range []string{"/", "/v1/nothing", "/v1/files//content", "/v1/models/a/b"} {
					resp, err := f.HTTP().Get(f.URL + path)
					if err != nil {
						t.Fatal(err)
					}
					drain(t, resp)
				}
			},
			map[string]float64{
				`openai_connect_requests_total{client="",code="404",model="",protocol="raw",route="other"}`: 4,
			},
		},
		{
			"what others tell is there",
			func(_ *testing.T, f *observetest.Front) {
				f.RecordRateLimitDecision("ada", "", true)
				f.RecordRateLimitDecision("ada", ratelimit.TokensPerDay, false)
				f.RegisterRateLimitStore(func() (bool, int64) { return true, 3 })
				f.RegisterClients(func() (time.Time, int64) { return time.Unix(1700000000, 0), 2 })
				f.RegisterOverload(func() (int64, uint64) { return 4, 5 })
			},
			map[string]float64{
				`openai_connect_rate_limit_decisions_total{client="ada",decision="admitted",kind="",store="shared"}`:              1,
				`openai_connect_rate_limit_decisions_total{client="ada",decision="rejected",kind="tokens_per_day",store="local"}`: 1,
				`openai_connect_rate_limit_store_up`:              1,
				`openai_connect_rate_limit_instances`:             3,
				`openai_connect_clients_loaded_timestamp_seconds`: 1700000000,
				`openai_connect_clients_reload_failures_total`:    2,
				`openai_connect_overload_queued`:                  4,
				`openai_connect_overload_rejected_total`:          5,
				`openai_connect_build_info{version="v1.2.3"}`:     1,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := observetest.Start(t, telemetry.Config{Version: "v1.2.3"}, observetest.Sandbox(t))
			test.call(t, f)
			var samples map[string]float64
			holds := func(name string, want float64) bool {
				got, ok := samples[name]
				return ok && (got == want || want == -1 && got != 0)
			}
			// A client may have the end of an answer before the server has counted it.
			deadline := time.Now().Add(5 * time.Second)
			for missing := true; missing && time.Now().Before(deadline); {
				samples, missing = scrape(t, f.Observer), false
				for name, want := range test.want {
					missing = missing || !holds(name, want)
				}
			}
			for name, want := range test.want {
				if !holds(name, want) {
					t.Errorf("%s is %v, not %v", name, samples[name], want)
				}
			}
			if t.Failed() {
				for name := range samples {
					if strings.HasPrefix(name, "openai_connect") && !strings.Contains(name, "_bucket") {
						t.Log(name, samples[name])
					}
				}
			}
		})
	}
}

func TestMetrics_UnregisteredPartsHaveNone(t *testing.T) {
	f := observetest.Start(t, telemetry.Config{}, observetest.Sandbox(t))
	samples := scrape(t, f.Observer)
	for _, name := range []string{"openai_connect_rate_limit_store_up", "openai_connect_rate_limit_instances", "openai_connect_clients_loaded_timestamp_seconds", "openai_connect_overload_queued"} {
		if value, ok := samples[name]; ok {
			t.Errorf("%s is %v, of nothing", name, value)
		}
	}
}

func TestMetrics_OpenRequestsAndStreams(t *testing.T) {
	f := observetest.Start(t, telemetry.Config{}, observetest.Sandbox(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL+completion, strings.NewReader(streamBody))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Sandbox-Fault", "stall")
	request.Header.Set("X-Sandbox-After", "1")
	resp, err := f.HTTP().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	samples := scrape(t, f.Observer)
	for _, name := range []string{
		`openai_connect_open_requests{protocol="raw"}`, `openai_connect_open_streams{protocol="raw"}`,
		`openai_connect_upstream_connections{state="active",upstream="main"}`,
	} {
		if samples[name] != 1 {
			t.Errorf("%s is %v while a stream runs, not 1", name, samples[name])
		}
	}
	cancel()
	observetest.Wait(t, "the end of a stream whose client left", func() bool {
		samples = scrape(t, f.Observer)
		return samples[`openai_connect_requests_total{client="",code="aborted",model="sandbox",protocol="raw",route="/v1/chat/completions"}`] == 1
	})
	for _, name := range []string{
		`openai_connect_open_requests{protocol="raw"}`, `openai_connect_open_streams{protocol="raw"}`,
		`openai_connect_upstream_connections{state="active",upstream="main"}`,
	} {
		if samples[name] != 0 {
			t.Errorf("%s is %v after the end, not 0", name, samples[name])
		}
	}
}

func TestMetrics_UnavailableUpstream(t *testing.T) {
	f := observetest.Start(t, telemetry.Config{}, "http://"+observetest.Refused(t))
	drain(t, post(t, f, unaryBody))
	observetest.Wait(t, "the count", func() bool {
		samples := scrape(t, f.Observer)
		return samples[`openai_connect_upstream_requests_total{code="connection_failed",upstream="main"}`] == 1 &&
			samples[`openai_connect_requests_total{client="",code="502",model="",protocol="raw",route="/v1/chat/completions"}`] == 1
	})
}

func TestTelemetry_NilObserver(t *testing.T) {
	var o *telemetry.Observer
	o.RecordRateLimitDecision("ada", "", false)
	o.RegisterRateLimitStore(nil)
	o.RegisterClients(nil)
	o.RegisterOverload(nil)
	if o.Upstream("main", nil) == nil && o.Sender(nil) != nil {
		t.Error("it wraps")
	}
	if interceptors, err := o.Interceptors(); interceptors != nil || err != nil {
		t.Errorf("it intercepts: %v, %v", interceptors, err)
	}
	o.Close()
}
