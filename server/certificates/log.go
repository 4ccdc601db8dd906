package certificates

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns a logger for certmagic that writes to the server's log. Messages
// below the level of a warning are written at the debug level.
func newLogger(logger *slog.Logger) *zap.Logger {
	return zap.New(&slogCore{logger: logger})
}

// slogCore is a [zapcore.Core] on top of a [slog.Logger].
type slogCore struct {
	logger *slog.Logger
	fields []zapcore.Field
}

// Enabled implements [zapcore.Core]. It omits debug messages, which certmagic writes for
// each handshake.
func (c *slogCore) Enabled(level zapcore.Level) bool { return level >= zapcore.InfoLevel }

// With implements [zapcore.Core].
func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{c.logger, slices.Concat(c.fields, fields)}
}

// Check implements [zapcore.Core].
func (c *slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.logger.Enabled(context.Background(), level(entry)) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements [zapcore.Core].
func (c *slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
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

// Sync implements [zapcore.Core].
func (c *slogCore) Sync() error { return nil }

// level returns the level of an entry in the server's log. Errors of the steps of an
// order have the debug level, because the error of the order includes them.
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
