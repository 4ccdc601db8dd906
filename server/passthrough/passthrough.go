// Package passthrough forwards every path that is no RPC to the proxied host as
// it is, so that curl and the OpenAI SDKs work by changing the base URL alone.
//
// It copies and does not interpret: method, target, fields and body go up as
// they came, and come down as the upstream sent them, each piece as soon as it
// is there. Only the fields that HTTP reserves to a single hop are left out,
// and two are added: Via, both ways, and "X-Accel-Buffering: no" on event
// streams, without which a buffering proxy in front starves them.
//
// net/http, which parses what both sides send, leaves these differences: the
// reason phrase of a status is the registered one (RFC 9112 §4 has clients
// ignore it); field names are spelt in canonical case, and their order is kept
// only where a name is repeated; over HTTP/1.1 "Pragma: no-cache" without a
// Cache-Control gets the one that it means (RFC 9111 §5.4).
package passthrough

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// Options are what may differ from one passthrough to another.
type Options struct {
	// Logger is told, at level WARN, of each failure of the upstream: by
	// method, path without its query, and what happened. Nil means silence.
	Logger *slog.Logger
}

// New returns a [Handler] that forwards any request to up.
//
// It must see requests as they arrived: an http.ServeMux in front would clean
// their paths, and an http.Server answers "OPTIONS *" itself unless its
// DisableGeneralOptionsHandler is set. Middleware that wraps the ResponseWriter
// must give it an Unwrap method, as [http.ResponseController] needs it. A body
// that is cut off because its client sends none of it may tell by a method
// Stalled() error: the answer is 408 then.
//
// If the upstream can't be reached the answer is 502, or 504 if it took too
// long, with an error in OpenAI's form. If it breaks off in the middle of a
// body, so does the handler, by panicking with http.ErrAbortHandler, and over
// HTTP/1.0 by a reset of the connection before: the client never sees a broken
// body end well. CONNECT is refused, and so is, by 508, a
// request that has passed the handler before.
func New(up upstream.Sender, options Options) *Handler {
	logger := options.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	pseudonym := newPseudonym()
	return &Handler{upstream: up, pseudonym: pseudonym, via: newNames(pseudonym), logger: logger}
}

// Handler is a passthrough.
type Handler struct {
	upstream  upstream.Sender
	pseudonym string // in the Via field of requests
	via       names  // the same as entries
	logger    *slog.Logger
	tunnels   tunnels
}

// ShutdownWebSockets says goodbye on every WebSocket, and on those that begin from
// now on, with a close frame of status 1001 to both sides (RFC 6455 §7.4.1). An
// [http.Server] that is shut down has nothing to do with them any more.
//
// A frame that is under way is not cut. Sides that don't close theirs within
// seconds are closed.
func (h *Handler) ShutdownWebSockets() { h.tunnels.leave() }

// WaitForWebSockets returns when all WebSockets have ended. When ctx is done it
// closes those that are left, and returns ctx's error.
func (h *Handler) WaitForWebSockets(ctx context.Context) error { return h.tunnels.wait(ctx) }

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		connectError().WriteTo(w)
		return
	}
	if loops(r.Header, h.pseudonym) {
		h.logger.WarnContext(r.Context(), "the upstream leads back to this server", "method", r.Method, "path", r.URL.EscapedPath())
		loopError().WriteTo(w)
		return
	}
	down := newDownstream(w, r)
	defer down.endUpload()
	out := &upstream.Request{
		Method:        r.Method,
		Target:        r.RequestURI,
		Header:        h.requestHeader(r),
		ContentLength: r.ContentLength,
		Interim:       down.writeInterim,
	}
	if down.upload != nil {
		down.upload.call = request.FromContext(r.Context())
		out.Body = down.upload
		out.Trailer = down.upload.trailer
		out.CancelBody = down.endUpload
	}
	resp, err := h.upstream.Send(r.Context(), out)
	down.endInterim()
	if err != nil {
		h.answerFailure(down, err)
		return
	}
	defer func() {
		down.endUpload() // first, as Close may wait for who reads the upload
		_ = resp.Body.Close()
	}()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		h.switchProtocols(r.Context(), down, resp)
		return
	}
	if err := down.respond(resp); err != nil {
		h.abort(down, err)
	}
}

// answerFailure answers a request to which the upstream gave no response.
func (h *Handler) answerFailure(down *downstream, err error) {
	answer := upstreamError(err)
	switch stall := down.stalled(); {
	case stall != nil:
		answer = stallError(stall)
	case errors.Is(err, context.Canceled): // the client is gone
		panic(http.ErrAbortHandler)
	}
	if answer.Status >= http.StatusInternalServerError {
		h.warn(down.r, err)
	}
	down.beforeHeader()
	answer.WriteTo(down.w)
}

// abort ends the exchange in a way that the client can't take for success.
func (h *Handler) abort(down *downstream, err error) {
	if _, ok := errors.AsType[*upstream.Error](err); ok { // else it is the client who left
		h.warn(down.r, err)
	}
	down.breakOff()
}

func (h *Handler) warn(r *http.Request, err error) {
	h.logger.WarnContext(r.Context(), "upstream failed",
		"method", r.Method, "path", r.URL.EscapedPath(), "error", err)
}

// requestHeader returns the fields to send upstream for r.
func (h *Handler) requestHeader(r *http.Request) http.Header {
	header := make(http.Header, len(r.Header)+2)
	upstream.CopyEndToEnd(header, r.Header)
	if httpguts.HeaderValuesContainsToken(r.Header["Te"], "trailers") {
		header["Te"] = []string{"trailers"} // true of us too
	}
	if wantsWebSocket(r) {
		header["Connection"] = []string{"Upgrade"}
		header["Upgrade"] = []string{"websocket"}
	}
	h.via.add(header, r.ProtoMajor, r.ProtoMinor)
	return header
}

// Values of fields that nobody changes.
var (
	viaProduct = newNames(product)
	unbuffered = []string{"no"}
)

// responseHeader sets in header the fields to send for resp, to a client that
// speaks the given major version of HTTP.
func responseHeader(header http.Header, resp *http.Response, clientMajor int) {
	upstream.CopyEndToEnd(header, resp.Header)
	if resp.StatusCode == http.StatusNotModified && clientMajor == 1 {
		// net/http takes these two from a 304, though they may describe what
		// was not modified (RFC 9110 §15.4.5). It knows them by one spelling.
		for _, name := range [...]string{"Content-Length", "Content-Type"} {
			if values, ok := header[name]; ok {
				delete(header, name)
				header[strings.ToLower(name)] = values
			}
		}
	}
	for _, name := range [...]string{"Content-Length", "Content-Type", "Date"} {
		if _, ok := header[name]; !ok {
			header[name] = nil // or net/http makes one up
		}
	}
	viaProduct.add(header, resp.ProtoMajor, resp.ProtoMinor)
	if httpx.IsEventStream(resp.Header) {
		if _, ok := header["X-Accel-Buffering"]; !ok {
			header["X-Accel-Buffering"] = unbuffered
		}
	}
}
