package telemetry_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/telemetry"
)

func TestAddressesOfTheAdminListener(t *testing.T) {
	for _, test := range []struct{ name, address, want string }{
		{"a port alone is loopback's", "9464", "127.0.0.1:9464"},
		{"a colon before it says no more", ":9464", "127.0.0.1:9464"},
		{"every address has to be asked for", "0.0.0.0:9464", "0.0.0.0:9464"},
		{"of IPv6 too", "[::]:9464", "[::]:9464"},
		{"a name is left as it is", "localhost:9464", "localhost:9464"},
		{"a host without a port is none", "localhost", ""},
		{"a name of a port is none", ":http", ""},
		{"a port is below 65536", "65536", ""},
		{"nothing is none", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := telemetry.AdminAddress(test.address)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestWhatTheAdminListenerServes(t *testing.T) {
	o, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	draining := errors.New("the server is shutting down")
	for _, test := range []struct {
		name   string
		config telemetry.AdminConfig
		method string
		path   string
		accept string
		status int
		media  string
		body   string // a part of it
	}{
		{"metrics as Prometheus's text", telemetry.AdminConfig{}, "GET", "/metrics", "", 200, "text/plain", "\ngo_goroutines "},
		{"metrics of the process", telemetry.AdminConfig{}, "GET", "/metrics", "", 200, "text/plain", "\nprocess_open_fds "},
		{"metrics as OpenMetrics", telemetry.AdminConfig{}, "GET", "/metrics", "application/openmetrics-text; version=1.0.0", 200, "application/openmetrics-text", "# EOF"},
		{"the process lives", telemetry.AdminConfig{}, "GET", "/healthz", "", 200, "application/json", `{"alive":true}`},
		{"it lives while it drains", telemetry.AdminConfig{Ready: func() error { return draining }}, "GET", "/healthz", "", 200, "application/json", `{"alive":true}`},
		{"ready", telemetry.AdminConfig{Ready: func() error { return nil }}, "GET", "/readyz", "", 200, "application/json", `{"ready":true}`},
		{"ready, if nobody says otherwise", telemetry.AdminConfig{}, "GET", "/readyz", "", 200, "application/json", `{"ready":true}`},
		{"not ready, and why", telemetry.AdminConfig{Ready: func() error { return draining }}, "GET", "/readyz", "", 503, "application/json", `{"ready":false,"reason":"the server is shutting down"}`},
		{"no profiles unless they are asked for", telemetry.AdminConfig{}, "GET", "/debug/pprof/", "", 404, "text/plain", ""},
		{"nor one of them", telemetry.AdminConfig{}, "GET", "/debug/pprof/heap", "", 404, "text/plain", ""},
		{"profiles if they are", telemetry.AdminConfig{PProf: true}, "GET", "/debug/pprof/", "", 200, "text/html", "goroutine"},
		{"nothing to write", telemetry.AdminConfig{}, "POST", "/metrics", "", 405, "text/plain", ""},
		{"nothing of the API", telemetry.AdminConfig{}, "GET", "/v1/models", "", 404, "text/plain", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, test.path, nil)
			if test.accept != "" {
				request.Header.Set("Accept", test.accept)
			}
			recorder := httptest.NewRecorder()
			o.Admin(test.config).ServeHTTP(recorder, request)
			if recorder.Code != test.status || !strings.HasPrefix(recorder.Header().Get("Content-Type"), test.media) ||
				!strings.Contains(recorder.Body.String(), test.body) {
				t.Errorf("%d %s\n%s", recorder.Code, recorder.Header().Get("Content-Type"), recorder.Body)
			}
		})
	}
}

func TestTheAdminListenerServesUntilItIsTold(t *testing.T) {
	o, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- o.Admin(telemetry.AdminConfig{}).Serve(ctx, listener) }()
	resp, err := http.Get("http://" + listener.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	drain(t, resp)
	// One who asks and never listens is no reason to stay.
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

func TestAListenerThatIsClosedIsAnError(t *testing.T) {
	o, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := o.Admin(telemetry.AdminConfig{}).Serve(t.Context(), listener); err == nil {
		t.Error("it served on a closed listener")
	}
}
