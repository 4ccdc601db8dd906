package main_test

import "testing"

func TestTelemetry_RejectsInvalidFlags(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"an unknown format", []string{"--log-format", "xml"}, []string{"--log-format", `"xml"`, "text", "json"}},
		{"no address for operators", []string{"--admin", "here"}, []string{"--admin: ", `"here"`, "HOST:PORT"}},
		{"profiles without an address", []string{"--admin-pprof"}, []string{"--admin-pprof: ", "--admin"}},
		{"a collector without a scheme", []string{"--otlp-endpoint", "localhost:4317"}, []string{"--otlp-endpoint: ", "grpc://"}},
		{"a collector with a password", []string{"--otlp-endpoint", "https://me:secret@collector.example"}, []string{"--otlp-endpoint: "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			checkRejected(t, end(t, nil, row.arguments...), row.says)
		})
	}
}
