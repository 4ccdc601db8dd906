package main_test

import "testing"

func TestFlags_RejectsLimitsOutOfRange(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		settings  []string
		arguments []string
		says      []string
	}{
		{"a negative stall timeout", nil, []string{"--client-stall-timeout=-2m"}, []string{"--client-stall-timeout: ", "-2m"}},
		{"an idle timeout that is too short", nil, []string{"--client-idle-timeout", "10ms"}, []string{"--client-idle-timeout: ", "10ms"}},
		{"no connection", nil, []string{"--max-connections", "0"}, []string{"--max-connections: ", "0"}},
		{"too many connections", nil, []string{"--max-connections", "99999999"}, []string{"--max-connections: ", "99999999"}},
		{"no connection, in the variable", []string{"OPENAI_CONNECT_MAX_CONNECTIONS=-1"}, nil, []string{"--max-connections: ", "-1"}},
		{"no call", nil, []string{"--max-calls", "0"}, []string{"--max-calls: ", "0"}},
		{"too many calls", nil, []string{"--max-calls", "99999999"}, []string{"--max-calls: ", "99999999"}},
		{"a negative queue", nil, []string{"--max-queue=-1"}, []string{"--max-queue: ", "-1"}},
		{"no call, in the variable", []string{"OPENAI_CONNECT_MAX_CALLS=-1"}, nil, []string{"--max-calls: ", "-1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkRejected(t, end(t, row.settings, row.arguments...), row.says)
		})
	}
}
