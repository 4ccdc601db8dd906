package telemetry_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/telemetry/internal/observetest"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTracing_Config(t *testing.T) {
	for _, test := range []struct {
		name    string
		tracing telemetry.Tracing
		wrong   string // empty for nothing
	}{
		{"gRPC", telemetry.Tracing{Endpoint: "grpc://localhost:4317"}, ""},
		{"gRPC with TLS", telemetry.Tracing{Endpoint: "grpcs://collector.example:4317"}, ""},
		{"HTTP", telemetry.Tracing{Endpoint: "http://localhost:4318"}, ""},
		{"HTTPS under a path", telemetry.Tracing{Endpoint: "https://otlp.example/otlp"}, ""},
		{"no scheme", telemetry.Tracing{Endpoint: "localhost:4317"}, "not a URL"},
		{"no host", telemetry.Tracing{Endpoint: "http://"}, "not a URL"},
		{"nothing", telemetry.Tracing{}, "not a URL"},
		{"another scheme", telemetry.Tracing{Endpoint: "ftp://a"}, `"ftp"`},
		{"a path with gRPC", telemetry.Tracing{Endpoint: "grpc://a:1/v1"}, "path"},
		{"a password, which belongs into a header", telemetry.Tracing{Endpoint: "https://u:hunter2@a"}, "password"},
		{"a fragment", telemetry.Tracing{Endpoint: "http://a:1/#b"}, "fragment"},
		{"an empty fragment", telemetry.Tracing{Endpoint: "http://a:1#"}, "fragment"},
		{"a query", telemetry.Tracing{Endpoint: "http://a:1?timeout=5s"}, "query"},
		{"an empty query", telemetry.Tracing{Endpoint: "http://a:1?"}, "query"},
		{"two hosts", telemetry.Tracing{Endpoint: "grpc://a,b:1"}, "several hosts"},
		{"two hosts with ports", telemetry.Tracing{Endpoint: "grpc://a:1,b:1"}, "several hosts"},
		{"a port alone", telemetry.Tracing{Endpoint: "grpc://:4317"}, "not a URL"},
		{"a port that there is not", telemetry.Tracing{Endpoint: "grpc://a:99999"}, "not a URL"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.tracing.Check()
			if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// received starts an upstream that reports the headers of each request.
func received(tb testing.TB) (string, <-chan http.Header) {
	tb.Helper()
	headers := make(chan http.Header, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { headers <- r.Header }))
	tb.Cleanup(s.Close)
	return s.URL, headers
}

func TestTracing_DisabledForwardsTraceContext(t *testing.T) {
	upstream, headers := received(t)
	f := observetest.Start(t, telemetry.Config{}, upstream)
	drain(t, post(t, f, unaryBody, "Traceparent", parent, "Tracestate", "a=b"))
	if header := <-headers; header.Get("Traceparent") != parent || header.Get("Tracestate") != "a=b" {
		t.Errorf("%v", header)
	}
	drain(t, post(t, f, unaryBody))
	if header := <-headers; header.Get("Traceparent") != "" {
		t.Errorf("the server made up a trace: %v", header)
	}
}

func TestTracing_UpstreamGetsContextOfSpan(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
	upstream, headers := received(t)
	log := new(logged)
	f := observetest.Start(t, telemetry.Config{
		Calls:   log.logger(),
		Tracing: &telemetry.Tracing{Endpoint: "http://" + observetest.Refused(t)},
	}, upstream)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for name, send := range map[string]func(){
		"raw": func() { drain(t, post(t, f, unaryBody, "Traceparent", parent, "Tracestate", "a=b")) },
		"typed": func() {
			ctx, call := connect.NewClientContext(t.Context())
			call.RequestHeader().Set("Traceparent", parent)
			call.RequestHeader().Set("Tracestate", "a=b")
			_, _ = f.Client(t).CreateChatCompletion(ctx, hello()) // The upstream has no answer.
		},
	} {
		send()
		header := <-headers
		if got := header.Get("Traceparent"); !strings.HasPrefix(got, "00-"+trace) || got == parent || !strings.HasSuffix(got, "-01") {
			t.Errorf("%s: the upstream got %q behind %q", name, got, parent)
		}
		if got := header.Get("Tracestate"); got != "a=b" {
			t.Errorf("%s: the upstream got the state %q", name, got)
		}
	}
	for _, line := range log.lines(t, 2) {
		if line["trace_id"] != trace {
			t.Errorf("the log has the trace %v", line["trace_id"])
		}
	}
}

// TestTracing_UnavailableCollector: calls neither wait nor fail, and the end doesn't hang.
func TestTracing_UnavailableCollector(t *testing.T) {
	for _, scheme := range []string{"grpc", "http"} {
		t.Run(scheme, func(t *testing.T) {
			f := observetest.Start(t, telemetry.Config{
				Tracing: &telemetry.Tracing{Endpoint: scheme + "://" + observetest.Refused(t)},
			}, observetest.Sandbox(t))
			began := time.Now()
			for range 100 {
				if resp := post(t, f, unaryBody); resp.StatusCode != http.StatusOK {
					t.Fatalf("%d %s", resp.StatusCode, drain(t, resp))
				} else {
					drain(t, resp)
				}
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("100 calls took %v", took)
			}
			began = time.Now()
			f.Close()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the end took %v", took)
			}
		})
	}
}

func TestTracing_RPCsKeepTheirErrors(t *testing.T) {
	f := observetest.Start(t, telemetry.Config{
		Tracing: &telemetry.Tracing{Endpoint: "http://" + observetest.Refused(t)},
	}, observetest.Sandbox(t))
	plain := observetest.Start(t, telemetry.Config{}, observetest.Sandbox(t))
	failure := func(f *observetest.Front) *connect.Error {
		ctx, call := connect.NewClientContext(t.Context())
		call.RequestHeader().Set("X-Sandbox-Status", "429")
		_, err := f.Client(t).CreateChatCompletion(ctx, hello())
		failed, ok := errors.AsType[*connect.Error](err)
		if !ok {
			t.Fatalf("%T: %v", err, err)
		}
		return failed
	}
	traced, untraced := failure(f), failure(plain)
	if traced.Code() != untraced.Code() || traced.Message() != untraced.Message() || len(traced.Details()) != len(untraced.Details()) ||
		len(traced.Details()) == 0 {
		t.Errorf("traced %v (%d details), untraced %v (%d details)", traced, len(traced.Details()), untraced, len(untraced.Details()))
	}
}
