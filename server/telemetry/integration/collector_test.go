// Package integration tests telemetry with OpenTelemetry's collector and with
// Prometheus' query language. It is a separate module because of these dependencies.
package integration

import (
	"net"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/telemetry/internal/observetest"
)

const (
	key     = "sk-proj-secret0123456789"
	prompt  = "What does nobody else know?"
	trace   = "0af7651916cd43dd8448eb211c80319c"
	clients = "b7ad6b7169203331"
	parent  = "00-" + trace + "-" + clients + "-01"
)

// collect starts the receiver of OpenTelemetry's collector until the test ends. It
// returns its two endpoints and the received spans.
func collect(t *testing.T) (endpoints map[string]string, sink *consumertest.TracesSink) {
	t.Helper()
	sink = new(consumertest.TracesSink)
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	grpc, http := free(t), free(t)
	settings := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{
		"grpc": map[string]any{"endpoint": grpc},
		"http": map[string]any{"endpoint": http},
	}})
	if err := settings.Unmarshal(config); err != nil {
		t.Fatal(err)
	}
	receiver, err := factory.CreateTraces(t.Context(), receivertest.NewNopSettings(factory.Type()), config, sink)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Start(t.Context(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := receiver.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return map[string]string{"gRPC": "grpc://" + grpc, "HTTP": "http://" + http}, sink
}

// free returns an unused address.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// spans returns the spans received by a collector, by kind.
func spans(sink *consumertest.TracesSink) map[ptrace.SpanKind][]ptrace.Span {
	all := make(map[ptrace.SpanKind][]ptrace.Span)
	for _, traces := range sink.AllTraces() {
		for _, resource := range traces.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					all[span.Kind()] = append(all[span.Kind()], span)
				}
			}
		}
	}
	return all
}

// A kind of request for a completion.
type way struct {
	name   string
	ask    func(t *testing.T, f *observetest.Front, stream bool, fault string)
	server string // the name of the server's span
}

var ways = []way{
	{"raw", askRaw, "POST /v1/chat/completions"},
	{"Connect", askTyped(), "openaiconnect.chat.v1.ChatService/"},
	{"gRPC", askTyped(connecthttp.WithGRPC()), "openaiconnect.chat.v1.ChatService/"},
}

func askTyped(options ...connecthttp.Option) func(t *testing.T, f *observetest.Front, stream bool, fault string) {
	return func(t *testing.T, f *observetest.Front, stream bool, fault string) {
		t.Helper()
		ctx, call := connect.NewClientContext(t.Context())
		for name, value := range fields(fault) {
			call.RequestHeader().Set(name, value)
		}
		content := prompt
		request := &chatv1.CreateChatCompletionRequest{
			Model:    "m",
			Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: &content}},
		}
		client := f.Client(t, options...)
		if !stream {
			_, _ = client.CreateChatCompletion(ctx, request)
			return
		}
		include := true
		request.StreamOptions = &chatv1.StreamOptions{IncludeUsage: &include}
		chunks, err := client.StreamChatCompletion(ctx, request)
		if err != nil {
			return
		}
		defer chunks.Close()
		for {
			if _, err := chunks.Receive(); err != nil {
				return
			}
		}
	}
}

func fields(fault string) map[string]string {
	header := map[string]string{"Traceparent": parent, "Authorization": "Bearer " + key, observetest.TokenHeader: "ada"}
	for control := range strings.FieldsFuncSeq(fault, func(r rune) bool { return r == ',' }) {
		name, value, _ := strings.Cut(control, "=")
		header["X-Sandbox-"+name] = value
	}
	return header
}

