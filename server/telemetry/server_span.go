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

// Interceptors are what RPCs have to pass for their outcome to be observed. A nil
// Observer has none.
func (o *Observer) Interceptors() ([]connect.ServerInterceptor, error) {
	if o == nil {
		return nil, nil
	}
	if o.tracer == nil {
		return []connect.ServerInterceptor{noteCode}, nil
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
	return []connect.ServerInterceptor{reveal, spans, conceal, noteCode}, nil
}

// reveal returns the error that conceal has kept from the interceptors between
// the two. The message of an error is the upstream's, which may quote what it was
// sent, and has no place in a span.
func reveal(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		var concealed error
		err := next(context.WithValue(ctx, concealedKey{}, &concealed), spec, stream)
		if concealed != nil {
			return concealed
		}
		return err
	}
}

// conceal returns of an error only the code.
func conceal(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		if err == nil || connecthttp.IsNotModifiedError(err) {
			return err
		}
		if concealed, ok := ctx.Value(concealedKey{}).(*error); ok {
			*concealed = err
		}
		var code connect.Code
		if code.UnmarshalText([]byte(errorCode(err))) != nil {
			code = connect.CodeUnknown
		}
		return connect.NewError(code, code.String())
	}
}

type concealedKey struct{}

// serverSpans returns a handler that begins a span for what comes raw.
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

// sanitizedRequest is a request as those who make spans may see it: without a body, a query
// and most of its fields.
func sanitizedRequest(x *observation) *http.Request {
	r := x.request
	seen := &http.Request{
		Method:     r.Method,
		URL:        &url.URL{Path: x.observer.redact.text(r.URL.Path)},
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
	return seen.WithContext(r.Context())
}

// serveTraced serves the request that a bare one stands for.
func serveTraced(w http.ResponseWriter, r *http.Request) {
	x := observationOf(r)
	span := trace.SpanFromContext(r.Context())
	span.SetAttributes(semconv.HTTPRoute(x.route))
	returned := false
	defer func() {
		if !returned && !x.delivered() {
			span.SetAttributes(semconv.ErrorTypeKey.String(aborted))
			span.SetStatus(codes.Error, "the answer was cut off")
		}
	}()
	x.next.ServeHTTP(w, x.request.WithContext(r.Context()))
	returned = true
}

func observationOf(r *http.Request) *observation {
	return r.Context().Value(observationKey{}).(*observation) //nolint:forcetypeassert // set by serve
}

// spanName is a span's name, of a bounded set.
func spanName(method, route string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method + " " + route
	default:
		return "HTTP " + route
	}
}
