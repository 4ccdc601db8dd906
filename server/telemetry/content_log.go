package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

const (
	// MaxContent bounds how much of a body [Config.Contents] is told, in bytes.
	MaxContent = 8 << 10
	// behindContent is what is kept beyond that, so that a key is seen whole which
	// stands at the end.
	behindContent = 8 << 10
)

// logRequest logs the body of a request when it has been read.
func (o *Observer) logRequestBody(ctx context.Context, req *upstream.Request) {
	path, _, _ := strings.Cut(req.Target, "?")
	seen := o.newCapture(ctx, "request body", req.Header,
		slog.String("method", req.Method), slog.String("path", o.redact.text(path)))
	switch content := req.Body.(type) {
	case nil:
	case *bytes.Reader: // stays what it is, as it can be sent again
		again := *content
		_, _ = io.Copy(seen, &again)
		seen.end()
	default:
		req.Body = &seenRequest{Reader: content, capture: seen}
		seen.record.OnEnd(seen.end)
	}
}

// logAnswer logs the body of an answer when it has been read.
func (o *Observer) logResponseBody(ctx context.Context, resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	seen := o.newCapture(ctx, "response body", resp.Header, slog.Int("status", resp.StatusCode))
	resp.Body = &seenAnswer{ReadCloser: resp.Body, capture: seen}
	seen.record.OnEnd(seen.end)
}

// capture keeps the beginning of a body, and logs it in the end.
type capture struct {
	observer *Observer
	ctx      context.Context //nolint:containedctx // of the log line
	record   *request.Record
	message  string
	encoding string   // the Content-Encoding
	keys     []string // that were sent with it
	line     []slog.Attr

	mu    sync.Mutex
	begin []byte // guarded by mu
	total int    // guarded by mu
	ended bool   // guarded by mu
}

func (o *Observer) newCapture(ctx context.Context, message string, header http.Header, line ...slog.Attr) *capture {
	c := &capture{observer: o, ctx: context.WithoutCancel(ctx), record: request.FromContext(ctx), message: message, encoding: header.Get("Content-Encoding"), line: line}
	for _, name := range [...]string{"Authorization", "Api-Key", "X-Api-Key"} {
		for _, value := range header[name] {
			c.keys = append(c.keys, value[strings.LastIndexByte(value, ' ')+1:]) // behind "Bearer"
		}
	}
	return c
}

// Write implements [io.Writer].
func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += len(p)
	room := MaxContent + behindContent - len(c.begin)
	c.begin = append(c.begin, p[:min(len(p), room)]...)
	return len(p), nil
}

// end logs what was kept. Only the first call does.
func (c *capture) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	o := c.observer
	line := append([]slog.Attr{slog.String("id", o.redact.text(c.record.ID))}, c.line...)
	line = append(line, slog.Int("bytes", c.total))
	if c.encoding != "" && c.encoding != "identity" {
		line = append(line, slog.String("encoding", c.encoding)) // a text no more
	} else {
		line = append(line, slog.String("content", c.text()))
	}
	o.contents.LogAttrs(c.ctx, slog.LevelInfo, c.message, line...)
}

// text is what was kept, as it may be logged.
func (c *capture) text() string {
	text := c.observer.redact.text(strings.ToValidUTF8(string(c.begin), string(utf8.RuneError)), c.keys...)
	if len(text) > MaxContent {
		text = strings.ToValidUTF8(text[:MaxContent], "") + "…"
	}
	return text
}

// seenRequest is the body of a request.
type seenRequest struct {
	io.Reader

	capture *capture
}

// Read implements [io.Reader].
func (b *seenRequest) Read(p []byte) (int, error) { return b.capture.read(b.Reader, p) }

// Close implements [io.Closer].
func (b *seenRequest) Close() error {
	b.capture.end()
	if closer, ok := b.Reader.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// seenAnswer is the body of an answer.
type seenAnswer struct {
	io.ReadCloser

	capture *capture
}

// Read implements [io.Reader].
func (b *seenAnswer) Read(p []byte) (int, error) { return b.capture.read(b.ReadCloser, p) }

// Wait returns when Read has something to tell, if the body beneath knows that.
func (b *seenAnswer) Wait() { httpx.Wait(b.ReadCloser) }

// Close implements [io.Closer].
func (b *seenAnswer) Close() error {
	b.capture.end()
	return b.ReadCloser.Close()
}

func (c *capture) read(from io.Reader, p []byte) (int, error) {
	n, err := from.Read(p)
	_, _ = c.Write(p[:n])
	if errors.Is(err, io.EOF) {
		c.end()
	}
	return n, err
}