func TestTracing_SpansAtTheCollector(t *testing.T) {
	for _, outcome := range []struct {
		name   string
		stream bool
		fault  string
		want   map[string]any // attributes of the client's span
	}{
		{"a completion", false, "", map[string]any{"http.response.status_code": int64(200), "gen_ai.response.model": "sandbox"}},
		{"a stream", true, "", map[string]any{"http.response.status_code": int64(200), "gen_ai.response.model": "sandbox"}},
		{"a refusal of the upstream's", false, "Status=429", map[string]any{"http.response.status_code": int64(429), "error.type": "429"}},
		{"an upstream that hangs up", false, "Fault=close", map[string]any{"error.type": "closed"}},
	} {
		for _, way := range ways {
			for _, protocol := range []string{"gRPC", "HTTP"} {
				t.Run(outcome.name+", "+way.name+", to a collector by "+protocol, func(t *testing.T) {
					endpoints, sink := collect(t)
					f := observetest.Start(t, telemetry.Config{
						Version: "v1.2.3",
						Tracing: &telemetry.Tracing{Endpoint: endpoints[protocol]},
					}, observetest.Sandbox(t))
					way.ask(t, f, outcome.stream, outcome.fault)
					f.Settle(t)
					f.Close()
					all := spans(sink)
					servers, up := all[ptrace.SpanKindServer], all[ptrace.SpanKindClient]
					if len(servers) != 1 || len(up) != 1 {
						t.Fatalf("%d spans of the server, %d to the upstream", len(servers), len(up))
					}
					checkParents(t, servers[0], up[0])
					if !strings.HasPrefix(servers[0].Name(), way.server) {
						t.Errorf("the server's span is called %q", servers[0].Name())
					}
					if up[0].Name() != "chat m" {
						t.Errorf("the client's span is called %q", up[0].Name())
					}
					checkAttributes(t, up[0], outcome.want)
					checkSecrets(t, sink)
				})
			}
		}
	}
}

func checkParents(t *testing.T, server, up ptrace.Span) {
	t.Helper()
	for _, span := range []ptrace.Span{server, up} {
		if got := span.TraceID().String(); got != trace {
			t.Errorf("%q is of the trace %s", span.Name(), got)
		}
		if span.EndTimestamp() < span.StartTimestamp() {
			t.Errorf("%q ends before it begins", span.Name())
		}
	}
	if got := server.ParentSpanID().String(); got != clients {
		t.Errorf("the server's span has the parent %s, which is not the client's", got)
	}
	if up.ParentSpanID() != server.SpanID() {
		t.Error("the upstream span is not a child of the server span")
	}
}

func checkAttributes(t *testing.T, up ptrace.Span, want map[string]any) {
	t.Helper()
	got := up.Attributes().AsRaw()
	for name, value := range map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m",
		"http.request.method": "POST", "server.address": "127.0.0.1",
	} {
		if got[name] != value {
			t.Errorf("%s is %v, not %v", name, got[name], value)
		}
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %v, not %v", name, got[name], value)
		}
	}
	failed := want["error.type"] != nil
	if _, ok := got["error.type"]; ok != failed || (up.Status().Code() == ptrace.StatusCodeError) != failed {
		t.Errorf("error.type is %v, the status %v", got["error.type"], up.Status().Code())
	}
	for _, name := range []string{"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"} {
		if tokens, ok := got[name].(int64); ok == failed || !failed && tokens == 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
}

// checkSecrets looks through everything that a collector received.
func checkSecrets(t *testing.T, sink *consumertest.TracesSink) {
	t.Helper()
	for _, traces := range sink.AllTraces() {
		text, err := new(ptrace.JSONMarshaler).MarshalTraces(traces)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{key, prompt, "hunter2", "asked to fail", "Authorization", "authorization"} {
			if strings.Contains(string(text), secret) {
				t.Errorf("a span has %q:\n%s", secret, text)
			}
		}
		service, _ := traces.ResourceSpans().At(0).Resource().Attributes().Get("service.name")
		version, _ := traces.ResourceSpans().At(0).Resource().Attributes().Get("service.version")
		if !slices.Equal([]string{service.Str(), version.Str()}, []string{"openai-connect", "v1.2.3"}) {
			t.Errorf("the spans are of %q, %q", service.Str(), version.Str())
		}
	}
}
