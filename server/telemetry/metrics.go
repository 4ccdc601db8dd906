package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/usage"
)

// namespace begins every metric's name.
const namespace = "openai_connect"

// Histogram buckets in seconds, as OpenTelemetry recommends for generative AI
// (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics), and larger ones,
// because a reasoning model may take many minutes. Scrapers that support native histograms
// get those too.
var (
	durationBuckets   = []float64{.005, .01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 300, 900, 1800}
	firstTokenBuckets = []float64{.005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 900}
	interTokenBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 10}
)

// metrics are the metrics of one server. Every label has a bounded set of values: protocol
// has four, route comes from a table, code is a registered HTTP status or an RPC code,
// client comes from the clients file, and model is limited to the first [maxModels].
type metrics struct {
	registry   *prometheus.Registry
	models     labelSet
	byProtocol map[request.Protocol]*protocolMetrics

	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	headers    *prometheus.HistogramVec
	firstToken *prometheus.HistogramVec
	interToken *prometheus.HistogramVec
	tokens     *prometheus.CounterVec
	audio      *prometheus.CounterVec
	characters *prometheus.CounterVec

	upstreamRequests *prometheus.CounterVec

	decisions *prometheus.CounterVec
}

// protocolMetrics are the metrics of one protocol that a request changes while in progress.
type protocolMetrics struct {
	openRequests, openStreams prometheus.Gauge
	received, sent            prometheus.Counter
}

func newMetrics(version string, ups *upstreams, state *stateCollector) *metrics {
	m := &metrics{
		registry:   prometheus.NewRegistry(),
		byProtocol: make(map[request.Protocol]*protocolMetrics),

		requests:   counters("requests_total", "Number of completed requests by outcome: an HTTP status, an RPC code, or aborted.", "protocol", "route", "client", "model", "code"),
		duration:   histograms("request_duration_seconds", "Duration of requests in seconds, from the request header to the end of the response.", durationBuckets, "protocol", "route"),
		headers:    histograms("time_to_headers_seconds", "Time to the header of the upstream's response in seconds.", durationBuckets, "protocol", "route"),
		firstToken: histograms("time_to_first_token_seconds", "Time to the first event of a stream in seconds.", firstTokenBuckets, "protocol", "route", "model"),
		interToken: histograms("time_between_tokens_seconds", "Time between events of a stream in seconds.", interTokenBuckets, "protocol", "route"),
		tokens:     counters("tokens_total", "Number of tokens as reported by the upstream or, if estimated, derived from the size of the text. The kind cached_input is part of input, and reasoning part of output. The kind total also includes tokens reported as neither input nor output.", "client", "model", "kind", "estimated"),
		audio:      counters("audio_seconds_total", "Duration of transcribed audio in seconds, as reported by the upstream.", "client", "model"),
		characters: counters("speech_characters_total", "Number of characters converted to speech.", "client", "model"),

		upstreamRequests: counters("upstream_requests_total", "Number of requests to an upstream by outcome: an HTTP status, or the reason why there was no response.", "upstream", "code"),

		decisions: counters("rate_limit_decisions_total", "Number of decisions on requests of clients with rate limits: admitted, or rejected by a kind of limit. The store is shared by instances or local to this one.", "client", "decision", "kind", "store"),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1, labeled with the version of the server.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(
		m.requests, m.duration, m.headers, m.firstToken, m.interToken, m.tokens, m.audio, m.characters, m.upstreamRequests,
		m.decisions, info, ups, state, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.addProtocols()
	return m
}

func (m *metrics) addProtocols() {
	openRequests := gauges("open_requests", "Number of requests in progress.", "protocol")
	openStreams := gauges("open_streams", "Number of event streams and WebSockets in progress.", "protocol")
	received := counters("received_bytes_total", "Number of body bytes received from clients.", "protocol")
	sent := counters("sent_bytes_total", "Number of body bytes sent to clients.", "protocol")
	m.registry.MustRegister(openRequests, openStreams, received, sent)
	for _, protocol := range [...]request.Protocol{request.Raw, request.Connect, request.GRPC, request.GRPCWeb} {
		name := string(protocol)
		m.byProtocol[protocol] = &protocolMetrics{
			openRequests.WithLabelValues(name), openStreams.WithLabelValues(name),
			received.WithLabelValues(name), sent.WithLabelValues(name),
		}
	}
}

// count counts a completed request.
func (m *metrics) count(x *observation) {
	progress := x.record.Progress()
	protocol, route, client := string(x.record.Protocol), x.route, x.record.ClientName()
	model := m.modelOf(x, progress.Model)
	m.requests.WithLabelValues(protocol, route, client, model, x.code()).Inc()
	m.duration.WithLabelValues(protocol, route).Observe(time.Since(x.record.Start).Seconds())
	if !progress.Headers.IsZero() {
		m.headers.WithLabelValues(protocol, route).Observe(progress.Headers.Sub(x.record.Start).Seconds())
	}
	if !progress.FirstToken.IsZero() {
		m.firstToken.WithLabelValues(protocol, route, model).Observe(progress.FirstToken.Sub(x.record.Start).Seconds())
	}
	if progress.ByModel == nil {
		m.countUsage(client, model, progress.Usage)
	}
	for _, each := range progress.ByModel {
		m.countUsage(client, m.modelOf(x, each.Model), each.Usage)
	}
}

// modelOf returns the label value of a model that responded, empty if the request failed.
func (m *metrics) modelOf(x *observation, model string) string {
	switch status := x.record.UpstreamStatus; {
	case model == "":
		return ""
	case status == 0, status/100 == http.StatusOK/100, status == http.StatusSwitchingProtocols:
		return m.models.value(model)
	default:
		return ""
	}
}

// countUsage counts the usage of a model by a client.
func (m *metrics) countUsage(client, model string, used usage.Usage) {
	estimated := strconv.FormatBool(used.Estimated)
	for _, part := range [...]struct {
		kind   string
		tokens int64
	}{
		{"input", used.Input},
		{"output", used.Output},
		{"total", used.Total},
		{"cached_input", used.CachedInput},
		{"reasoning", used.Reasoning},
	} {
		if part.tokens > 0 {
			m.tokens.WithLabelValues(client, model, part.kind, estimated).Add(float64(part.tokens))
		}
	}
	if used.Seconds > 0 {
		m.audio.WithLabelValues(client, model).Add(used.Seconds)
	}
	if used.Characters > 0 {
		m.characters.WithLabelValues(client, model).Add(float64(used.Characters))
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help,
		Buckets:                         buckets,
		NativeHistogramBucketFactor:     1.1, // recommended by Prometheus
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}
