package telemetry_test

import (
	"os/exec"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// TestPrometheus_FilesAreValid: what queries select is tested in peertest.
func TestPrometheus_FilesAreValid(t *testing.T) {
	promtool := servertest.Tool(t, "promtool", "it comes with Prometheus: https://prometheus.io/download")
	for _, test := range []struct {
		name      string
		arguments []string
	}{
		{"Prometheus takes the configuration and the alerts", []string{"check", "config", "prometheus.yml"}},
		{"alerts fire when they should, and only then", []string{"test", "rules", "alerts_test.yml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), promtool, test.arguments...)
			command.Dir = "../deploy/prometheus"
			if output, err := command.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}
