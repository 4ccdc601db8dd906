package main_test

import "testing"

func TestABoundOfCallsThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		settings  []string
		arguments []string
		says      []string
	}{
		{"no call", nil, []string{"--max-calls", "0"}, []string{"--max-calls: ", "0"}},
		{"more calls than can be", nil, []string{"--max-calls", "99999999"}, []string{"--max-calls: ", "99999999"}},
		{"a negative queue", nil, []string{"--max-queue=-1"}, []string{"--max-queue: ", "-1"}},
		{"no call, by the environment", []string{"OPENAI_CONNECT_MAX_CALLS=-1"}, nil, []string{"--max-calls: ", "-1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkRefused(t, end(t, row.settings, row.arguments...), row.says)
		})
	}
}
