package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openai-connect/openai-connect/server/auth"
)

// AdminConfig says what the admin listener has.
type AdminConfig struct {
	// Ready returns why the server shouldn't be sent new calls, nil if it should:
	// it is shutting down, or hasn't begun. That it refuses some calls, or that a
	// changed file of keys was not taken, is no such reason: what it has works on.
	Ready func() error

	// Hosts, unless nil, are the host names that the listener is reached by. Requests
	// for others are refused with 403. Nil serves every name.
	Hosts *auth.Hosts

	// Logger is told of what net/http has to say, at level WARN. Nil means silence.
	Logger *slog.Logger

	// PProf has it serve profiles too, under /debug/pprof/. They show what the
	// memory holds, keys included, to those who can reach the listener.
	PProf bool
}

// Admin serves operators, on a listener of their own:
//
//	/metrics       for Prometheus, as text or OpenMetrics
//	/healthz       200: the process lives
//	/readyz        200, or 503 and why it shouldn't be sent new calls
//	/debug/pprof/  if that is asked for
type Admin struct {
	handler http.Handler
	log     *log.Logger // net/http's
}

// Admin returns what serves the observer's metrics.
func (o *Observer) Admin(config AdminConfig) *Admin {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.metrics.registry, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: 4,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, `{"alive":true}`)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if config.Ready != nil {
			if err := config.Ready(); err != nil {
				reason, _ := json.Marshal(err.Error()) // A text always can be.
				answer(w, http.StatusServiceUnavailable, `{"ready":false,"reason":`+string(reason)+`}`)
				return
			}
		}
		answer(w, http.StatusOK, `{"ready":true}`)
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
	errorLog := slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	if config.Hosts == nil {
		return &Admin{mux, errorLog}
	}
	return &Admin{log: errorLog, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !config.Hosts.Serves(r) {
			reason, _ := json.Marshal(auth.ErrHost.Error()) // A text always can be.
			answer(w, http.StatusForbidden, `{"error":`+string(reason)+`}`)
			return
		}
		mux.ServeHTTP(w, r)
	})}
}

// ServeHTTP implements [http.Handler].
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body+"\n") // Who asked may be gone.
}

const (
	// adminHeaderTimeout and adminIdleTimeout bound how long one who asks may be
	// silent.
	adminHeaderTimeout = 5 * time.Second
	adminIdleTimeout   = 2 * time.Minute
	// adminGrace is how long answers may take to end, in the end.
	adminGrace = time.Second
)

// Serve serves HTTP/1.1 on the listener until ctx is done, which should be when
// nothing else runs any more: until then /readyz tells of the shutdown. It closes
// the listener.
func (a *Admin) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: a, ReadHeaderTimeout: adminHeaderTimeout, IdleTimeout: adminIdleTimeout, ErrorLog: a.log}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the admin listener: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) { // a profile that is being taken
		err = server.Close()
	}
	<-failed //nolint:errcheck // http.ErrServerClosed
	return err
}

// AdminAddress returns the HOST:PORT of an address that may lack its host: it is
// 127.0.0.1 then, as what is served isn't for everyone.
func AdminAddress(address string) (string, error) {
	full := address
	if !strings.Contains(address, ":") {
		full = ":" + address
	}
	host, port, err := net.SplitHostPort(full)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("%q is no HOST:PORT, such as 127.0.0.1:9464, and no port", address)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
