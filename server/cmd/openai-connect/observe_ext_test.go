package main_test

import "testing"

func TestObserveFlagsThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		arguments []string
		says      []string
	}{
		{"a format that there is not", []string{"--log-format", "xml"}, []string{"--log-format", `"xml"`, "text", "json"}},
		{"no address for operators", []string{"--admin", "here"}, []string{"--admin: ", `"here"`, "HOST:PORT"}},
		{"profiles without a place", []string{"--admin-pprof"}, []string{"--admin-pprof: ", "--admin"}},
		{"a collector without a scheme", []string{"--otlp-endpoint", "localhost:4317"}, []string{"--otlp-endpoint: ", "grpc://"}},
		{"a collector with a password", []string{"--otlp-endpoint", "https://me:secret@collector.example"}, []string{"--otlp-endpoint: "}},
		{"more traces than there are", []string{"--trace-sample", "2"}, []string{"--trace-sample: ", "2", "0 to 1"}},
		{"less than none", []string{"--trace-sample=-1"}, []string{"--trace-sample: ", "-1"}},
		{"a share that is no number", []string{"--trace-sample", "NaN"}, []string{"--trace-sample: ", "NaN"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			checkRefused(t, end(t, nil, row.arguments...), row.says)
		})
	}
}
