package logging_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/openai-connect/openai-connect/server/internal/logging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// buffer is a buffer that is safe for concurrent use.
type buffer struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes++
	return b.text.Write(p)
}

func (b *buffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(b.text.Bytes()))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines
}

// formats returns a constructor of a handler for each format.
func formats(level slog.Level) map[string]func(io.Writer) *logging.Handler {
	return map[string]func(io.Writer) *logging.Handler{
		"text": func(w io.Writer) *logging.Handler { return logging.New(w, logging.Options{Level: level}) },
		"json": func(w io.Writer) *logging.Handler {
			return logging.New(w, logging.Options{Level: level, JSON: true})
		},
	}
}

func TestHandler_WritesWhatSlogWrites(t *testing.T) {
	t.Parallel()
	for name, format := range formats(slog.LevelInfo) {
		var got, want bytes.Buffer
		ours := slog.New(format(&got))
		options := &slog.HandlerOptions{Level: slog.LevelInfo}
		theirs := slog.New(slog.NewTextHandler(&want, options))
		if name == "json" {
			theirs = slog.New(slog.NewJSONHandler(&want, options))
		}
		for _, logger := range []*slog.Logger{ours, theirs} {
			logger.Debug("below the level")
			logger.Info("plain")
			logger.Info("with values", "text", "a b", "number", 5, "time", time.Second, "error", errors.New("it broke"), "list", []string{"a", "b"}, "none", nil, "yes", true)
			logger.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").Info("groups", "c", 3, slog.Group("i", "d", 4))
			logger.WithGroup("empty").Info("an empty group")
			logger.Info("odd", "\"quoted\"", "a\nb\x00\xff=", "é", "→")
		}
		clock := func(text string) []string {
			var lines []string
			for line := range strings.Lines(text) {
				_, line, _ = strings.Cut(line, "level")
				lines = append(lines, line)
			}
			return lines
		}
		if a, b := clock(got.String()), clock(want.String()); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s: got\n%s, want\n%s", name, a, b)
		}
	}
}

type panicking struct{}

func (*panicking) Error() string { panic("no") }

func TestHandler_BoundsEachLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é\"\x01<", 4000)
	many := make([]any, 0, 4000)
	for i := range 2000 {
		many = append(many, fmt.Sprint("key", i), i)
	}
	deep := slog.Any("leaf", long)
	for range 50 {
		deep = slog.Group("g", deep)
	}
	names := make([]string, 5000)
	for i := range names {
		names[i] = fmt.Sprint("name", i)
	}
	for name, format := range formats(slog.LevelDebug) {
		for what, write := range map[string]func(*slog.Logger){
			"a value":                 func(l *slog.Logger) { l.Info("m", "a", long) },
			"many values":             func(l *slog.Logger) { l.Info("m", many...) },
			"many long values":        func(l *slog.Logger) { l.Info("m", "a", long, "b", long, "c", long, "d", long, "e", long) },
			"an error":                func(l *slog.Logger) { l.Error("m", "error", errors.New(long)) },
			"a panicking error":       func(l *slog.Logger) { l.Error("m", "error", (*panicking)(nil)) },
			"a message":               func(l *slog.Logger) { l.Info(long) },
			"a large message":         func(l *slog.Logger) { l.Info(strings.Repeat(long, 100)) },
			"a list":                  func(l *slog.Logger) { l.Info("m", "names", names) },
			"a map":                   func(l *slog.Logger) { l.Info("m", "map", map[string]string{"a": long, long: "b"}) },
			"bytes":                   func(l *slog.Logger) { l.Info("m", "bytes", []byte(long)) },
			"a group":                 func(l *slog.Logger) { l.WithGroup("g").Info("m", many...) },
			"deep groups":             func(l *slog.Logger) { l.LogAttrs(t.Context(), slog.LevelInfo, "m", deep) },
			"values of a logger":      func(l *slog.Logger) { l.With("a", long, "b", long).Info("m") },
			"a long name":             func(l *slog.Logger) { l.Info("m", long, 1) },
			"a long group":            func(l *slog.Logger) { l.WithGroup(long).Info("m", "a", 1) },
			"only control characters": func(l *slog.Logger) { l.Info("m", "a", strings.Repeat("\x00", 100_000)) },
			"invalid UTF-8":           func(l *slog.Logger) { l.Info("m", "a", strings.Repeat("\xff", 100_000)) },
			"package log":             func(l *slog.Logger) { logging.NewLog(l.Handler()).Print(long + "\n" + long) },
			"a panic of a handler": func(l *slog.Logger) {
				logging.NewLog(l.Handler()).Printf("http: panic serving 127.0.0.1:1: %v\n%s", "x", strings.Repeat("goroutine 1\n", 5000))
			},
		} {
			got := new(buffer)
			write(slog.New(format(got)))
			text := got.text.String()
			if len(text) == 0 || len(text) > logging.MaxLine || strings.Count(text, "\n") != 1 || text[len(text)-1] != '\n' || !utf8.ValidString(text) || got.writes != 1 {
				t.Errorf("%s, %s: %d bytes in %d writes: %.200q", name, what, len(text), got.writes, text)
			}
			if name == "json" && !json.Valid([]byte(text)) {
				t.Errorf("%s: invalid JSON: %.300q", what, text)
			}
			if !strings.Contains(text, "level") || !strings.Contains(text, "msg") {
				t.Errorf("%s, %s: %.200q", name, what, text)
			}
		}
	}
}

