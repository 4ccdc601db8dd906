package certificates

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns a logger for certmagic that writes to the server's. It has
// much to tell that is of interest only when something is amiss, so nothing but
// its warnings and errors are that here.
func newLogger(logger *slog.Logger) *zap.Logger {
	return zap.New(&core{logger: logger})
}

// core is a zapcore.Core on top of a slog.Logger.
type core struct {
	logger *slog.Logger
	fields []zapcore.Field
}

// Enabled leaves out what is written at each handshake.
func (c *core) Enabled(level zapcore.Level) bool { return level >= zapcore.InfoLevel }

// With returns a core that adds fields to each entry.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.logger, slices.Concat(c.fields, fields)}
}

// Check is called before each entry.
func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.logger.Enabled(context.Background(), level(entry)) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write writes an entry.
func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	var attributes []slog.Attr
	for _, field := range slices.Concat(c.fields, fields) {
		field.AddTo(values)
	}
	for name, value := range values.Fields {
		attributes = append(attributes, slog.Any(name, value))
	}
	slices.SortFunc(attributes, func(a, b slog.Attr) int { return strings.Compare(a.Key, b.Key) })
	c.logger.LogAttrs(context.Background(), level(entry), "certificates: "+entry.Message, attributes...)
	return nil
}

// Sync has nothing to do.
func (c *core) Sync() error { return nil }

// level is the level of an entry on the server's log. What the steps of an order
// complain of is in the error that the order ends with, and told with that.
func level(entry zapcore.Entry) slog.Level {
	step := strings.HasSuffix(entry.LoggerName, "obtain") || strings.HasSuffix(entry.LoggerName, "renew") || strings.HasSuffix(entry.LoggerName, "acme_client")
	switch {
	case step || entry.Level < zapcore.WarnLevel:
		return slog.LevelDebug
	case entry.Level == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}
