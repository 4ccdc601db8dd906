// Package policy enforces the rules of clients: the paths and models that a client may
// use, and its rate limits. It charges the client for the tokens of the response.
//
// It runs after the transcoding of typed requests, so the same rules apply to typed and
// raw requests. The response to a rejected request is an error in OpenAI's format,
// returned like a response of the upstream.
package policy

import (
	"cmp"
	"context"
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
	"github.com/openai-connect/openai-connect/server/usage/metering"
)

// Defaults of [Config].
const (
	DefaultMaxBodyBytes     = 64 << 20
	DefaultMaxBufferedBytes = 256 << 20
)

// Config configures a [Sender].
type Config struct {
	// Next sends the requests that are not rejected.
	Next upstream.Sender

	// Limiter enforces the rate limits of clients. Nil means no limits.
	Limiter ratelimit.Limiter

	// MaxBodyBytes bounds the JSON body of a request whose model must be known. Such a
	// body is buffered until it is sent. The response to a larger one has status 413. Zero
	// means [DefaultMaxBodyBytes].
	MaxBodyBytes int64

	// Memory is the budget of such bodies. If it is exhausted, the response has status
	// 503, or 413 if the body exceeds the whole budget, or 408 if the body arrives too
	// slowly. Nil means a budget of [DefaultMaxBufferedBytes].
	Memory *memory.Budget

	// OnDecision, unless nil, is called for each request that has limits, with the kind
	// of the limit that rejected it, or "", and whether the limits were counted for all
	// instances.
	OnDecision func(client string, rejected ratelimit.Kind, shared bool)
}

// Sender enforces the rules of clients. It is an [upstream.Sender].
type Sender struct {
	config Config
}

// New returns a Sender.
func New(config Config) *Sender {
	config.MaxBodyBytes = cmp.Or(config.MaxBodyBytes, DefaultMaxBodyBytes)
	if config.Memory == nil {
		config.Memory = memory.New(DefaultMaxBufferedBytes, false)
	}
	return &Sender{config: config}
}

// Send implements [upstream.Sender].
func (s *Sender) Send(ctx context.Context, req *upstream.Request) (*http.Response, error) {
	record := request.FromContext(ctx)
	if record.Client == nil {
		return s.config.Next.Send(ctx, req)
	}
	hold := s.config.Memory.Hold(record.ClientName())
	defer hold.Close()
	info, rejection, err := s.authorize(ctx, record, req, hold)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	case rejection != nil:
		return reject(record, req, rejection), nil
	}
	decision, rejection := s.admit(ctx, record)
	if rejection != nil {
		return reject(record, req, rejection), nil
	}
	removeExtensions(record, req)
	listsModels := isModelList(record.Client, req)
	if listsModels {
		requestWholeList(req)
	}
	resp, err := s.config.Next.Send(ctx, req)
	if err != nil {
		endDecision(decision, 0)
		return nil, err
	}
	setRateLimitHeaders(resp.Header, decision)
	streaming := record.Streaming
	s.charge(ctx, record, info, resp, decision)
	s.checkMessages(ctx, record, resp)
	if listsModels {
		return s.filterModels(ctx, record, req, resp)
	}
	if record.Streaming && !streaming {
		if rejection := s.admitStream(ctx, record); rejection != nil {
			_ = resp.Body.Close()
			return reject(record, req, rejection), nil
		}
	}
	return resp, nil
}

// charge counts the tokens of a response when the request ends. It also counts the tokens
// of a WebSocket while it is open.
func (s *Sender) charge(ctx context.Context, record *request.Record, info usage.Request, resp *http.Response, decision *ratelimit.Decision) {
	tap := metering.ReadResponse(record, info, resp)
	charged := func() int64 { return 0 }
	if resp.StatusCode == http.StatusSwitchingProtocols {
		charged = s.chargeWebSocket(ctx, record, tap)
	}
	record.OnEnd(func() { endDecision(decision, tap.Response().Usage.Charge()-charged()) })
}

// reject returns an error as the response to a request that is not sent upstream.
func reject(record *request.Record, req *upstream.Request, e *apierror.Error) *http.Response {
	record.RejectedBy = e.Code
	return e.Response(req)
}
