package main

import (
	"context"
	"log/slog"
)

// reservedFiles are the file descriptors that neither a client's connection nor one
// to the upstream takes: listeners, logs, watched files, Redis, operators.
const reservedFiles = 128

// fitFiles bounds connections and calls where the process may have too few file
// descriptors for what the flags allow. Each call may take a connection to the
// upstream: without room for that, calls that were let in would fail. It warns where
// that room would be less than half of what connections take.
func (c *serverFlags) fitFiles(ctx context.Context, logger *slog.Logger) {
	files, known := maxFiles()
	if !known {
		return
	}
	connections, calls := fit(files, c.Limits.MaxConnections, c.Limits.MaxCalls)
	level := slog.LevelDebug
	if connections < c.Limits.MaxConnections {
		level = slog.LevelWarn
	}
	if connections < c.Limits.MaxConnections || calls < c.Limits.MaxCalls {
		logger.Log(ctx, level, "the limit of file descriptors is too low for --max-connections and --max-calls, which are lowered: raise it, as with ulimit -n or LimitNOFILE",
			"file_descriptors", files, "max_connections", connections, "max_calls", calls)
	}
	c.Limits.MaxConnections, c.Limits.MaxCalls = connections, calls
}

// fit returns how many connections of clients, and how many calls, there is room for.
// Where that is less than one and a half times the connections, both sides get half,
// and what the other side leaves.
func fit(files uint64, maxConnections, maxCalls int) (connections, calls int) {
	if files >= reservedFiles+uint64(maxConnections)+uint64(maxCalls) {
		return maxConnections, maxCalls
	}
	room := int(files) - min(reservedFiles, int(files)/2)
	connections = maxConnections
	if room < maxConnections+maxConnections/2 {
		connections = min(maxConnections, max(room/2, room-maxCalls))
	}
	calls = min(maxCalls, room-connections)
	return max(connections, 1), max(calls, 1)
}
