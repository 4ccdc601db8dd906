package telemetry

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// upstreams is a [prometheus.Collector] for the connections to all observed upstreams.
type upstreams struct {
	mu       sync.Mutex
	observed []*observedUpstream // guarded by mu
}

// observedUpstream counts the requests to an upstream.
type observedUpstream struct {
	*upstream.Upstream

	name     string // in metrics and in [request.Record.Upstream]
	host     string
	port     int
	requests *prometheus.CounterVec
}

// Upstream returns a sender that counts the requests to an upstream. The name is the label
// of the upstream in metrics. With failover, Upstream is called for each upstream. If o is
// nil, it returns u.
func (o *Observer) Upstream(name string, u *upstream.Upstream) upstream.Sender {
	if o == nil {
		return u
	}
	n := &observedUpstream{Upstream: u, name: name, requests: o.metrics.upstreamRequests}
	if base, err := url.Parse(u.BaseURL()); err == nil {
		n.host = base.Hostname()
		n.port, _ = strconv.Atoi(base.Port())
		if n.port == 0 {
			n.port = map[string]int{"http": 80, "https": 443}[base.Scheme]
		}
	}
	o.upstreams.mu.Lock()
	defer o.upstreams.mu.Unlock()
	o.upstreams.observed = append(o.upstreams.observed, n)
	return n
}

// Send implements [upstream.Sender].
func (n *observedUpstream) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	if record := request.FromContext(ctx); record.Attempts == 0 { // without failover, which sets the attempt
		record.SetAttempt(n.name, 1)
	}
	resp, err := n.Upstream.Send(ctx, req)
	if err != nil {
		n.requests.WithLabelValues(n.name, failureLabel(err)).Inc()
		return nil, err
	}
	n.requests.WithLabelValues(n.name, statusLabel(resp.StatusCode)).Inc()
	return resp, nil
}

// find returns the upstream with the given name. If the name is empty and there is only one
// upstream, it returns that one. Otherwise it returns nil.
func (u *upstreams) find(name string) *observedUpstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, n := range u.observed {
		if n.name == name || name == "" && len(u.observed) == 1 {
			return n
		}
	}
	return nil
}

var upstreamConnectionsDesc = prometheus.NewDesc(namespace+"_upstream_connections",
	"Number of open connections to an upstream, in use (active) or idle.",
	[]string{"upstream", "state"}, nil)

// Describe implements [prometheus.Collector].
func (u *upstreams) Describe(descs chan<- *prometheus.Desc) { descs <- upstreamConnectionsDesc }

// Collect implements [prometheus.Collector].
func (u *upstreams) Collect(metrics chan<- prometheus.Metric) {
	u.mu.Lock()
	defer u.mu.Unlock()
	totals := make(map[string]upstream.Stats)
	for _, n := range u.observed {
		stats, total := n.Stats(), totals[n.name]
		total.Active += stats.Active
		total.Idle += stats.Idle
		totals[n.name] = total
	}
	for name, total := range totals {
		metrics <- prometheus.MustNewConstMetric(upstreamConnectionsDesc, prometheus.GaugeValue, float64(total.Active), name, "active")
		metrics <- prometheus.MustNewConstMetric(upstreamConnectionsDesc, prometheus.GaugeValue, float64(total.Idle), name, "idle")
	}
}