func TestHandler_RedactsEveryString(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse"
	for name, format := range formats(slog.LevelDebug) {
		got := new(buffer)
		handler := format(got)
		logger := slog.New(handler).With("before", "a "+secret)
		handler.Redact(func(text string) string { return strings.ReplaceAll(text, secret, "[redacted]") })
		logger.Info("the message has "+secret, "path", "/v1/"+secret, "error", fmt.Errorf("%s: %w", secret, io.EOF), "list", []string{"x", secret},
			"map", map[string]string{secret: "a"}, "bytes", strings.NewReplacer(), slog.Group("g", "deep", secret), "any", struct{ A any }{secret}, "pointer", &struct{ A string }{"x"})
		logger.WithGroup("g").With("method", secret).Warn("w")
		logger.Info("long", "a", strings.Repeat("x", 9000)+secret, "b", strings.Repeat("x", 8*logging.MaxLine-5)+secret, "c", strings.Repeat(secret, 10_000))
		logging.NewLog(handler).Printf("http: panic serving: %s", secret)
		for _, line := range got.lines() {
			if strings.Contains(line, secret) {
				t.Errorf("%s: %.300q", name, line)
			}
		}
		if lines := got.lines(); len(lines) != 4 || !strings.Contains(lines[0], "[redacted]") {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

func TestHandler_LimitsRepeatedWarnings(t *testing.T) {
	t.Parallel()
	const flood = 5000
	for name, format := range formats(slog.LevelInfo) {
		got := new(buffer)
		handler := format(got)
		logger := slog.New(handler)
		server := logging.NewLog(handler)
		var running sync.WaitGroup
		for worker := range 4 {
			running.Go(func() {
				for i := range flood / 4 {
					server.Printf("http: TLS handshake error from 127.0.0.1:%d: EOF", worker*flood+i)
					server.Printf("http2: server connection error from [::1]:%d: PROTOCOL_ERROR", i)
					logger.Warn("upstream failed", "path", fmt.Sprint("/v1/", i), "error", io.EOF)
					logger.With("upstream", "second").Warn("x", "a", i)
					logger.Warn("an upstream failed", "upstream", strconv.Itoa(i%2), "error", io.EOF)
				}
			})
		}
		running.Wait()
		logger.Warn("something else")
		handler.Flush()
		counts, suppressed := make(map[string]int), make(map[string]int)
		for _, line := range got.lines() {
			for _, message := range []string{"TLS handshake", "http2", "upstream failed", "something else"} {
				if strings.Contains(line, message) {
					counts[message]++
					if _, count, found := strings.Cut(line, "suppressed"); found {
						var n int
						if _, err := fmt.Sscanf(strings.Trim(count, `"=:}`), "%d", &n); err != nil {
							t.Errorf("%s: %q", name, line)
						}
						suppressed[message] += n
					}
				}
			}
		}
		if counts["TLS handshake"] != 11 || suppressed["TLS handshake"] != flood-10 {
			t.Errorf("%s: %d lines about handshakes and %d suppressed records", name, counts["TLS handshake"], suppressed["TLS handshake"])
		}
		if counts["http2"] != 11 || counts["something else"] != 1 {
			t.Errorf("%s: %v", name, counts)
		}
		// One category has no upstream. The other message has a category for each of two upstreams.
		if counts["upstream failed"] != 33 || suppressed["upstream failed"] != 2*flood-30 {
			t.Errorf("%s: %d lines about upstreams and %d suppressed records", name, counts["upstream failed"], suppressed["upstream failed"])
		}
		if got := len(got.lines()); got > 100 {
			t.Errorf("%s: %d lines", name, got)
		}
	}
}

func TestHandler_LimitsNeitherInfoNorFewErrors(t *testing.T) {
	t.Parallel()
	got := new(buffer)
	logger := slog.New(logging.New(got, logging.Options{}))
	for i := range 1000 {
		logger.Info("request", "i", i)
	}
	for i := range 50 {
		logger.Error("failed to reload the clients file, keeping the previous version", "line", i)
	}
	if lines := got.lines(); len(lines) != 1050 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestHandler_LimitsTheNumberOfCategories(t *testing.T) {
	t.Parallel()
	got := new(buffer)
	handler := logging.New(got, logging.Options{})
	logger := slog.New(handler)
	for i := range 20_000 {
		logger.Warn("kind " + strings.Repeat("x", i%50) + strings.Repeat("y", i/50%50))
		logger.Warn("an upstream failed", "upstream", strconv.Itoa(i))
	}
	handler.Flush()
	if lines := len(got.lines()); lines > 6000 {
		t.Errorf("%d lines", lines)
	}
}

// discard is like [io.Discard], but packages that recognize io.Discard do not skip it.
type discard struct{}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkHandler(b *testing.B) {
	for name, handler := range map[string]slog.Handler{
		"logging.Handler":  logging.New(io.Discard, logging.Options{}),
		"slog.TextHandler": slog.NewTextHandler(new(discard), nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			logger := slog.New(handler)
			for b.Loop() {
				logger.LogAttrs(b.Context(), slog.LevelInfo, "request", slog.String("id", "abc"), slog.String("method", "POST"), slog.String("path", "/v1/chat/completions"),
					slog.String("peer", "127.0.0.1"), slog.Int("status", 200), slog.Float64("total_ms", 1.5))
			}
		})
	}
}

func FuzzHandler_WritesOneLineOfBoundedLength(f *testing.F) {
	f.Add("m", "k", "v", 1)
	f.Add(strings.Repeat("\x00", 3000), "k\n", "\xff", 3)
	f.Add("", "", strings.Repeat("é", 5000), 40)
	f.Fuzz(func(t *testing.T, message, name, value string, times int) {
		times = max(0, times%1000)
		attrs := make([]slog.Attr, 0, times)
		for range times {
			attrs = append(attrs, slog.String(name, value))
		}
		for kind, format := range formats(slog.LevelInfo) {
			var got bytes.Buffer
			slog.New(format(&got)).LogAttrs(t.Context(), slog.LevelInfo, message, attrs...)
			text := got.Bytes()
			if len(text) == 0 || len(text) > logging.MaxLine || bytes.Count(text, []byte("\n")) != 1 || text[len(text)-1] != '\n' {
				t.Errorf("%s: %q", kind, text)
			}
			if kind == "json" && !json.Valid(text) {
				t.Errorf("invalid JSON: %q", text)
			}
		}
	})
}
