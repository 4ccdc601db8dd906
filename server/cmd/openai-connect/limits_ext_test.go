package main_test

import "testing"

func TestALimitThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		settings  []string
		arguments []string
		says      []string
	}{
		{"no time for a header", nil, []string{"--client-header-timeout", "0s"}, []string{"--client-header-timeout: ", "0s"}},
		{"a time to stall that is negative", nil, []string{"--client-stall-timeout=-2m"}, []string{"--client-stall-timeout: ", "-2m"}},
		{"less idle time than a client needs", nil, []string{"--client-idle-timeout", "10ms"}, []string{"--client-idle-timeout: ", "10ms"}},
		{"a header of a few bytes", nil, []string{"--max-header-bytes", "100"}, []string{"--max-header-bytes: ", "100", "4096"}},
		{"a header of any size", nil, []string{"--max-header-bytes", "1000000000"}, []string{"--max-header-bytes: ", "16777216"}},
		{"no connection", nil, []string{"--max-connections", "0"}, []string{"--max-connections: ", "0"}},
		{"no stream", nil, []string{"--max-streams", "0"}, []string{"--max-streams: ", "0"}},
		{"more streams than HTTP/2 can tell", nil, []string{"--max-streams", "99999999"}, []string{"--max-streams: ", "99999999"}},
		{"no connection, by the environment", []string{"OPENAI_CONNECT_MAX_CONNECTIONS=-1"}, nil, []string{"--max-connections: ", "-1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			checkRefused(t, end(t, row.settings, row.arguments...), row.says)
		})
	}
}
