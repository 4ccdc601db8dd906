// Package telemetry observes what the server does: metrics for Prometheus, traces for
// OpenTelemetry, and an access log.
//
// None of them contains request or response bodies, keys or query strings. The exception is
// the log of bodies, which is for debugging.
package telemetry

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openai-connect/openai-connect/server/secret"
)

// Config configures an [Observer]. The zero value only collects metrics.
type Config struct {
	// Calls gets a line for each completed request at level INFO. Nil means none.
	Calls *slog.Logger

	// Contents gets up to [MaxContent] bytes of each body sent to the upstream and received
	// from it, at level INFO. Strings that look like a key are redacted, except those split
	// across events of a stream. Nil means none. Other values are for debugging only.
	Contents *slog.Logger

	// Secrets returns secrets that must not appear in a log. Nil means only strings that
	// look like a key.
	Secrets func() []secret.Secret

	// Tracing configures the export of spans. Nil disables spans and forwards the trace
	// context of clients unchanged.
	Tracing *Tracing

	// Version is the version of the server.
	Version string

	// Logger gets failures of telemetry itself at level WARN. Nil means none.
	Logger *slog.Logger
}

// Observer observes the requests of one server. It is safe for concurrent use. On a nil
// Observer, methods that report something have no effect.
type Observer struct {
	metrics   *metrics
	upstreams *upstreams
	state     *stateCollector
	redactor  *redactor
	tracer    *tracer // nil without tracing
	requests  *slog.Logger
	contents  *slog.Logger

	traced http.Handler // begins a server's span; nil without tracing
}

// New returns an observer, which must be closed. It doesn't connect to anything yet. An
// error describes an invalid configuration.
func New(config Config) (*Observer, error) {
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	o := &Observer{
		upstreams: new(upstreams),
		state:     new(stateCollector),
		redactor:  &redactor{secrets: config.Secrets},
		requests:  config.Calls,
		contents:  config.Contents,
	}
	o.metrics = newMetrics(config.Version, o.upstreams, o.state)
	if config.Tracing != nil {
		var err error
		if o.tracer, err = newTracer(*config.Tracing, config.Version, logger); err != nil {
			return nil, err
		}
		o.traced = o.tracer.serverSpans(http.HandlerFunc(serveTraced))
	}
	if o.contents != nil {
		logger.Warn("logging request and response bodies, which is for debugging only")
	}
	return o, nil
}

// MetricsHandler returns a handler that serves the metrics, as text or OpenMetrics.
func (o *Observer) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(o.metrics.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// Close exports the remaining spans. It takes up to 5 seconds.
func (o *Observer) Close() {
	if o != nil && o.tracer != nil {
		o.tracer.close()
	}
}
