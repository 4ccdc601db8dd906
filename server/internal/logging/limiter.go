package logging

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// In each window, at most maxWarnings records of a category of warnings are logged,
	// and at most maxErrors of a category of errors. Errors have the higher limit because
	// they report problems in the operator's own files, one record per invalid line.
	window      = 10 * time.Second
	maxWarnings = 10
	maxErrors   = 100

	// maxCategories is the number of categories that are limited separately.
	maxCategories = 256

	// maxMessagePrefix is the maximum length of category.messagePrefix in bytes.
	maxMessagePrefix = 64
)

// limiter limits the rate at which similar warnings and errors are logged. At the end of
// a window with suppressed records, it reports their number and the last message.
type limiter struct {
	report func(at time.Time, level slog.Level, message string, suppressed int)

	mu      sync.Mutex
	windows map[category]*windowCounts // guarded by mu
}

// category identifies similar records.
type category struct {
	level         slog.Level
	messagePrefix string // the message up to its first variable part
	upstream      string
}

// windowCounts holds the records of a category in the current window.
type windowCounts struct {
	start       time.Time
	logged      int
	suppressed  int
	lastMessage string      // of the suppressed records
	timer       *time.Timer // nil while nothing is suppressed
}

// allows reports whether a record should be logged.
func (l *limiter) allows(record slog.Record) bool {
	limit := maxWarnings
	switch {
	case record.Level < slog.LevelWarn:
		return true
	case record.Level >= slog.LevelError:
		limit = maxErrors
	}
	c := categoryOf(record)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.windows[c]
	if w == nil && len(l.windows) >= maxCategories {
		l.removeExpired(now)
		if len(l.windows) >= maxCategories {
			c = category{level: record.Level} // shared by all further categories
			w = l.windows[c]
		}
	}
	if w == nil {
		if l.windows == nil {
			l.windows = make(map[category]*windowCounts)
		}
		w = &windowCounts{start: now}
		l.windows[c] = w
	}
	if w.timer == nil && now.Sub(w.start) >= window {
		w.start, w.logged = now, 0
	}
	if w.logged < limit {
		w.logged++
		return true
	}
	w.suppressed++
	w.lastMessage = strings.Clone(record.Message[:min(len(record.Message), maxInput)])
	if w.timer == nil {
		w.timer = time.AfterFunc(window-now.Sub(w.start), func() { l.end(c, w) })
	}
	return false
}

// removeExpired removes the categories whose window has ended. The caller holds mu.
func (l *limiter) removeExpired(now time.Time) {
	for c, w := range l.windows {
		if w.timer == nil && now.Sub(w.start) >= window {
			delete(l.windows, c)
		}
	}
}

// end ends the window of a category and reports the suppressed records.
func (l *limiter) end(c category, w *windowCounts) {
	l.mu.Lock()
	suppressed, lastMessage := w.suppressed, w.lastMessage
	w.suppressed, w.lastMessage, w.logged, w.start = 0, "", 0, time.Now()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
	l.mu.Unlock()
	if suppressed > 0 {
		l.report(time.Now(), c.level, lastMessage, suppressed)
	}
}

// flush ends all windows with suppressed records.
func (l *limiter) flush() {
	l.mu.Lock()
	pending := make(map[category]*windowCounts)
	for c, w := range l.windows {
		if w.suppressed > 0 {
			pending[c] = w
		}
	}
	l.mu.Unlock()
	for c, w := range pending {
		l.end(c, w)
	}
}

// categoryOf returns the category of a record. Its message prefix ends before the first
// digit, quotation mark, bracket or slash, because messages of net/http contain addresses
// and other values.
func categoryOf(record slog.Record) category {
	prefix := record.Message
	start := min(len(prefix), len("http2"))
	if i := strings.IndexAny(prefix[start:], "0123456789[(\"'/"); i >= 0 {
		prefix = prefix[:start+i]
	}
	c := category{level: record.Level, messagePrefix: strings.Clone(prefix[:min(len(prefix), maxMessagePrefix)])}
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "upstream" && attr.Value.Kind() == slog.KindString {
			c.upstream = attr.Value.String()
			return false
		}
		return true
	})
	return c
}
