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

	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// firstPause is how long the pause before the first retry lasts at most. At least
// it is half of that: those who failed together shall not come back together.
const firstPause = 100 * time.Millisecond

// trip is the way of one request, from upstream to upstream.
type trip struct {
	*Failover

	ctx      context.Context //nolint:containedctx // it is the trip's own: the one Send was called with
	req      *upstream.Request
	body     *body
	hold     *memory.Hold    // of the body
	call     *request.Record // may be nil
	pinned   bool            // the key is the client's own at the first upstream, which no other may see
	left     []*target       // those that have not been asked
	attempts int

	refusal *http.Response // the last, which is the client's if no other answers; nil without one
	refuser *target
}

func (f *Failover) begin(ctx context.Context, req *upstream.Request) *trip {
	t := &trip{Failover: f, ctx: ctx, req: req, call: request.FromContext(ctx)}
	t.hold = f.config.Memory.Hold(t.call.ClientName())
	t.body = newBody(req, t.hold)
	t.left = slices.Clone(f.targets)
	t.pinned = t.call != nil && t.call.Client != nil && !t.call.Client.UpstreamKey.IsZero()
	if t.pinned {
		t.left = t.left[:1]
	}
	return t
}

// step is the next try of a trip.
type step struct {
	to      *target
	pass    pass
	content io.Reader
	retries int // of the same upstream, up to this one
}

// run asks until there is what the client gets.
func (t *trip) run() (*http.Response, error) {
	content, _ := t.body.next()
	to, p, _ := t.choose(true)
	now := step{to: to, pass: p, content: content}
	for {
		last := t.ask(now)
		now.pass = t.learn(now, last)
		next, ok := t.onward(now, last)
		if !ok {
			return t.finish(now.to, last)
		}
		t.keep(now.to, last.resp)
		if next.retries > 0 {
			if err := t.pause(next.retries); err != nil {
				closeBody(next.content)
				return t.finish(now.to, try{sent: last.sent, err: err})
			}
		}
		now = next
	}
}

// onward returns the step behind one that ended so, and whether there is one.
func (t *trip) onward(now step, last try) (next step, ok bool) {
	way := last.onward()
	if way == sameOnly {
		t.left = nil
	}
	switch {
	case (way == sameOnly || way == anywhere) && now.retries < t.config.Retries:
		next = step{to: now.to, pass: now.pass, retries: now.retries + 1}
	case way == anywhere || way == elsewhere:
		// A refusal is an answer: for another one nobody is disturbed who cools down.
		next.to, next.pass, ok = t.choose(last.resp == nil && t.refusal == nil)
		if !ok {
			return step{}, false
		}
	default:
		return step{}, false
	}
	if next.content, ok = t.body.next(); !ok {
		next.to.undecided(next.pass, time.Now())
	}
	return next, ok
}

// choose takes the upstream to ask from those that are left: the first that isn't
// passed over, or else, if all may be disturbed, the one that is so for the
// shortest time.
func (t *trip) choose(disturb bool) (*target, pass, bool) {
	now := time.Now()
	soonest, its := -1, pass{}
	for i, one := range t.left {
		p, ok := one.enter(now, t.config.Cooldown)
		if ok {
			t.left = slices.Delete(t.left, i, i+1)
			return one, p, true
		}
		if soonest < 0 || p.until.Before(its.until) {
			soonest, its = i, p
		}
	}
	if soonest < 0 || !disturb {
		return nil, pass{}, false
	}
	one := t.left[soonest]
	t.left = slices.Delete(t.left, soonest, soonest+1)
	return one, its, true
}

// ask makes one try.
func (t *trip) ask(now step) try {
	t.attempts++
	if t.call != nil {
		t.call.Upstream, t.call.Attempts = now.to.Name, t.attempts
	}
	sent := *t.req
	sent.Header = maps.Clone(t.req.Header)
	if sent.Header == nil {
		sent.Header = make(http.Header)
	}
	if !t.pinned {
		now.to.authorize(&sent)
	}
	sent.Body = now.content
	if length, ok := t.body.length(); ok {
		sent.ContentLength = length
	}
	resp, err := now.to.Sender.Send(t.ctx, &sent) //nolint:bodyclose // whoever called Send does, or drop
	return try{sent: &sent, resp: resp, err: err}
}

// learn draws from a try what it says of its upstream.
func (t *trip) learn(now step, last try) pass {
	at := time.Now()
	health := last.health()
	if health == limited && (t.pinned || t.config.ClientKeys) {
		health = works // the client's own key is limited, and no other
	}
	if t.ctx.Err() != nil && last.err != nil {
		health = unknown
	}
	switch health {
	case unknown:
		now.to.undecided(now.pass, at)
	case works:
		now.to.answered(now.pass)
	case limited, fails:
		t.warn(now.to, last)
		length := t.config.Cooldown
		if last.resp != nil {
			length = max(length, retryAfter(last.resp.Header, at))
		}
		return now.to.failed(at, length)
	}
	return now.pass
}

// warn tells of a try that failed.
func (t *trip) warn(to *target, last try) {
	outcome := slog.Any("error", last.err)
	if last.resp != nil {
		outcome = slog.Int("status", last.resp.StatusCode)
	}
	t.config.Logger.WarnContext(t.ctx, "an upstream failed",
		slog.String("upstream", to.Name), slog.Int("attempt", t.attempts), outcome)
}

// pause waits before a retry, twice as long as before the one before it.
func (t *trip) pause(retry int) error {
	longest := firstPause << (retry - 1)
	timer := time.NewTimer(longest/2 + rand.N(longest/2)) //nolint:gosec // nobody gains by guessing it
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-t.ctx.Done():
	}
	err, cause := t.ctx.Err(), context.Cause(t.ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// keep keeps a refusal, nil for none, while another upstream is asked.
func (t *trip) keep(from *target, refusal *http.Response) {
	if refusal == nil {
		return
	}
	t.drop()
	t.refusal, t.refuser = refusal, from
}

// drop lets go of the refusal that is kept.
func (t *trip) drop() {
	if t.refusal != nil {
		_ = t.refusal.Body.Close()
	}
	t.refusal = nil
}

// finish returns what the client gets when the last try ended so.
func (t *trip) finish(from *target, last try) (*http.Response, error) {
	if last.err != nil && last.onward() != nowhere && t.refusal != nil {
		from, last.resp, last.err = t.refuser, t.refusal, nil // an answer is more than none
		t.refusal = nil
	}
	t.drop()
	if last.err != nil {
		return nil, last.err
	}
	if t.call != nil {
		t.call.Upstream = from.Name
	}
	last.resp.Header[UpstreamHeader] = []string{from.Name}
	last.resp.Header[AttemptsHeader] = []string{strconv.Itoa(t.attempts)}
	return last.resp, nil
}
