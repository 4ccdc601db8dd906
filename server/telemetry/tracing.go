package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Tracing configures the export of spans. OTEL_TRACES_SAMPLER selects the traces that start
// here. By default all are exported.
type Tracing struct {
	// Endpoint is the URL of an OTLP receiver: grpc://HOST:PORT, or grpcs:// with TLS; or
	// http:// or https://, to which /v1/traces is appended. The environment variables of
	// OpenTelemetry configure the rest: OTEL_EXPORTER_OTLP_HEADERS,
	// OTEL_EXPORTER_OTLP_CERTIFICATE and so on.
	Endpoint string
}

// Check reports whether the configuration is valid.
func (t Tracing) Check() error {
	_, err := t.endpoint()
	return err
}

func (t Tracing) endpoint() (*url.URL, error) {
	endpoint, err := url.Parse(t.Endpoint)
	// The errors don't quote the URL, which may contain a password.
	switch {
	case err != nil || endpoint.Hostname() == "" || !isValidPort(endpoint):
		return nil, errors.New("the OTLP endpoint is not a URL: want one such as grpc://localhost:4317 or http://localhost:4318")
	case strings.Contains(endpoint.Host, ","):
		return nil, errors.New("the OTLP endpoint has several hosts: want one")
	case endpoint.User != nil:
		return nil, errors.New("the OTLP endpoint has a user name or a password: send credentials with OTEL_EXPORTER_OTLP_HEADERS")
	case endpoint.RawQuery != "" || endpoint.ForceQuery:
		return nil, errors.New("the OTLP endpoint has a query: remove the ? and what follows")
	case strings.Contains(t.Endpoint, "#"):
		return nil, errors.New("the OTLP endpoint has a fragment: remove the # and what follows")
	}
	switch endpoint.Scheme {
	case "grpc", "grpcs":
		if strings.Trim(endpoint.Path, "/") != "" {
			return nil, fmt.Errorf("the OTLP endpoint has the path %q: remove it, since gRPC uses no path", endpoint.Path)
		}
	case "http", "https":
	default:
		return nil, fmt.Errorf("the OTLP endpoint has the scheme %q: want grpc, grpcs, http or https", endpoint.Scheme)
	}
	return endpoint, nil
}

// isValidPort reports whether the port of a URL, if it has one, is from 1 to 65535.
func isValidPort(u *url.URL) bool {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" && !strings.HasSuffix(u.Host, ":") || err == nil && port > 0
}

// tracer creates and exports spans.
type tracer struct {
	trace.Tracer

	provider   *sdktrace.TracerProvider
	exporter   *rateLimitedExporter
	propagator propagation.TextMapPropagator
}

func newTracer(config Tracing, version string, logger *slog.Logger) (*tracer, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	ctx := context.Background() // Nothing is connected to here.
	exporter, err := newExporter(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("trace exporter: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("openai-connect"), semconv.ServiceVersion(version)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(), // OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	quiet := newRateLimitedExporter(exporter, logger)
	provider := sdktrace.NewTracerProvider( // It reads OTEL_TRACES_SAMPLER.
		sdktrace.WithBatcher(quiet),
		sdktrace.WithResource(about),
	)
	return &tracer{
		Tracer:     provider.Tracer("github.com/openai-connect/openai-connect/server/telemetry"),
		provider:   provider,
		exporter:   quiet,
		propagator: propagation.TraceContext{}, // https://www.w3.org/TR/trace-context/
	}, nil
}

func newExporter(ctx context.Context, config Tracing) (sdktrace.SpanExporter, error) {
	endpoint, err := config.endpoint()
	if err != nil {
		return nil, err
	}
	if transport, ok := map[string]string{"grpc": "http", "grpcs": "https"}[endpoint.Scheme]; ok {
		return otlptrace.New(ctx, otlptracegrpc.NewClient(otlptracegrpc.WithEndpointURL(transport+"://"+endpoint.Host)))
	}
	return otlptrace.New(ctx, otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(endpoint.JoinPath("v1", "traces").String())))
}

// closeTimeout limits the time to export the last spans.
const closeTimeout = 5 * time.Second

// close exports the remaining spans within closeTimeout.
func (t *tracer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	t.exporter.giveUp()
	<-t.exporter.closed
	if err != nil {
		t.exporter.logger.WarnContext(ctx, "failed to export spans", "error", err)
	}
}

// exportLogInterval is the interval at which failed exports are logged.
const exportLogInterval = time.Minute

// rateLimitedExporter logs failures once a minute. The SDK only has a global error handler.
// The spans of a failed batch are lost, so that no request waits for them.
type rateLimitedExporter struct {
	sdktrace.SpanExporter

	logger *slog.Logger
	logged atomic.Int64 // in Unix nanoseconds, when it was that a failure was

	giveUp  context.CancelFunc
	givenUp context.Context //nolint:containedctx // it is of all exports
	closed  chan struct{}
}

func newRateLimitedExporter(exporter sdktrace.SpanExporter, logger *slog.Logger) *rateLimitedExporter {
	e := &rateLimitedExporter{SpanExporter: exporter, logger: logger, closed: make(chan struct{})}
	e.givenUp, e.giveUp = context.WithCancel(context.Background())
	return e
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e *rateLimitedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.givenUp, cancel)() //nolint:contextcheck // it is the other reason to end
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	now, last := time.Now().UnixNano(), e.logged.Load()
	if now-last >= int64(exportLogInterval) && e.logged.CompareAndSwap(last, now) {
		e.logger.WarnContext(ctx, "failed to export spans", "error", err, "spans", len(spans))
	}
	return nil
}

// Shutdown implements [sdktrace.SpanExporter]. The SDK calls it once.
func (e *rateLimitedExporter) Shutdown(ctx context.Context) error {
	defer close(e.closed)
	return e.SpanExporter.Shutdown(ctx)
}
