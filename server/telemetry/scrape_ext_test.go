package telemetry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// observed returns a handler that has o observe the requests of next.
func observed(o *telemetry.Observer, next http.HandlerFunc) http.Handler {
	return request.NewClassifier(connect.NewServer(), "").Wrap(o.Wrap(next))
}

// scrape returns the samples of a scrape, by name and labels as they are written.
func scrape(tb testing.TB, o *telemetry.Observer) map[string]float64 {
	tb.Helper()
	recorder := httptest.NewRecorder()
	o.MetricsHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if recorder.Code != http.StatusOK {
		tb.Fatalf("/metrics: %d %s", recorder.Code, recorder.Body)
	}
	samples := make(map[string]float64)
	for line := range strings.Lines(recorder.Body.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			tb.Fatalf("sample %q: %v", line, err)
		}
		samples[line[:at]] = value
	}
	return samples
}

// drain reads a body to its end and closes it.
func drain(tb testing.TB, resp *http.Response) string {
	tb.Helper()
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}
