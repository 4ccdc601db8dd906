// Package admin serves operators over HTTP: metrics, health, readiness and profiles.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/openai-connect/openai-connect/server/auth"
)

// Config configures a [Server].
type Config struct {
	// Metrics serves /metrics.
	Metrics http.Handler

	// Ready returns the reason why the server should not get new requests, nil if it
	// should. It is not ready before its start and during its shutdown. Rejected
	// requests and failed reloads of a file do not affect readiness.
	Ready func() error

	// Hosts, unless nil, are the host names that are served. Requests for others are
	// rejected with status 403. Nil means all names.
	Hosts *auth.Hosts

	// Logger gets the errors of net/http at level WARN. Nil means none.
	Logger *slog.Logger

	// PProf serves profiles under /debug/pprof/. They contain memory of the process, keys
	// included.
	PProf bool
}

// Server serves operators on a separate listener:
//
//	/metrics       metrics for Prometheus, as text or OpenMetrics
//	/healthz       200 if the process is alive
//	/readyz        200, or 503 with the reason why the server should not get new requests
//	/debug/pprof/  profiles, if enabled
type Server struct {
	handler http.Handler
	log     *log.Logger // net/http's
}

// New returns a server.
func New(config Config) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", config.Metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"alive": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if config.Ready != nil {
			if err := config.Ready(); err != nil {
				writeJSON(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reason": err.Error()})
				return
			}
		}
		writeJSON(w, http.StatusOK, map[string]any{"ready": true})
	})
	if config.PProf {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	logger := config.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{handler: mux, log: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	if config.Hosts != nil {
		s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !config.Hosts.Serves(r) {
				writeJSON(w, http.StatusForbidden, map[string]any{"error": auth.ErrHost.Error()})
				return
			}
			mux.ServeHTTP(w, r)
		})
	}
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func writeJSON(w http.ResponseWriter, status int, body map[string]any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // strings and booleans can be marshaled
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may have disconnected
}

const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	// shutdownTimeout limits the time that responses have to end at shutdown.
	shutdownTimeout = time.Second
)

// Serve serves HTTP/1.1 on the listener until ctx is done, and closes the listener. Until
// then /readyz reports a shutdown, so ctx should be done when nothing else runs.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: s.log}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the admin listener: %w", err)
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(deadline)
	if errors.Is(err, context.DeadlineExceeded) { // such as a profile in progress
		err = server.Close()
	}
	<-failed //nolint:errcheck // http.ErrServerClosed
	return err
}

// Address returns the HOST:PORT of an address, whose host may be missing. It is 127.0.0.1
// by default, as the listener has no authentication.
func Address(address string) (string, error) {
	full := address
	if !strings.Contains(address, ":") {
		full = ":" + address
	}
	host, port, err := net.SplitHostPort(full)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("invalid address %q: want a port or HOST:PORT, such as 127.0.0.1:9464", address)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
