package telemetry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/usage"
)

func TestTracing_SpansHaveUsage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		used usage.Usage
		want string
	}{
		{"nothing", usage.Usage{Estimated: true}, ""},
		{"input and output", usage.Usage{Input: 2, Output: 3, Total: 5}, "gen_ai.usage.input_tokens=2 gen_ai.usage.output_tokens=3"},
		{"a total alone", usage.Usage{Total: 60}, "openai_connect.usage.total_tokens=60"},
		{"more in all", usage.Usage{Input: 2, Output: 3, Total: 9}, "gen_ai.usage.input_tokens=2 gen_ai.usage.output_tokens=3 openai_connect.usage.total_tokens=9"},
		{"what was cached", usage.Usage{Input: 2, Total: 2, CachedInput: 1}, "gen_ai.usage.input_tokens=2 gen_ai.usage.output_tokens=0 gen_ai.usage.cache_read.input_tokens=1"},
		{"seconds", usage.Usage{Seconds: 8.5, Estimated: true}, "openai_connect.usage.audio_seconds=8.5 openai_connect.usage.estimated=true"},
		{"characters", usage.Usage{Input: 3, Total: 3, Characters: 11, Estimated: true}, "gen_ai.usage.input_tokens=3 gen_ai.usage.output_tokens=0 openai_connect.usage.characters=11 openai_connect.usage.estimated=true"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var list []string
			for _, each := range usageAttributes(row.used) {
				list = append(list, fmt.Sprintf("%s=%v", each.Key, each.Value.AsInterface()))
			}
			if got := strings.Join(list, " "); got != row.want {
				t.Errorf("the attributes are %s, want %s", got, row.want)
			}
		})
	}
}
