package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// initialBackoff is the longest backoff before the first retry. The shortest is half of it;
// the random choice in between spreads out requests that failed together.
const initialBackoff = 100 * time.Millisecond

// dispatch sends one request to one upstream after another.
type dispatch struct {
	*Failover

	ctx       context.Context //nolint:containedctx // the context passed to Send
	req       *upstream.Request
	body      *body
	hold      *memory.Hold // for the buffered body
	record    *request.Record
	remaining []*target // the upstreams not tried yet
	attempts  int

	lastRejection *http.Response // returned if no other upstream responds; may be nil
	rejectedBy    *target
}

func (f *Failover) newDispatch(ctx context.Context, req *upstream.Request) *dispatch {
	d := &dispatch{Failover: f, ctx: ctx, req: req, record: request.FromContext(ctx)}
	d.hold = f.config.Memory.Hold(d.record.ClientName())
	d.body = newBody(req, d.hold)
	d.remaining = slices.Clone(f.targets[:f.config.Policy.Reachable(d.record.Client)])
	return d
}

// plan describes one attempt.
type plan struct {
	to      *target
	permit  permit
	content io.Reader
	retries int // of this upstream, including this attempt; 0 for the first attempt
}

// run makes attempts until there is a result for the client.
func (d *dispatch) run() (*http.Response, error) {
	content, _ := d.body.next()
	to, permit, _ := d.choose(true)
	now := plan{to: to, permit: permit, content: content}
	for {
		last := d.attempt(now)
		now.permit = d.recordOutcome(now, last)
		next, ok := d.next(now, last)
		if !ok {
			return d.finish(now.to, last)
		}
		d.saveRejection(now.to, last.resp)
		if next.retries > 0 {
			if err := d.backoff(next.retries); err != nil {
				closeBody(next.content)
				return d.finish(now.to, attempt{sent: last.sent, err: err})
			}
		}
		now = next
	}
}

// next returns the plan that follows an attempt, if any.
func (d *dispatch) next(now plan, last attempt) (next plan, ok bool) {
	scope := last.retryScope()
	if scope == retrySame {
		d.remaining = nil
	}
	switch {
	case (scope == retrySame || scope == retryAny) && now.retries < d.config.Retries:
		next = plan{to: now.to, permit: now.permit, retries: now.retries + 1}
	case scope == retryAny || scope == retryOther:
		// If there is a rejection to return, upstreams that are cooling down are left alone.
		next.to, next.permit, ok = d.choose(last.resp == nil && d.lastRejection == nil)
		if !ok {
			return plan{}, false
		}
	default:
		return plan{}, false
	}
	if next.content, ok = d.body.next(); !ok {
		next.to.releaseProbe(next.permit, time.Now())
	}
	return next, ok
}

// choose removes and returns the first remaining upstream that is not cooling down. If all
// are cooling down and disturb is true, it takes the one whose cooldown ends first.
func (d *dispatch) choose(disturb bool) (*target, permit, bool) {
	now := time.Now()
	earliest, cooling := -1, permit{}
	for i, t := range d.remaining {
		p, ok := t.acquire(now, d.config.Cooldown)
		if ok {
			d.remaining = slices.Delete(d.remaining, i, i+1)
			return t, p, true
		}
		if earliest < 0 || p.until.Before(cooling.until) {
			earliest, cooling = i, p
		}
	}
	if earliest < 0 || !disturb {
		return nil, permit{}, false
	}
	t := d.remaining[earliest]
	d.remaining = slices.Delete(d.remaining, earliest, earliest+1)
	return t, cooling, true
}

// attempt sends the request once.
func (d *dispatch) attempt(now plan) attempt {
	d.attempts++
	d.record.SetAttempt(now.to.Name, d.attempts)
	sent := *d.req
	sent.Header = maps.Clone(d.req.Header)
	if sent.Header == nil {
		sent.Header = make(http.Header)
	}
	sent.Body = now.content
	if length, ok := d.body.length(); ok {
		sent.ContentLength = length
	}
	resp, err := now.to.Sender.Send(d.ctx, &sent) //nolint:bodyclose // closed by the caller of Send, or by discard
	return attempt{sent: &sent, resp: resp, err: err}
}

// recordOutcome updates the state of the upstream after an attempt.
func (d *dispatch) recordOutcome(now plan, last attempt) permit {
	at := time.Now()
	health := last.health()
	if health == limited && d.config.Policy.UsesClientsKey(now.to.index, d.record.Client) {
		health = healthy // the limit is the client's own
	}
	if d.ctx.Err() != nil && last.err != nil {
		health = unknown
	}
	switch health {
	case unknown:
		now.to.releaseProbe(now.permit, at)
	case healthy:
		now.to.markHealthy(now.permit)
	case limited, failed:
		d.warn(now.to, last)
		cooldown := d.config.Cooldown
		if last.resp != nil {
			wait, _ := httpx.RetryAfter(last.resp.Header)
			cooldown = max(cooldown, min(wait, MaxCooldown))
		}
		return now.to.markFailed(at, cooldown)
	}
	return now.permit
}

// warn logs a failed attempt.
func (d *dispatch) warn(to *target, last attempt) {
	outcome := slog.Any("error", last.err)
	if last.resp != nil {
		outcome = slog.Int("status", last.resp.StatusCode)
	}
	d.config.Logger.WarnContext(d.ctx, "upstream failed",
		slog.String("upstream", to.Name), slog.Int("attempt", d.attempts), outcome)
}

// backoff waits before a retry. The longest wait doubles with each retry.
func (d *dispatch) backoff(retry int) error {
	longest := initialBackoff << (retry - 1)
	timer := time.NewTimer(longest/2 + rand.N(longest/2)) //nolint:gosec // need not be unpredictable
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.ctx.Done():
	}
	err, cause := d.ctx.Err(), context.Cause(d.ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// saveRejection keeps a response, unless it is nil, while the request is retried.
func (d *dispatch) saveRejection(from *target, resp *http.Response) {
	if resp == nil {
		return
	}
	d.discard()
	d.lastRejection, d.rejectedBy = resp, from
}

// discard closes the saved rejection.
func (d *dispatch) discard() {
	if d.lastRejection != nil {
		_ = d.lastRejection.Body.Close()
	}
	d.lastRejection = nil
}

// finish returns the result after the last attempt.
func (d *dispatch) finish(from *target, last attempt) (*http.Response, error) {
	if last.err != nil && last.retryScope() != noRetry && d.lastRejection != nil {
		from, last.resp, last.err = d.rejectedBy, d.lastRejection, nil // a response says more than none
		d.lastRejection = nil
	}
	d.discard()
	if last.err != nil {
		return nil, last.err
	}
	d.record.Upstream = from.Name
	last.resp.Header[UpstreamHeader] = []string{from.Name}
	last.resp.Header[AttemptsHeader] = []string{strconv.Itoa(d.attempts)}
	return last.resp, nil
}
