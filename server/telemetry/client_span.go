package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
)

// sender observes requests to the upstream.
type sender struct {
	observer *Observer
	next     upstream.Sender
}

// Sender returns a sender that observes requests to the upstream. It records the upstream's
// request ID, and creates spans and logs bodies if that is enabled. It belongs below the
// layer that finds out the model, and above failover. A nil Observer returns next.
//
// With tracing, the upstream gets the context of the span in place of the client's.
func (o *Observer) Sender(next upstream.Sender) upstream.Sender {
	if o == nil {
		return next
	}
	return &sender{observer: o, next: next}
}

// Send implements [upstream.Sender].
func (s *sender) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	record := request.FromContext(ctx)
	if s.observer.contents != nil {
		s.observer.logRequestBody(ctx, req)
	}
	failure := ""
	if s.observer.tracer != nil {
		var span trace.Span
		ctx, span = s.observer.startClientSpan(ctx, record, req)
		record.OnComplete(func() { s.observer.endClientSpan(span, record, failure) })
	}
	resp, err := s.next.Send(ctx, req)
	if err != nil {
		failure = failureLabel(err)
		return nil, err
	}
	record.UpstreamRequestID = resp.Header.Get("X-Request-ID")
	if s.observer.contents != nil {
		s.observer.logResponseBody(ctx, resp)
	}
	return resp, nil
}

// operations are OpenTelemetry's names of what routes do
// (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans). Other routes have HTTP
// spans.
var operations = map[string]string{
	"/v1/chat/completions": "chat",
	"/v1/responses":        "chat",
	"/v1/completions":      "text_completion",
	"/v1/embeddings":       "embeddings",
}

// startClientSpan starts the span of a request to the upstream, and sets the trace context
// of the request.
func (o *Observer) startClientSpan(ctx context.Context, record *request.Record, req *upstream.Request) (context.Context, trace.Span) {
	if server := trace.SpanContextFromContext(ctx); server.IsSampled() {
		record.TraceID = server.TraceID().String()
	}
	path, _, _ := strings.Cut(req.Target, "?")
	route := routeOf(path, "")
	name := spanName(req.Method, route)
	attributes := []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(knownMethod(req.Method))}
	if operation, ok := operations[route]; ok && req.Method == http.MethodPost {
		name = operation
		attributes = append(attributes, semconv.GenAIOperationNameKey.String(operation), semconv.GenAIProviderNameOpenAI)
		if model := modelName(record.Model); model != "" {
			name += " " + model
			attributes = append(attributes, semconv.GenAIRequestModel(model))
		}
	}
	ctx, span := o.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	delete(req.Header, "Tracestate") // of a context that isn't continued
	o.tracer.propagator.Inject(ctx, propagation.HeaderCarrier(req.Header))
	return ctx, span
}

// endClientSpan ends the span of a completed request. The failure is the reason for a
// missing response, or empty.
func (o *Observer) endClientSpan(span trace.Span, record *request.Record, failure string) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	progress := record.Progress()
	status := record.UpstreamStatus
	if up := o.upstreams.find(record.Upstream); up != nil {
		span.SetAttributes(semconv.ServerAddress(up.host), semconv.ServerPort(up.port))
	}
	if status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	if model := modelName(progress.Model); model != "" {
		span.SetAttributes(semconv.GenAIResponseModel(model))
	}
	span.SetAttributes(usageAttributes(progress.Usage)...)
	switch {
	case failure != "":
	case status >= http.StatusBadRequest:
		failure = strconv.Itoa(status)
	case record.Aborted:
		failure = aborted
	case record.Protocol != request.Raw && record.Code != success:
		failure = record.Code
	}
	if failure != "" {
		span.SetAttributes(semconv.ErrorTypeKey.String(failure))
		span.SetStatus(codes.Error, failure)
	}
}

// usageAttributes returns the attributes of a usage: OpenTelemetry's names, or
// openai_connect.usage.* for usage without a standard name.
func usageAttributes(used usage.Usage) []attribute.KeyValue {
	var list []attribute.KeyValue
	if used.Input != 0 || used.Output != 0 {
		list = append(list, semconv.GenAIUsageInputTokens(int(used.Input)), semconv.GenAIUsageOutputTokens(int(used.Output)))
	}
	if used.CachedInput != 0 {
		list = append(list, semconv.GenAIUsageCacheReadInputTokens(int(used.CachedInput)))
	}
	if used.Total != used.Input+used.Output {
		list = append(list, attribute.Int64("openai_connect.usage.total_tokens", used.Total))
	}
	if used.Seconds != 0 {
		list = append(list, attribute.Float64("openai_connect.usage.audio_seconds", used.Seconds))
	}
	if used.Characters != 0 {
		list = append(list, attribute.Int64("openai_connect.usage.characters", used.Characters))
	}
	if used.Estimated && len(list) > 0 {
		list = append(list, attribute.Bool("openai_connect.usage.estimated", true))
	}
	return list
}

// modelName returns a model's name for a span, empty if it isn't plausible or looks like a
// key.
func modelName(model string) string {
	if isVisibleASCII(model, maxModelName) && !keyPattern.MatchString(model) {
		return model
	}
	return ""
}

// knownMethod returns a registered method, and OpenTelemetry's value for others.
func knownMethod(method string) string {
	if name, _, _ := strings.Cut(spanName(method, ""), " "); name != "HTTP" {
		return name
	}
	return "_OTHER"
}
