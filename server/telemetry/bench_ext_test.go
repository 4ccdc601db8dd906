package telemetry_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(p []byte) (int, error) { return len(p), nil }
func (*discard) WriteHeader(int)             {}
func (*discard) FlushError() error           { return nil }

// BenchmarkObserver measures the observation of a request and of an event of a stream.
func BenchmarkObserver(b *testing.B) {
	for _, test := range []struct {
		name   string
		config telemetry.Config
		events int
	}{
		{"metrics", telemetry.Config{}, 0},
		{"metrics, 1000 events", telemetry.Config{}, 1000},
		{"log", telemetry.Config{Calls: slog.New(slog.NewJSONHandler(io.Discard, nil))}, 0}, //nolint:sloglint // what it costs to write a line is measured
		{"spans, none sampled", telemetry.Config{Tracing: &telemetry.Tracing{Endpoint: "http://127.0.0.1:1"}}, 0},
	} {
		b.Run(test.name, func(b *testing.B) {
			o, err := telemetry.New(test.config)
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			piece := make([]byte, 300)
			handler := observed(o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c := request.FromContext(r.Context())
				w.WriteHeader(http.StatusOK)
				_, _ = w.Write(piece)
				for range test.events {
					c.RecordEvent(time.Now())
					_, _ = w.Write(piece)
				}
			}))
			request := httptest.NewRequest(http.MethodGet, "/v1/models/a", nil)
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(&discard{make(http.Header)}, request)
			}
		})
	}
}
