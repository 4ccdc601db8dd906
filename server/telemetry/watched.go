package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// watched are parts of a server that know how they are, as a collector that asks
// them. Of a part that isn't there, there are no metrics.
type watched struct {
	mu       sync.Mutex
	keys     func() (loaded time.Time, failures int64) // guarded by mu
	store    func() (up bool, instances int64)         // guarded by mu
	overload func() (waiting int64, refused uint64)    // guarded by mu
	held     func() Held                               // guarded by mu
}

// Held is what clients make a server hold on to at a moment, beside open calls.
type Held struct {
	Connections int64 // that are open
	Exempt      int64 // requests that don't count as calls, such as health checks
	Untaken     int64 // answers that are written, over HTTP/2, and that clients have yet to take
	Buffered    int64 // bytes of memory for bodies
}

// WatchHeld has each scrape ask what clients make the server hold on to.
func (o *Observer) WatchHeld(status func() Held) {
	if o != nil {
		o.watched.mu.Lock()
		defer o.watched.mu.Unlock()
		o.watched.held = status
	}
}

// WatchKeys has each scrape ask when the file of keys that is in force was read,
// and how often a changed one was not taken.
func (o *Observer) WatchKeys(status func() (loaded time.Time, failures int64)) {
	if o != nil {
		o.watched.mu.Lock()
		defer o.watched.mu.Unlock()
		o.watched.keys = status
	}
}

// WatchStore has each scrape ask whether the store that limits are shared by can
// be used, and how many servers share them.
func (o *Observer) WatchStore(status func() (up bool, instances int64)) {
	if o != nil {
		o.watched.mu.Lock()
		defer o.watched.mu.Unlock()
		o.watched.store = status
	}
}

// WatchOverload has each scrape ask how many calls wait for others to end, and how
// many were refused as there were too many.
func (o *Observer) WatchOverload(status func() (waiting int64, refused uint64)) {
	if o != nil {
		o.watched.mu.Lock()
		defer o.watched.mu.Unlock()
		o.watched.overload = status
	}
}

var (
	keysLoadedDesc = newDesc("clients_loaded_timestamp_seconds", "When the file of keys that is in force was read, in Unix time.")
	keysFailedDesc = newDesc("clients_reload_failures_total", "Times that a changed file of keys was not taken.")
	storeUpDesc    = newDesc("rate_limit_store_up", "Whether the store that limits are shared by can be used (1) or not (0).")
	instancesDesc  = newDesc("rate_limit_instances", "How many servers share the limits.")
	waitingDesc    = newDesc("overload_queued", "Calls that wait for others to end.")
	refusedDesc    = newDesc("overload_rejected_total", "Calls that were refused as there were too many.")
	connectedDesc  = newDesc("open_connections", "Connections of clients that are open.")
	exemptDesc     = newDesc("exempt_requests", "Calls that everyone may make, such as health checks, that have begun and not ended.")
	untakenDesc    = newDesc("undelivered_responses", "Answers over HTTP/2 that are written, and that clients have yet to take.")
	bufferedDesc   = newDesc("buffered_bytes", "Memory for bodies that are held, of which --max-buffered-bytes is the limit.")
)

func newDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, nil, nil)
}

// Describe implements [prometheus.Collector].
func (w *watched) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range [...]*prometheus.Desc{keysLoadedDesc, keysFailedDesc, storeUpDesc, instancesDesc, waitingDesc, refusedDesc, connectedDesc, exemptDesc, untakenDesc, bufferedDesc} {
		to <- desc
	}
}

// Collect implements [prometheus.Collector].
func (w *watched) Collect(to chan<- prometheus.Metric) {
	w.mu.Lock()
	keys, store, overload, held := w.keys, w.store, w.overload, w.held
	w.mu.Unlock()
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64) {
		to <- prometheus.MustNewConstMetric(desc, kind, value)
	}
	if keys != nil {
		loaded, failures := keys()
		send(keysLoadedDesc, prometheus.GaugeValue, float64(loaded.UnixMilli())/1000)
		send(keysFailedDesc, prometheus.CounterValue, float64(failures))
	}
	if store != nil {
		up, instances := store()
		send(storeUpDesc, prometheus.GaugeValue, map[bool]float64{true: 1}[up])
		send(instancesDesc, prometheus.GaugeValue, float64(instances))
	}
	if overload != nil {
		waiting, refused := overload()
		send(waitingDesc, prometheus.GaugeValue, float64(waiting))
		send(refusedDesc, prometheus.CounterValue, float64(refused))
	}
	if held != nil {
		now := held()
		send(connectedDesc, prometheus.GaugeValue, float64(now.Connections))
		send(exemptDesc, prometheus.GaugeValue, float64(now.Exempt))
		send(untakenDesc, prometheus.GaugeValue, float64(now.Untaken))
		send(bufferedDesc, prometheus.GaugeValue, float64(now.Buffered))
	}
}
