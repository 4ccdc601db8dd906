// Package passthrough forwards every request that is not an RPC to the proxied host, so
// that curl and the OpenAI SDKs only need another base URL.
//
// Requests and responses are forwarded unchanged, each part immediately on arrival. Only
// hop-by-hop headers are removed, and two headers are added: Via, in both directions, and
// "X-Accel-Buffering: no" for event streams, which a buffering proxy would otherwise delay.
//
// Because net/http parses both sides, these differences remain: the reason phrase of a
// status is the registered one (clients ignore it, RFC 9112 §4); header names are in
// canonical case, and their order is only kept for repeated names; over HTTP/1.1 "Pragma:
// no-cache" without a Cache-Control adds the equivalent Cache-Control (RFC 9111 §5.4).
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

// Options configures a [Handler].
type Options struct {
	// Logger receives a warning for each failure of the upstream, with the method, the
	// path without its query, and the error. Nil discards it.
	Logger *slog.Logger
}

// New returns a [Handler] that forwards all requests to up.
//
// The handler needs unmodified requests: an http.ServeMux would clean their paths, and an
// http.Server responds to "OPTIONS *" itself unless DisableGeneralOptionsHandler is set.
// Middleware that wraps the ResponseWriter must implement Unwrap for
// [http.ResponseController]. If the request's body is an [httpx.Staller] whose client
// stalled, the response is 408.
//
// If the upstream can't be reached, the response is 502, or 504 after a timeout, with an
// error in OpenAI's format. If a response body ends early, the handler panics with
// http.ErrAbortHandler, and over HTTP/1.0 resets the connection first, so that the client
// never takes a truncated body for a complete one. CONNECT is rejected, as is a request that
// has passed this handler before, with 508.
func New(up upstream.Sender, options Options) *Handler {
	logger := options.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	pseudonym := newPseudonym()
	return &Handler{upstream: up, pseudonym: pseudonym, via: newViaEntries(pseudonym), logger: logger}
}

// Handler forwards requests to the proxied host.
type Handler struct {
	upstream  upstream.Sender
	pseudonym string     // in the Via header of requests
	via       viaEntries // entries with pseudonym
	logger    *slog.Logger
	tunnels   tunnelSet
}

// ShutdownWebSockets sends a close frame with status 1001 (RFC 6455 §7.4.1) to both sides
// of every WebSocket, including WebSockets established later. [http.Server.Shutdown] doesn't
// do that.
//
// A frame that is being sent is completed first. Sides that don't close their connection
// within seconds are closed.
func (h *Handler) ShutdownWebSockets() { h.tunnels.shutdown() }

// WaitForWebSockets returns when all WebSockets have ended. When ctx is done it closes the
// remaining ones and returns ctx's error.
func (h *Handler) WaitForWebSockets(ctx context.Context) error { return h.tunnels.wait(ctx) }

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		newConnectError().WriteTo(w)
		return
	}
	if isLoop(r.Header, h.pseudonym) {
		h.logger.WarnContext(r.Context(), "request loop detected", "method", r.Method, "path", r.URL.EscapedPath())
		newLoopError().WriteTo(w)
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
		down.upload.record = request.FromContext(r.Context())
		out.Body = down.upload
		out.Trailer = down.upload.trailer
		out.CancelBody = down.endUpload
	}
	resp, err := h.upstream.Send(r.Context(), out)
	down.endInterim()
	if err != nil {
		h.respondToError(down, err)
		return
	}
	defer func() {
		down.endUpload() // first, as Close may wait for the reader of the upload
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

// respondToError responds to a request for which the upstream sent no response.
func (h *Handler) respondToError(down *downstream, err error) {
	response := newUpstreamError(err)
	switch stall := down.stallError(); {
	case stall != nil:
		response = newStallError(stall)
	case errors.Is(err, context.Canceled): // the client has left
		panic(http.ErrAbortHandler)
	}
	if response.Status >= http.StatusInternalServerError {
		h.warn(down.r, err)
	}
	down.closeIfUploading()
	response.WriteTo(down.w)
}

// abort ends a response that is incomplete.
func (h *Handler) abort(down *downstream, err error) {
	if _, ok := errors.AsType[*upstream.Error](err); ok { // otherwise the client has left
		h.warn(down.r, err)
	}
	down.abort()
}

func (h *Handler) warn(r *http.Request, err error) {
	h.logger.WarnContext(r.Context(), "upstream failed",
		"method", r.Method, "path", r.URL.EscapedPath(), "error", err)
}

// requestHeader returns the headers to send to the upstream for r.
func (h *Handler) requestHeader(r *http.Request) http.Header {
	header := make(http.Header, len(r.Header)+2)
	upstream.CopyEndToEnd(header, r.Header)
	if httpguts.HeaderValuesContainsToken(r.Header["Te"], "trailers") {
		header["Te"] = []string{"trailers"} // also supported here
	}
	if wantsWebSocket(r) {
		header["Connection"] = []string{"Upgrade"}
		header["Upgrade"] = []string{"websocket"}
	}
	h.via.add(header, r.ProtoMajor, r.ProtoMinor)
	return header
}

// Shared header values.
var (
	viaProduct = newViaEntries(product)
	unbuffered = []string{"no"}
)

// responseHeader sets the headers to send for resp to a client with the given major version
// of HTTP.
func responseHeader(header http.Header, resp *http.Response, clientMajor int) {
	upstream.CopyEndToEnd(header, resp.Header)
	if resp.StatusCode == http.StatusNotModified && clientMajor == 1 {
		// net/http removes these headers from a 304, although they may describe the
		// unmodified resource (RFC 9110 §15.4.5). It only knows their canonical names.
		for _, name := range [...]string{"Content-Length", "Content-Type"} {
			if values, ok := header[name]; ok {
				delete(header, name)
				header[strings.ToLower(name)] = values
			}
		}
	}
	for _, name := range [...]string{"Content-Length", "Content-Type", "Date"} {
		if _, ok := header[name]; !ok {
			header[name] = nil // net/http would add one
		}
	}
	viaProduct.add(header, resp.ProtoMajor, resp.ProtoMinor)
	if httpx.IsEventStream(resp.Header) {
		if _, ok := header["X-Accel-Buffering"]; !ok {
			header["X-Accel-Buffering"] = unbuffered
		}
	}
}
