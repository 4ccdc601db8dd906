package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stateCollector collects the state of other parts of the server. A part that isn't
// registered has no metrics.
type stateCollector struct {
	mu        sync.Mutex
	clients   func() (loaded time.Time, failures int64) // guarded by mu
	store     func() (up bool, instances int64)         // guarded by mu
	overload  func() (queued int64, rejected uint64)    // guarded by mu
	resources func() Resources                          // guarded by mu
}

// Resources are the resources that clients use at a moment, in addition to requests.
type Resources struct {
	Connections          int64
	PublicRequests       int64 // such as health checks
	UndeliveredResponses int64 // complete responses over HTTP/2 that clients have not received yet
	BufferedBytes        int64 // memory for bodies
}

// RegisterResources registers the source of the metrics of resources.
func (o *Observer) RegisterResources(status func() Resources) {
	if o != nil {
		o.state.set(func(s *stateCollector) { s.resources = status })
	}
}

// RegisterClients registers the source of the metrics of the clients file: the time at
// which the active version was loaded, and the number of failures to load a newer one.
func (o *Observer) RegisterClients(status func() (loaded time.Time, failures int64)) {
	if o != nil {
		o.state.set(func(s *stateCollector) { s.clients = status })
	}
}

// RegisterRateLimitStore registers the source of the metrics of the store with which
// instances share rate limits.
func (o *Observer) RegisterRateLimitStore(status func() (up bool, instances int64)) {
	if o != nil {
		o.state.set(func(s *stateCollector) { s.store = status })
	}
}

// RegisterOverload registers the source of the metrics of the limit of concurrent
// requests: the number of queued requests, and of those rejected so far.
func (o *Observer) RegisterOverload(status func() (queued int64, rejected uint64)) {
	if o != nil {
		o.state.set(func(s *stateCollector) { s.overload = status })
	}
}

func (s *stateCollector) set(f func(*stateCollector)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

var (
	clientsLoadedDesc = newDesc("clients_loaded_timestamp_seconds", "Unix time at which the active clients file was loaded.")
	clientsFailedDesc = newDesc("clients_reload_failures_total", "Number of failures to reload the clients file.")
	storeUpDesc       = newDesc("rate_limit_store_up", "Whether the shared store of rate limits is available (1) or not (0).")
	instancesDesc     = newDesc("rate_limit_instances", "Number of instances that share the rate limits.")
	queuedDesc        = newDesc("overload_queued", "Number of requests waiting for others to end.")
	rejectedDesc      = newDesc("overload_rejected_total", "Number of requests rejected because of overload.")
	connectionsDesc   = newDesc("open_connections", "Number of open client connections.")
	publicDesc        = newDesc("exempt_requests", "Number of public requests in progress, such as health checks.")
	undeliveredDesc   = newDesc("undelivered_responses", "Number of complete HTTP/2 responses that clients have not received yet.")
	bufferedDesc      = newDesc("buffered_bytes", "Memory used for bodies in bytes, limited by --max-buffered-bytes.")
)

func newDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, nil, nil)
}

// Describe implements [prometheus.Collector].
func (s *stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range [...]*prometheus.Desc{
		clientsLoadedDesc, clientsFailedDesc, storeUpDesc, instancesDesc, queuedDesc, rejectedDesc,
		connectionsDesc, publicDesc, undeliveredDesc, bufferedDesc,
	} {
		to <- desc
	}
}

// Collect implements [prometheus.Collector].
func (s *stateCollector) Collect(to chan<- prometheus.Metric) {
	s.mu.Lock()
	clients, store, overload, resources := s.clients, s.store, s.overload, s.resources
	s.mu.Unlock()
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
		to <- prometheus.MustNewConstMetric(desc, kind, value)
	}
	if clients != nil {
		loaded, failures := clients()
		send(clientsLoadedDesc, prometheus.GaugeValue, float64(loaded.UnixMilli())/1000)
		send(clientsFailedDesc, prometheus.CounterValue, float64(failures))
	}
	if store != nil {
		up, instances := store()
		send(storeUpDesc, prometheus.GaugeValue, map[bool]float64{true: 1}[up])
		send(instancesDesc, prometheus.GaugeValue, float64(instances))
	}
	if overload != nil {
		queued, rejected := overload()
		send(queuedDesc, prometheus.GaugeValue, float64(queued))
		send(rejectedDesc, prometheus.CounterValue, float64(rejected))
	}
	if resources != nil {
		now := resources()
		send(connectionsDesc, prometheus.GaugeValue, float64(now.Connections))
		send(publicDesc, prometheus.GaugeValue, float64(now.PublicRequests))
		send(undeliveredDesc, prometheus.GaugeValue, float64(now.UndeliveredResponses))
		send(bufferedDesc, prometheus.GaugeValue, float64(now.BufferedBytes))
	}
}
