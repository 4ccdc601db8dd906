package telemetry

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/otelconnect"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Interceptors returns the interceptors that observe RPCs. A nil Observer returns nil.
func (o *Observer) Interceptors() ([]connect.ServerInterceptor, error) {
	if o == nil {
		return nil, nil
	}
	if o.tracer == nil {
		return []connect.ServerInterceptor{recordCode}, nil
	}
	spans, err := otelconnect.NewServerInterceptor(
		otelconnect.WithTracerProvider(o.tracer.provider),
		otelconnect.WithPropagator(o.tracer.propagator),
		otelconnect.WithTrustRemote(),
		otelconnect.WithoutMetrics(),
		otelconnect.WithFilter(func(_ context.Context, spec connect.Spec) bool {
			return !strings.HasPrefix(spec.Procedure, "/grpc.") // health and reflection
		}),
	)
	if err != nil {
		return nil, err
	}
	return []connect.ServerInterceptor{restoreError, spans, redactError, recordCode}, nil
}

// restoreError restores the error that redactError hides from the interceptors between the
// two. The message is the upstream's. It may quote the request, and doesn't belong in a
// span.
func restoreError(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		var hidden error
		err := next(context.WithValue(ctx, redactedErrorKey{}, &hidden), spec, stream)
		if hidden != nil {
			return hidden
		}
		return err
	}
}

// redactError reduces an error to its code.
func redactError(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		if err == nil || connecthttp.IsNotModifiedError(err) {
			return err
		}
		if hidden, ok := ctx.Value(redactedErrorKey{}).(*error); ok {
			*hidden = err
		}
		var code connect.Code
		if code.UnmarshalText([]byte(errorCode(err))) != nil {
			code = connect.CodeUnknown
		}
		return connect.NewError(code, code.String())
	}
}

type redactedErrorKey struct{}

// serverSpans returns a handler that creates the span of a raw request.
func (t *tracer) serverSpans(next http.Handler) http.Handler {
	return otelhttp.NewHandler(next, "",
		otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(t.propagator),
		otelhttp.WithMeterProvider(noopmetric.NewMeterProvider()),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
			return spanName(r.Method, observationOf(r).route)
		}),
	)
}

// sanitizedRequest returns the request that tracing may see: without a body, a query and
// most header fields.
func sanitizedRequest(ctx context.Context, x *observation) *http.Request {
	r := x.request
	seen := &http.Request{
		Method:     r.Method,
		URL:        &url.URL{Path: x.observer.redactor.redact(r.URL.Path)},
		Proto:      r.Proto,
		ProtoMajor: r.ProtoMajor,
		ProtoMinor: r.ProtoMinor,
		Header:     make(http.Header, 3),
		Body:       http.NoBody,
		Host:       r.Host,
		RemoteAddr: r.RemoteAddr,
		TLS:        r.TLS,
	}
	for _, name := range [...]string{"Traceparent", "Tracestate", "User-Agent"} {
		if values := r.Header[name]; values != nil {
			seen.Header[name] = values
		}
	}
	return seen.WithContext(ctx)
}

// serveTraced serves the request behind a sanitized one.
func serveTraced(w http.ResponseWriter, r *http.Request) {
	x := observationOf(r)
	span := trace.SpanFromContext(r.Context())
	span.SetAttributes(semconv.HTTPRoute(x.route))
	returned := false
	defer func() {
		if !returned && !x.delivered() {
			span.SetAttributes(semconv.ErrorTypeKey.String(aborted))
			span.SetStatus(codes.Error, "the response was aborted")
		}
	}()
	x.next.ServeHTTP(w, x.request.WithContext(r.Context()))
	returned = true
}

func observationOf(r *http.Request) *observation {
	return r.Context().Value(observationKey{}).(*observation) //nolint:forcetypeassert // set by serve
}

// spanName returns the name of a span, one of a bounded set.
func spanName(method, route string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method + " " + route
	default:
		return "HTTP " + route
	}
}
