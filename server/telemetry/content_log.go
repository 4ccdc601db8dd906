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
	// MaxContent is the maximum size of a logged body in bytes. See [Config.Contents].
	MaxContent = 8 << 10
	// captureSlack is the size of what is buffered in addition, to redact a key at the end
	// as a whole.
	captureSlack = 8 << 10
)

// logRequestBody logs the body of a request after it was read.
func (o *Observer) logRequestBody(ctx context.Context, req *upstream.Request) {
	path, _, _ := strings.Cut(req.Target, "?")
	seen := o.newCapture(ctx, "request body", req.Header,
		slog.String("method", req.Method), slog.String("path", o.redactor.redact(path)))
	switch content := req.Body.(type) {
	case nil:
	case *bytes.Reader: // stays what it is, as it can be sent again
		again := *content
		_, _ = io.Copy(seen, &again)
		seen.end()
	default:
		req.Body = &capturedRequestBody{Reader: content, capture: seen}
		seen.record.OnEnd(seen.end)
	}
}

// logResponseBody logs the body of a response after it was read.
func (o *Observer) logResponseBody(ctx context.Context, resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return
	}
	seen := o.newCapture(ctx, "response body", resp.Header, slog.Int("status", resp.StatusCode))
	resp.Body = &capturedResponseBody{ReadCloser: resp.Body, capture: seen}
	seen.record.OnEnd(seen.end)
}

// capture buffers the beginning of a body and logs it at its end.
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
	room := MaxContent + captureSlack - len(c.begin)
	c.begin = append(c.begin, p[:min(len(p), room)]...)
	return len(p), nil
}

// end logs the buffered part. Only the first call has an effect.
func (c *capture) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	o := c.observer
	line := append([]slog.Attr{slog.String("id", o.redactor.redact(c.record.ID))}, c.line...)
	line = append(line, slog.Int("bytes", c.total))
	if c.encoding != "" && c.encoding != "identity" {
		line = append(line, slog.String("encoding", c.encoding)) // not text
	} else {
		line = append(line, slog.String("content", c.text()))
	}
	o.contents.LogAttrs(c.ctx, slog.LevelInfo, c.message, line...)
}

// text returns the buffered part, redacted.
func (c *capture) text() string {
	text := c.observer.redactor.redact(strings.ToValidUTF8(string(c.begin), string(utf8.RuneError)), c.keys...)
	if len(text) > MaxContent {
		text = strings.ToValidUTF8(text[:MaxContent], "") + "…"
	}
	return text
}

// capturedRequestBody captures the body of a request.
type capturedRequestBody struct {
	io.Reader

	capture *capture
}

// Read implements [io.Reader].
func (b *capturedRequestBody) Read(p []byte) (int, error) { return b.capture.read(b.Reader, p) }

// Close implements [io.Closer].
func (b *capturedRequestBody) Close() error {
	b.capture.end()
	if closer, ok := b.Reader.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// capturedResponseBody captures the body of a response.
type capturedResponseBody struct {
	io.ReadCloser

	capture *capture
}

// Read implements [io.Reader].
func (b *capturedResponseBody) Read(p []byte) (int, error) { return b.capture.read(b.ReadCloser, p) }

// Wait implements [httpx.Waiter].
func (b *capturedResponseBody) Wait() { httpx.Wait(b.ReadCloser) }

// Close implements [io.Closer].
func (b *capturedResponseBody) Close() error {
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
