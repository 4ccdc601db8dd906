package server

import (
	"net/http"
	"time"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/internal/httpserver"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/overload"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// newOverload returns the limiter of concurrent requests. Public requests, such as
// health checks, have separate limits.
func newOverload(router *router, config Config) (*overload.Limiter, error) {
	limits := overload.Config{
		MaxCalls:     overload.DefaultMaxCalls,
		MaxQueue:     overload.DefaultMaxQueue,
		QueueTimeout: overload.DefaultQueueTimeout,
	}
	if config.Overload != nil {
		limits = *config.Overload
	}
	limits.Connection = httpserver.ConnectionID
	limits.Reject = func(w http.ResponseWriter, r *http.Request, retryAfter time.Duration) {
		router.reject(w, r, &apierror.Error{
			Status: http.StatusServiceUnavailable, Type: apierror.ServerError, Code: overload.Code,
			Message:    "This server has too many requests in progress. Please try again later.",
			RetryAfter: retryAfter,
		})
	}
	return overload.New(limits)
}

// registerCollectors makes the observer's metrics include the state of the server.
func (s *Server) registerCollectors(config Config, budget *memory.Budget) {
	config.Observer.RegisterOverload(func() (queued int64, rejected uint64) {
		stats := s.overload.Stats()
		return stats.Waiting, stats.Rejected
	})
	config.Observer.RegisterResources(func() telemetry.Resources {
		return telemetry.Resources{
			Connections:          s.http.Connections(),
			PublicRequests:       s.overload.Stats().Exempt,
			UndeliveredResponses: s.http.UnreadResponses(),
			BufferedBytes:        budget.Used(),
		}
	})
	if store := config.Clients; store != nil {
		config.Observer.RegisterClients(func() (loaded time.Time, failures int64) {
			status := store.Status()
			return status.Loaded, status.Failures
		})
	}
	if limiter := config.Limiter; limiter != nil && limiter.Stats().Shared {
		config.Observer.RegisterRateLimitStore(func() (up bool, instances int64) {
			stats := limiter.Stats()
			return stats.RedisUp, stats.Instances
		})
	}
}
