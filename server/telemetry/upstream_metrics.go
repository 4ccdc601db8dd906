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

// upstreams collects the connections of the observed upstreams.
type upstreams struct {
	mu    sync.Mutex
	named []*namedUpstream // guarded by mu
}

// namedUpstream is an upstream with its name in [request.Record.Upstream].
type namedUpstream struct {
	*upstream.Upstream

	name     string
	host     string
	port     int
	requests *prometheus.CounterVec
}

// Upstream returns a sender that counts the requests to an upstream under its configured
// name. With failover there is one for each upstream. A nil Observer returns the upstream
// itself.
func (o *Observer) Upstream(name string, u *upstream.Upstream) upstream.Sender {
	if o == nil {
		return u
	}
	n := &namedUpstream{Upstream: u, name: name, requests: o.metrics.upstreamRequests}
	if base, err := url.Parse(u.BaseURL()); err == nil {
		n.host = base.Hostname()
		n.port, _ = strconv.Atoi(base.Port())
		if n.port == 0 {
			n.port = map[string]int{"http": 80, "https": 443}[base.Scheme]
		}
	}
	o.upstreams.mu.Lock()
	defer o.upstreams.mu.Unlock()
	o.upstreams.named = append(o.upstreams.named, n)
	return n
}

// Send implements [upstream.Sender].
func (n *namedUpstream) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	if record := request.FromContext(ctx); record.Attempts == 0 { // there is no failover
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

// find returns the upstream with a name, or the only one if the name is empty. It returns
// nil if there is none.
func (u *upstreams) find(name string) *namedUpstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, n := range u.named {
		if n.name == name || name == "" && len(u.named) == 1 {
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
func (u *upstreams) Collect(to chan<- prometheus.Metric) {
	u.mu.Lock()
	defer u.mu.Unlock()
	totals := make(map[string]upstream.Stats)
	for _, n := range u.named {
		stats, total := n.Stats(), totals[n.name]
		total.Active += stats.Active
		total.Idle += stats.Idle
		totals[n.name] = total
	}
	for name, total := range totals {
		to <- prometheus.MustNewConstMetric(upstreamConnectionsDesc, prometheus.GaugeValue, float64(total.Active), name, "active")
		to <- prometheus.MustNewConstMetric(upstreamConnectionsDesc, prometheus.GaugeValue, float64(total.Idle), name, "idle")
	}
}
