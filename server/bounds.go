package server

import (
	"cmp"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/overload"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// bound bounds the calls that are worked on at a time. Those that everyone may make,
// such as health checks, have bounds of their own.
func bound(router *router, config Config) (*overload.Handler, error) {
	bounds := overload.Config{
		MaxCalls:     overload.DefaultMaxCalls,
		MaxQueue:     overload.DefaultMaxQueue,
		QueueTimeout: overload.DefaultQueueTimeout,
	}
	if config.Overload != nil {
		bounds = *config.Overload
	}
	bounds.Exempt = router.isOpen
	bounds.Connection = func(r *http.Request) any {
		if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			return c
		}
		return r.RemoteAddr
	}
	bounds.Refuse = func(w http.ResponseWriter, r *http.Request, retryAfter time.Duration) {
		router.refuse(w, r, refusal{
			status: http.StatusServiceUnavailable, code: connect.CodeUnavailable,
			kind: "server_error", reason: overload.Code,
			message:    "This server has as many calls to work on as it takes. Please try again later.",
			retryAfter: retryAfter,
		})
	}
	return overload.New(router, bounds)
}

// watch has the observer ask the parts of a server how they are.
func watch(config Config, bounded *overload.Handler, held *held, budget *memory.Budget) {
	config.Observer.WatchOverload(func() (waiting int64, refused uint64) {
		stats := bounded.Stats()
		return stats.Waiting, stats.Refused
	})
	config.Observer.WatchHeld(func() telemetry.Held {
		return telemetry.Held{
			Connections: held.connections.Load(),
			Exempt:      bounded.Stats().Exempt,
			Untaken:     held.untaken.Load(),
			Buffered:    budget.Taken(),
		}
	})
	if store := config.Keys; store != nil {
		config.Observer.WatchKeys(func() (loaded time.Time, failures int64) {
			status := store.Status()
			return status.Loaded, status.Failures
		})
	}
	if shared, ok := config.Limiter.(*ratelimit.Shared); ok {
		config.Observer.WatchStore(func() (up bool, instances int64) {
			stats := shared.Stats()
			return stats.StoreUp, cmp.Or(stats.Instances, 1)
		})
	}
}
