// Package telemetry shows an operator what the server does: metrics for Prometheus,
// traces for OpenTelemetry, a log of calls, and the listener that serves the
// first to those who may see them.
//
// None of it is shown what was asked or answered, nor a key, a token or a query
// string; only the log of contents, a switch for debugging, has the former.
package telemetry

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openai-connect/openai-connect/server/secret"
)

// Config says what is observed beside the metrics, which are always kept. The
// zero value is the metrics alone.
type Config struct {
	// Calls is told of each call when it has ended, at level INFO. Nil means that
	// there is no such log.
	Calls *slog.Logger

	// Contents is told what goes to the upstream and what it answers, at level
	// INFO: up to [MaxContent] bytes of each body. What looks like a key is left
	// out of it, but of one that a stream brings in pieces the pieces show. Nil,
	// which is what to use outside of debugging, means none.
	Contents *slog.Logger

	// Secrets returns what must not show in a log, however it got there. Nil
	// means none beside what looks like a key.
	Secrets func() []secret.Secret

	// Tracing says where spans are sent. Nil means that there are none, and that
	// the trace context of clients goes up as it came.
	Tracing *Tracing

	// Version is the server's.
	Version string

	// Logger is told of what goes wrong with observing, at level WARN. Nil means
	// silence.
	Logger *slog.Logger
}

// Observer observes the calls of one server. It is safe for concurrent use. The
// methods by which others tell it something may be called on nil, which forgets it.
type Observer struct {
	metrics   *metrics
	upstreams *upstreams
	state     *stateCollector
	redact    *redactor
	tracer    *tracer // nil without tracing
	requests  *slog.Logger
	contents  *slog.Logger

	traced http.Handler // begins a server's span; nil without tracing
}

// New returns an observer, which must be closed in the end. It connects to
// nothing yet. The error says what is wrong with the configuration.
func New(config Config) (*Observer, error) {
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	o := &Observer{
		upstreams: new(upstreams),
		state:     new(stateCollector),
		redact:    &redactor{secrets: config.Secrets},
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
		logger.Warn("the contents of requests and answers are logged: this is for debugging alone")
	}
	return o, nil
}

// MetricsHandler returns a handler that serves the metrics, as text or OpenMetrics.
func (o *Observer) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(o.metrics.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// Close sends the spans that have not been sent yet. It takes up to 5 seconds.
func (o *Observer) Close() {
	if o != nil && o.tracer != nil {
		o.tracer.close()
	}
}
