package main

import (
	"context"
	"log/slog"
)

// reservedFiles is the number of file descriptors that are reserved for everything except
// connections to clients and upstreams, such as listeners, logs, watched files, Redis and
// --admin.
const reservedFiles = 128

// applyFileLimit lowers --max-connections and --max-calls if the process could run out of
// file descriptors. Each admitted request may need its own connection to the upstream. It
// logs a warning if it lowers --max-connections.
func (c *serverFlags) applyFileLimit(ctx context.Context, logger *slog.Logger) {
	files, ok := maxFiles()
	if !ok {
		return
	}
	connections, calls := divideFiles(files, c.Limits.MaxConnections, c.Limits.MaxCalls)
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

// divideFiles returns the number of client connections and of calls for which there are
// enough file descriptors. If maxConnections and half as many calls do not fit, connections
// and calls get half of the file descriptors each. Either gets more if the other needs less
// than half.
func divideFiles(files uint64, maxConnections, maxCalls int) (connections, calls int) {
	if files >= reservedFiles+uint64(maxConnections)+uint64(maxCalls) {
		return maxConnections, maxCalls
	}
	available := int(files) - min(reservedFiles, int(files)/2)
	connections = maxConnections
	if available < maxConnections+maxConnections/2 {
		connections = min(maxConnections, max(available/2, available-maxCalls))
	}
	calls = min(maxCalls, available-connections)
	return max(connections, 1), max(calls, 1)
}
