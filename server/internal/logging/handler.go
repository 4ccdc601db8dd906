// Package logging provides a [slog.Handler] that limits the length of lines and the rate
// of repeated warnings, and redacts secrets.
//
// Logs contain data from clients and upstreams, such as paths, methods and errors. A key
// that a client has put into a path by mistake must not appear in a log, and an untrusted
// peer must not be able to fill the disk.
package logging

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MaxLine is the maximum length of a line in bytes, including the newline.
const MaxLine = 8 << 10

// Options holds the options of a [Handler].
type Options struct {
	// Level is the minimum level. If it is nil, every record is logged.
	Level slog.Leveler

	// JSON selects the format of [slog.JSONHandler] instead of [slog.TextHandler].
	JSON bool
}

// Handler is a [slog.Handler] that writes lines of bounded length. It applies the function
// set with Redact to all strings. It suppresses warnings that are repeated often, and logs
// the number of suppressed records.
type Handler struct {
	*output

	scopes []scope // from the outermost to the innermost
}

// scope is the result of one call of [Handler.WithGroup] or [Handler.WithAttrs].
type scope struct {
	group string // empty for WithAttrs
	attrs []slog.Attr
}

// output is the state shared by a handler and the handlers derived from it.
type output struct {
	options Options
	redact  atomic.Pointer[func(string) string]
	limiter limiter
	lines   sync.Pool // of *line

	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// line formats a line in a buffer.
type line struct {
	bytes.Buffer

	handler slog.Handler // writes to the buffer
}

// New returns a handler that writes each line with a single call of w.Write.
func New(w io.Writer, options Options) *Handler {
	o := &output{options: options, w: w}
	o.limiter.report = o.writeSuppressed
	o.lines.New = func() any {
		l := new(line)
		// Enabled checks the level, so this handler must accept every level.
		if lineOptions := (&slog.HandlerOptions{Level: slog.Level(-1 << 20)}); options.JSON {
			l.handler = slog.NewJSONHandler(&l.Buffer, lineOptions)
		} else {
			l.handler = slog.NewTextHandler(&l.Buffer, lineOptions)
		}
		return l
	}
	return &Handler{output: o}
}

// Redact sets the function that removes secrets from a string. It applies to the handler
// and all handlers derived from the same one. The function must be safe for concurrent
// use.
func (o *output) Redact(redact func(string) string) { o.redact.Store(&redact) }

// Flush logs the numbers of suppressed records at once instead of at the end of a window.
func (o *output) Flush() { o.limiter.flush() }

// Enabled implements [slog.Handler].
func (o *output) Enabled(_ context.Context, level slog.Level) bool {
	return o.options.Level == nil || level >= o.options.Level.Level()
}

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	return h.with(scope{attrs: attrs})
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(scope{group: name})
}

func (h *Handler) with(s scope) *Handler {
	return &Handler{output: h.output, scopes: append(slices.Clip(h.scopes), s)}
}

// Handle implements [slog.Handler].
func (h *Handler) Handle(_ context.Context, record slog.Record) error {
	if !h.limiter.allows(record) {
		return nil
	}
	attrs := make([]slog.Attr, 0, record.NumAttrs()+len(h.scopes))
	record.Attrs(func(attr slog.Attr) bool {
		attrs = append(attrs, attr)
		return true
	})
	for _, s := range slices.Backward(h.scopes) {
		if s.group != "" {
			attrs = []slog.Attr{{Key: s.group, Value: slog.GroupValue(attrs...)}}
		} else {
			attrs = append(slices.Clip(s.attrs), attrs...)
		}
	}
	clean := h.cleaner()
	return h.emit(entry{record.Time, record.Level, clean.text(record.Message), clean.attrs(attrs, 0)})
}

// writeSuppressed writes the number of suppressed records, which is not itself limited.
func (o *output) writeSuppressed(at time.Time, level slog.Level, message string, suppressed int) {
	// The error is ignored, as package log does: there is nowhere else to report it.
	_ = o.emit(entry{at, level, o.cleaner().text(message), []slog.Attr{slog.Int("suppressed", suppressed)}})
}

// entry is a redacted record.
type entry struct {
	time    time.Time
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// emit writes an entry as one line of at most MaxLine bytes.
func (o *output) emit(e entry) error {
	l := o.lines.Get().(*line)
	defer o.lines.Put(l)
	if err := l.fill(e); err != nil {
		return err
	}
	for limit := MaxLine / 4 * 3; l.Len() > MaxLine; limit = limit / 4 * 3 {
		if limit < minLength {
			// The line is too long because of the number of attributes.
			e.attrs = e.attrs[:len(e.attrs)/2]
			limit = minLength
		}
		if err := l.fill(e.shortened(limit)); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.w.Write(l.Bytes())
	return err
}

func (l *line) fill(e entry) error {
	l.Reset()
	record := slog.NewRecord(e.time, e.level, e.message, 0)
	record.AddAttrs(e.attrs...)
	return l.handler.Handle(context.Background(), record)
}

// NewLog returns a [log.Logger] that logs to handler at level warn. It is for packages
// that don't accept a [slog.Logger], such as net/http.
func NewLog(handler slog.Handler) *log.Logger {
	return log.New(&warningWriter{slog.New(handler)}, "", 0)
}

// warningWriter logs each Write as a warning.
type warningWriter struct{ logger *slog.Logger }

// Write implements [io.Writer].
func (w *warningWriter) Write(p []byte) (int, error) {
	w.logger.Warn(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
