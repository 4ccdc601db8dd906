package admin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/admin"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

func newServer(t *testing.T, config admin.Config) *admin.Server {
	t.Helper()
	observer, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	config.Metrics = observer.MetricsHandler()
	return admin.New(config)
}

func TestAdmin_AddressDefaultsToLoopback(t *testing.T) {
	for _, test := range []struct{ name, address, want string }{
		{"a port", "9464", "127.0.0.1:9464"},
		{"a port with a colon", ":9464", "127.0.0.1:9464"},
		{"all IPv4 addresses", "0.0.0.0:9464", "0.0.0.0:9464"},
		{"all IPv6 addresses", "[::]:9464", "[::]:9464"},
		{"a host name", "localhost:9464", "localhost:9464"},
		{"no port", "localhost", ""},
		{"a port by name", ":http", ""},
		{"a port above 65535", "65536", ""},
		{"empty", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := admin.Address(test.address)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, error %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestAdmin_ServesMetricsHealthAndProfiles(t *testing.T) {
	draining := errors.New("the server is shutting down")
	for _, test := range []struct {
		name   string
		config admin.Config
		method string
		path   string
		accept string
		status int
		media  string
		body   string // part of the body
	}{
		{"metrics as Prometheus text", admin.Config{}, "GET", "/metrics", "", 200, "text/plain", "\ngo_goroutines "},
		{"metrics of the process", admin.Config{}, "GET", "/metrics", "", 200, "text/plain", "\nprocess_open_fds "},
		{"metrics as OpenMetrics", admin.Config{}, "GET", "/metrics", "application/openmetrics-text; version=1.0.0", 200, "application/openmetrics-text", "# EOF"},
		{"health", admin.Config{}, "GET", "/healthz", "", 200, "application/json", `{"alive":true}`},
		{"health during shutdown", admin.Config{Ready: func() error { return draining }}, "GET", "/healthz", "", 200, "application/json", `{"alive":true}`},
		{"ready", admin.Config{Ready: func() error { return nil }}, "GET", "/readyz", "", 200, "application/json", `{"ready":true}`},
		{"ready by default", admin.Config{}, "GET", "/readyz", "", 200, "application/json", `{"ready":true}`},
		{"not ready", admin.Config{Ready: func() error { return draining }}, "GET", "/readyz", "", 503, "application/json", `{"ready":false,"reason":"the server is shutting down"}`},
		{"profiles are disabled by default", admin.Config{}, "GET", "/debug/pprof/", "", 404, "text/plain", ""},
		{"a profile is disabled by default", admin.Config{}, "GET", "/debug/pprof/heap", "", 404, "text/plain", ""},
		{"profiles are enabled", admin.Config{PProf: true}, "GET", "/debug/pprof/", "", 200, "text/html", "goroutine"},
		{"POST", admin.Config{}, "POST", "/metrics", "", 405, "text/plain", ""},
		{"a path of the API", admin.Config{}, "GET", "/v1/models", "", 404, "text/plain", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, test.path, nil)
			if test.accept != "" {
				request.Header.Set("Accept", test.accept)
			}
			recorder := httptest.NewRecorder()
			newServer(t, test.config).ServeHTTP(recorder, request)
			if recorder.Code != test.status || !strings.HasPrefix(recorder.Header().Get("Content-Type"), test.media) ||
				!strings.Contains(recorder.Body.String(), test.body) {
				t.Errorf("got %d %s\n%s", recorder.Code, recorder.Header().Get("Content-Type"), recorder.Body)
			}
		})
	}
}

func TestAdmin_ServesUntilContextIsDone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- newServer(t, admin.Config{}).Serve(ctx, listener) }()
	resp, err := http.Get("http://" + listener.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	// A client that doesn't complete its request doesn't delay the shutdown.
	silent, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, _ = io.WriteString(silent, "GET /metrics HTTP/1.1\r\n")
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAdmin_ReturnsErrorForClosedListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := newServer(t, admin.Config{}).Serve(t.Context(), listener); err == nil {
		t.Error("Serve returned no error")
	}
}
