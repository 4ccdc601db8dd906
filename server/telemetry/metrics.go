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

// Buckets of histograms, in seconds. Those that OpenTelemetry advises for
// generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics),
// and beyond them, as a reasoning model may think for many minutes. Scrapers that
// take native histograms get those too, which need no choice.
var (
	durationBuckets = []float64{.005, .01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 300, 900, 1800}
	firstBuckets    = []float64{.005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 900}
	betweenBuckets  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 10}
)

// metrics are those of one server. Each label's values are of a bounded set:
// way, of four; route, of a table; code, of HTTP's registered statuses or an RPC's
// codes; token, of the names in the file of keys; model, of the first
// [maxModels] that the upstream answered as.
type metrics struct {
	registry   *prometheus.Registry
	models     bounded
	byProtocol map[request.Protocol]*protocolMetrics

	requests      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	headers       *prometheus.HistogramVec
	firstToken    *prometheus.HistogramVec
	betweenTokens *prometheus.HistogramVec
	tokens        *prometheus.CounterVec
	audio         *prometheus.CounterVec
	characters    *prometheus.CounterVec

	upstreamRequests *prometheus.CounterVec

	decisions *prometheus.CounterVec
}

// protocolMetrics are the metrics that a call changes while it runs.
type protocolMetrics struct {
	openRequests, openStreams prometheus.Gauge
	received, sent            prometheus.Counter
}

func newMetrics(version string, ups *upstreams, parts *watched) *metrics {
	m := &metrics{
		registry:   prometheus.NewRegistry(),
		byProtocol: make(map[request.Protocol]*protocolMetrics),

		requests:      counters("requests_total", "Calls that have ended, by what became of them: an HTTP status, an RPC's code, or aborted.", "protocol", "route", "client", "model", "code"),
		duration:      histograms("request_duration_seconds", "How long calls took, from their header to the end of the answer.", durationBuckets, "protocol", "route"),
		headers:       histograms("time_to_headers_seconds", "How long it took until the upstream's answer began.", durationBuckets, "protocol", "route"),
		firstToken:    histograms("time_to_first_token_seconds", "How long it took until the first event of a stream came.", firstBuckets, "protocol", "route", "model"),
		betweenTokens: histograms("time_between_tokens_seconds", "How long after the one before it each further event of a stream came.", betweenBuckets, "protocol", "route"),
		tokens:        counters("tokens_total", "Tokens that calls took, as the upstream says or, estimated, by the text. Those of cached_input are among input, those of reasoning among output. Total is all of them, and what an upstream tells of neither.", "client", "model", "kind", "estimated"),
		audio:         counters("audio_seconds_total", "Seconds of the recordings that were transcribed, where the upstream tells them.", "client", "model"),
		characters:    counters("speech_characters_total", "Characters of the texts that were spoken.", "client", "model"),

		upstreamRequests: counters("upstream_requests_total", "Requests to an upstream, by the status that it answered, or why it didn't.", "upstream", "code"),

		decisions: counters("rate_limit_decisions_total", "Requests of tokens with limits: whether they were let through, or which kind of limit was used up; by the store that servers share, or by this one alone.", "client", "decision", "kind", "store"),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the server's version.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(
		m.requests, m.duration, m.headers, m.firstToken, m.betweenTokens, m.tokens, m.audio, m.characters, m.upstreamRequests,
		m.decisions, info, ups, parts, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.addProtocols()
	return m
}

func (m *metrics) addProtocols() {
	openRequests := gauges("open_requests", "Calls that have begun and not ended.", "protocol")
	openStreams := gauges("open_streams", "Event streams and WebSockets whose answer has begun and not ended.", "protocol")
	received := counters("received_bytes_total", "Bytes of contents that clients sent, without headers.", "protocol")
	sent := counters("sent_bytes_total", "Bytes of contents that were sent to clients, without headers.", "protocol")
	m.registry.MustRegister(openRequests, openStreams, received, sent)
	for _, protocol := range [...]request.Protocol{request.Raw, request.Connect, request.GRPC, request.GRPCWeb} {
		name := string(protocol)
		m.byProtocol[protocol] = &protocolMetrics{
			openRequests.WithLabelValues(name), openStreams.WithLabelValues(name),
			received.WithLabelValues(name), sent.WithLabelValues(name),
		}
	}
}

// count counts a call that has ended.
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

// modelOf is the label for a model that answered a call, empty if it failed.
func (m *metrics) modelOf(x *observation, model string) string {
	switch status := x.record.UpstreamStatus; {
	case model == "":
		return ""
	case status == 0, status/100 == http.StatusOK/100, status == http.StatusSwitchingProtocols:
		return m.models.bound(model)
	default:
		return ""
	}
}

// countUsage counts what a model took for a client.
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
		NativeHistogramBucketFactor:     1.1, //  as Prometheus advises
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, labels)
}
