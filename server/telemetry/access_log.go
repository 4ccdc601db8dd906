package telemetry

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/openai-connect/openai-connect/server/request"
)

// logRequest logs a completed request.
func (o *Observer) logRequest(ctx context.Context, x *observation) {
	if !o.requests.Enabled(ctx, slog.LevelInfo) {
		return
	}
	c := x.record
	progress := c.Progress()
	secrets := o.redactor.snapshot()
	line := make([]slog.Attr, 0, 32)
	text := func(name, value string) {
		if value != "" {
			line = append(line, slog.String(name, value))
		}
	}
	count := func(name string, value int64) {
		if value != 0 {
			line = append(line, slog.Int64(name, value))
		}
	}
	since := func(name string, at time.Time) {
		if !at.IsZero() {
			line = append(line, slog.Float64(name, milliseconds(at.Sub(c.Start))))
		}
	}
	text("id", secrets.redact(c.ID))
	text("trace_id", c.TraceID)
	text("protocol", string(c.Protocol))
	text("method", x.request.Method)
	text("route", x.route)
	text("path", secrets.redact(x.request.URL.EscapedPath()))
	text("client", c.ClientName())
	text("peer", peer(x.request.RemoteAddr))
	text("model", secrets.redact(c.Model))
	if progress.Model != c.Model {
		text("response_model", secrets.redact(progress.Model))
	}
	count("status", int64(c.Status))
	if c.Protocol != request.Raw {
		text("code", c.Code)
	}
	if c.Aborted {
		line = append(line, slog.Bool("aborted", true))
	}
	text("rejected", c.RejectedBy)
	text("upstream", c.Upstream)
	count("upstream_status", int64(c.UpstreamStatus))
	count("attempts", int64(c.Attempts))
	text("upstream_request_id", secrets.redact(c.UpstreamRequestID))
	count("received_bytes", x.received.Load())
	count("sent_bytes", x.sent.Load())
	since("headers_ms", progress.Headers)
	since("first_token_ms", progress.FirstToken)
	since("total_ms", time.Now())
	count("events", int64(progress.Events))
	used := progress.Usage
	count("input_tokens", used.Input)
	count("output_tokens", used.Output)
	count("total_tokens", used.Total)
	count("cached_input_tokens", used.CachedInput)
	count("reasoning_tokens", used.Reasoning)
	if used.Seconds > 0 {
		line = append(line, slog.Float64("audio_seconds", used.Seconds))
	}
	count("characters", used.Characters)
	if used.Estimated {
		line = append(line, slog.Bool("estimated", true))
	}
	o.requests.LogAttrs(ctx, slog.LevelInfo, "request", line...)
}

// peer returns the client's address without its port. Behind an untrusted load balancer it
// is the load balancer's.
func peer(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}

// milliseconds rounds a duration to microseconds.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
