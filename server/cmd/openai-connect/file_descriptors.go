package main

import (
	"context"
	"log/slog"
)

// reservedFiles is the number of file descriptors for all but connections to clients
// and upstreams: listeners, logs, watched files, Redis and --admin.
const reservedFiles = 128

// fitFileLimit lowers --max-connections and --max-calls if the process may have too few
// file descriptors for them. Each request may take a connection to the upstream, and
// admitted requests must not fail for lack of one. It logs a warning if it lowers
// --max-connections.
func (c *serverFlags) fitFileLimit(ctx context.Context, logger *slog.Logger) {
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
		logger.Log(ctx, level, "lowered --max-connections and --max-calls to fit the limit of file descriptors: raise the limit with ulimit -n or LimitNOFILE",
			"file_descriptors", files, "max_connections", connections, "max_calls", calls)
	}
	c.Limits.MaxConnections, c.Limits.MaxCalls = connections, calls
}

// fit returns the number of client connections and of requests for which there are
// file descriptors. If those are fewer than one and a half times the connections, each
// side gets half, and what the other side leaves.
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
