// Package logging bounds what a log has: the length of each line, how often a warning
// is repeated, and what a line may show.
//
// What clients and upstreams send ends up in logs, as paths, methods and errors. A
// key that was put into a path by mistake is not to be in a log, and nobody who is
// not trusted is to fill a disk.
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

// MaxLine is how many bytes a line has at most, its end included.
const MaxLine = 8 << 10

// Options of a [Handler].
type Options struct {
	// Level is the least level that is logged.
	Level slog.Leveler

	// JSON has lines be JSON. Otherwise they are text, as of [slog.TextHandler].
	JSON bool
}

// Handler is a [slog.Handler] that writes lines of bounded length. Of texts it leaves
// out what [Handler.Redact] does. A warning that is repeated often is left out, and a
// line says how many were.
type Handler struct {
	*output

	within []layer
}

// layer is what [Handler.WithGroup] or [Handler.WithAttrs] adds.
type layer struct {
	group string // or else
	attrs []slog.Attr
}

// output is what handlers of one log share.
type output struct {
	options Options
	redact  atomic.Pointer[func(string) string]
	limiter limiter
	lines   sync.Pool // of *line

	mu sync.Mutex // held while a line is written
	to io.Writer
}

// line is a line that is being written.
type line struct {
	bytes.Buffer

	handler slog.Handler // to the buffer
}

// New returns a handler that writes each line to w at once.
func New(w io.Writer, options Options) *Handler {
	o := &output{options: options, to: w}
	o.limiter.report = o.write
	o.lines.New = func() any {
		l := new(line)
		// The level is looked at before.
		if each := (&slog.HandlerOptions{Level: slog.Level(-1 << 20)}); options.JSON {
			l.handler = slog.NewJSONHandler(&l.Buffer, each)
		} else {
			l.handler = slog.NewTextHandler(&l.Buffer, each)
		}
		return l
	}
	return &Handler{output: o}
}

// Redact sets what takes secrets out of a text, for all handlers of the log. It must
// be safe for concurrent use.
func (o *output) Redact(redact func(string) string) { o.redact.Store(&redact) }

// Flush writes how many lines were left out, which is otherwise told a while later.
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
	return h.with(layer{attrs: attrs})
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(layer{group: name})
}

func (h *Handler) with(one layer) *Handler {
	return &Handler{output: h.output, within: append(slices.Clip(h.within), one)}
}

// Handle implements [slog.Handler].
func (h *Handler) Handle(_ context.Context, record slog.Record) error {
	if !h.limiter.allows(record) {
		return nil
	}
	attrs := make([]slog.Attr, 0, record.NumAttrs()+len(h.within))
	record.Attrs(func(attr slog.Attr) bool {
		attrs = append(attrs, attr)
		return true
	})
	for _, one := range slices.Backward(h.within) {
		if one.group != "" {
			attrs = []slog.Attr{{Key: one.group, Value: slog.GroupValue(attrs...)}}
		} else {
			attrs = append(slices.Clip(one.attrs), attrs...)
		}
	}
	clean := h.cleaner()
	return h.emit(entry{record.Time, record.Level, clean.text(record.Message), clean.attrs(attrs, 0)})
}

// write writes a record that is not limited any more.
func (o *output) write(at time.Time, level slog.Level, message string, suppressed int) {
	_ = o.emit(entry{at, level, o.cleaner().text(message), []slog.Attr{slog.Int("suppressed", suppressed)}}) // There is nobody to tell.
}

// entry is a record that is clean.
type entry struct {
	time    time.Time
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// emit writes an entry as a line.
func (o *output) emit(e entry) error {
	l := o.lines.Get().(*line)
	defer o.lines.Put(l)
	if err := l.fill(e); err != nil {
		return err
	}
	for limit := MaxLine / 4 * 3; l.Len() > MaxLine; limit = limit / 4 * 3 {
		if limit < minText {
			// There are too many of them, not too long ones.
			e.attrs = e.attrs[:len(e.attrs)/2]
			limit = minText
		}
		if err := l.fill(e.shortened(limit)); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.to.Write(l.Bytes())
	return err
}

func (l *line) fill(e entry) error {
	l.Reset()
	record := slog.NewRecord(e.time, e.level, e.message, 0)
	record.AddAttrs(e.attrs...)
	return l.handler.Handle(context.Background(), record)
}

// NewLog returns a logger for packages that take only a logger of package log, such
// as net/http. What it is told is logged as warnings.
func NewLog(handler slog.Handler) *log.Logger {
	return log.New(&lineWriter{slog.New(handler)}, "", 0)
}

// lineWriter logs each text that is written as a warning.
type lineWriter struct{ logger *slog.Logger }

// Write implements [io.Writer].
func (w *lineWriter) Write(text []byte) (int, error) {
	w.logger.Warn(strings.TrimRight(string(text), "\n"))
	return len(text), nil
}
