package logging

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// window is the time in which a warning may be repeated burst times. An error
	// may be more often: it is of the operator's own files, of which each line that
	// is wrong has one.
	window     = 10 * time.Second
	burst      = 10
	errorBurst = 100

	// maxKinds bounds the kinds of warnings that are told apart.
	maxKinds = 256

	// maxKind is how much of a message tells kinds apart.
	maxKind = 64
)

// limiter bounds how often a kind of warning is logged. When a window is over in
// which some were left out, it reports how many, with the last one's message.
type limiter struct {
	report func(at time.Time, level slog.Level, message string, suppressed int)

	mu    sync.Mutex
	kinds map[kind]*repeated // guarded by mu
}

// kind is what warnings have in common.
type kind struct {
	level    slog.Level
	message  string // up to what differs
	upstream string
}

// repeated is how often a kind of warning came in a window.
type repeated struct {
	began      time.Time
	passed     int
	suppressed int
	last       string      // message
	timer      *time.Timer // nil while nothing is suppressed
}

// allows reports whether a record is to be logged.
func (l *limiter) allows(record slog.Record) bool {
	most := burst
	switch {
	case record.Level < slog.LevelWarn:
		return true
	case record.Level >= slog.LevelError:
		most = errorBurst
	}
	k := kindOf(record)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.kinds[k]
	if r == nil && len(l.kinds) >= maxKinds {
		l.forget(now)
		if len(l.kinds) >= maxKinds {
			k = kind{level: record.Level} // as all that are too many
			r = l.kinds[k]
		}
	}
	if r == nil {
		if l.kinds == nil {
			l.kinds = make(map[kind]*repeated)
		}
		r = &repeated{began: now}
		l.kinds[k] = r
	}
	if r.timer == nil && now.Sub(r.began) >= window {
		r.began, r.passed = now, 0
	}
	if r.passed < most {
		r.passed++
		return true
	}
	r.suppressed++
	r.last = strings.Clone(record.Message[:min(len(record.Message), maxSeen)])
	if r.timer == nil {
		r.timer = time.AfterFunc(window-now.Sub(r.began), func() { l.end(k, r) })
	}
	return false
}

// forget drops the kinds whose window is over. The caller holds mu.
func (l *limiter) forget(now time.Time) {
	for k, r := range l.kinds {
		if r.timer == nil && now.Sub(r.began) >= window {
			delete(l.kinds, k)
		}
	}
}

// end ends the window of a kind, and reports what was left out in it.
func (l *limiter) end(k kind, r *repeated) {
	l.mu.Lock()
	suppressed, last := r.suppressed, r.last
	r.suppressed, r.last, r.passed, r.began = 0, "", 0, time.Now()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	l.mu.Unlock()
	if suppressed > 0 {
		l.report(time.Now(), k.level, last, suppressed)
	}
}

// flush ends all windows.
func (l *limiter) flush() {
	l.mu.Lock()
	pending := make(map[kind]*repeated)
	for k, r := range l.kinds {
		if r.suppressed > 0 {
			pending[k] = r
		}
	}
	l.mu.Unlock()
	for k, r := range pending {
		l.end(k, r)
	}
}

// kindOf tells kinds of warnings apart by the message and the upstream. The messages
// of net/http have addresses and other values in them.
func kindOf(record slog.Record) kind {
	k := kind{level: record.Level, message: record.Message}
	begin := min(len(k.message), len("http2"))
	if i := strings.IndexAny(k.message[begin:], "0123456789[(\"'/"); i >= 0 {
		k.message = k.message[:begin+i]
	}
	k.message = strings.Clone(k.message[:min(len(k.message), maxKind)])
	record.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "upstream" && attr.Value.Kind() == slog.KindString {
			k.upstream = attr.Value.String()
			return false
		}
		return true
	})
	return k
}
