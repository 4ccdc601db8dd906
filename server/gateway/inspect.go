package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/openai-connect/openai-connect/server/call"
	"github.com/openai-connect/openai-connect/server/keys"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
)

// inspect judges a request by what its client's token may ask for. It reads the
// body only where something depends on what that says, and leaves it as it was.
// The error is one of reading it.
func (g *Gateway) inspect(c *call.Call, req *upstream.Request) (usage.Request, *refusal, error) {
	token := c.Token
	path, _, _ := strings.Cut(req.Target, "?")
	if token != nil && !token.AllowsPath(path) {
		return usage.Request{}, pathNotAllowed(path), nil
	}
	if token == nil || !depends(token) {
		asked := glance(req)
		c.Model, c.Streams = asked.Model, asked.Stream
		return asked, nil, nil
	}
	asked, body, err := usage.ReadRequest(req.Method, req.Target, req.Header, req.Body, g.config.MaxBodyBytes)
	if _, ok := errors.AsType[*usage.TooLargeError](err); ok {
		return asked, bodyTooLarge(g.config.MaxBodyBytes), nil
	}
	if err != nil {
		return asked, nil, &upstream.Error{Kind: upstream.KindRequest, Detail: "its body broke off"}
	}
	put(req, body)
	c.Model, c.Streams = asked.Model, asked.Stream
	return asked, judgeModel(token, req.Method, path, asked), nil
}

// glance tells what there is to know of a request without waiting for its body: all
// of a typed one, and of a raw one what is in its head. The length of a body is then
// the best guess of how much the model has to read.
func glance(req *upstream.Request) usage.Request {
	var body io.Reader
	if kept, ok := req.Body.(*bytes.Reader); ok {
		body = kept
	}
	asked, _, err := usage.ReadRequest(req.Method, req.Target, req.Header, body, DefaultMaxBodyBytes)
	if err != nil { // It can't be decoded, and that is for the upstream to say.
		asked, _, _ = usage.ReadRequest(req.Method, req.Target, req.Header, nil, 0)
	}
	if body == nil && req.Body != nil && req.ContentLength > 0 {
		asked.Text = req.ContentLength
	}
	return asked
}

// depends reports whether something depends on the model that a client asks for, or
// on whether it asks for a stream.
func depends(token *keys.Token) bool {
	return len(token.Models) > 0 || len(token.ModelLimits) > 0 || token.Limits.ConcurrentStreams > 0
}

// put gives a request the body that was read from it. Trailers are sent only behind
// one whose length isn't told.
func put(req *upstream.Request, body io.Reader) {
	if _, kept := body.(*bytes.Reader); kept && len(req.Trailer) > 0 {
		body = struct{ io.Reader }{body}
	}
	req.Body = body
}

// judgeModel judges the model that a request asks for. What posts without naming
// one may make any model work, by what was stored before, so that is for paths to
// allow, which inspect has looked at.
func judgeModel(token *keys.Token, method, path string, asked usage.Request) *refusal {
	switch {
	case len(token.Models) == 0:
		return nil
	case asked.ModelSeen > 1:
		return modelTwice()
	case asked.Model != "" && !token.AllowsModel(asked.Model):
		return modelNotAllowed(asked.Model)
	case asked.Model != "":
		return nil
	case asked.Stream && method == http.MethodGet: // a WebSocket
		return modelOfSession()
	case method != http.MethodPost, len(token.Paths) > 0 && (asked.Known || !asked.Spends):
		return nil
	case !asked.Known:
		return modelUnknown()
	default:
		return modelMissing(path)
	}
}

func pathNotAllowed(path string) *refusal {
	return &refusal{
		status: http.StatusForbidden, kind: invalidRequestError, code: "path_not_allowed",
		message: fmt.Sprintf("The token that was sent may not use %s at this server.", path),
	}
}

func modelNotAllowed(model string) *refusal {
	return &refusal{
		status: http.StatusForbidden, kind: invalidRequestError, code: "model_not_allowed", param: "model",
		message: fmt.Sprintf("The token that was sent may not use the model %q at this server.", model),
	}
}

func modelTwice() *refusal {
	return &refusal{
		status: http.StatusBadRequest, kind: invalidRequestError, code: "model_not_unique", param: "model",
		message: "The request names its model more than once. The token that was sent may use some models only, so it has to be named once.",
	}
}

func modelUnknown() *refusal {
	return &refusal{
		status: http.StatusForbidden, kind: invalidRequestError, code: "model_not_allowed", param: "model",
		message: "The token that was sent may use some models only, and this server can't read from the request which it asks for." +
			" Send a body of JSON, or a form whose model comes before its file, plain or in one of the codings gzip, deflate, br and zstd.",
	}
}

func modelOfSession() *refusal {
	return &refusal{
		status: http.StatusForbidden, kind: invalidRequestError, code: "model_not_allowed", param: "model",
		message: "The token that was sent may use some models only: name the one of the session in the query, as ?model=MODEL.",
	}
}

func modelMissing(path string) *refusal {
	return &refusal{
		status: http.StatusForbidden, kind: invalidRequestError, code: "model_not_allowed", param: "model",
		message: fmt.Sprintf("The token that was sent may use some models only, and the request names none."+
			" If %s needs no model, who runs this server can add it to the token's paths.", path),
	}
}

func bodyTooLarge(limit int64) *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, kind: invalidRequestError, code: "request_too_large",
		message: fmt.Sprintf("The body is larger than this server's limit of %d bytes for a request whose model it has to know.", limit),
	}
}
