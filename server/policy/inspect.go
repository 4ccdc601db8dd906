package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/usage"
	"github.com/openai-connect/openai-connect/server/usage/metering"
)

// inspect judges a request by what its client's token may ask for. It reads the
// body only where something depends on what that says, and leaves it as it was.
// The memory of what it keeps of it is on hold. The error is one of reading it.
func (g *Gateway) inspect(ctx context.Context, c *request.Record, req *upstream.Request, hold *memory.Hold) (usage.Request, *apierror.Error, error) {
	token := c.Client
	path, _, _ := strings.Cut(req.Target, "?")
	if token != nil && !token.AllowsPath(path) {
		return usage.Request{}, pathNotAllowed(path), nil
	}
	if token == nil || !depends(token) {
		return metering.ReadRequest(ctx, c, req), nil, nil
	}
	stop := func() {}
	if _, ok := req.Body.(*bytes.Reader); !ok && req.Body != nil { // else it is in memory anyway
		kept := hold.BodyReader(req.Body)
		req.Body, stop = kept, kept.Stop
	}
	asked, body, err := usage.ReadRequestContext(ctx, req.Method, req.Target, req.Header, req.Body, g.config.MaxBodyBytes)
	stop()
	if _, ok := errors.AsType[*usage.TooLargeError](err); ok {
		return asked, bodyTooLarge(g.config.MaxBodyBytes), nil
	}
	if coding, ok := errors.AsType[*usage.CodingError](err); ok {
		return asked, tooManyCodings(coding), nil
	}
	if e, ok := apierror.ForLimit(err); ok {
		return asked, e, nil
	}
	if err != nil {
		return asked, nil, &upstream.Error{Kind: upstream.KindRequest, Detail: "its body broke off"}
	}
	put(req, body)
	c.SetRequest(asked.Model, asked.Streaming, asked.OtherModels...)
	return asked, judgeModel(token, req.Method, path, asked), nil
}

// depends reports whether something depends on the model that a client asks for, or
// on whether it asks for a stream.
func depends(token *clients.Client) bool {
	return len(token.Models) > 0 || len(token.ModelLimits) > 0 || token.Limits.ConcurrentStreams > 0
}

// put gives a request the body that was read from it. What was read whole waits for
// nobody to expect it. Trailers are sent only behind one whose length isn't told.
func put(req *upstream.Request, body io.Reader) {
	if _, kept := body.(*bytes.Reader); kept {
		delete(req.Header, "Expect")
		if len(req.Trailer) > 0 {
			body = struct{ io.Reader }{body}
		}
	}
	req.Body = body
}

// judgeModel judges the models that a request names, where the token has a list of
// them, or limits by model: what can't be told for sure might be any. A POST that names
// no model may make any work, by what was stored before, so that is for paths to allow,
// which inspect has looked at.
func judgeModel(token *clients.Client, method, path string, asked usage.Request) *apierror.Error {
	if !hasModelRules(token) {
		return nil
	}
	listed := len(token.Models) > 0
	if asked.ModelCount > 1 {
		return modelTwice()
	}
	for _, model := range append([]string{asked.Model}, asked.OtherModels...) {
		if model != "" && !token.AllowsModel(model) {
			return modelNotAllowed(model)
		}
	}
	posts := strings.EqualFold(method, http.MethodPost) // Some servers take "post" for it.
	switch {
	case asked.Streaming && method == http.MethodGet: // a WebSocket
		if !asked.Complete {
			return modelOfSession()
		}
		return nil
	case !posts && asked.Opaque:
		return modelUnknown()
	case !posts:
		return nil
	case !asked.Complete && (asked.ConsumesTokens || listed && len(token.Paths) == 0):
		return modelUnknown()
	case listed && asked.Model == "" && len(token.Paths) == 0:
		return modelMissing(path)
	default:
		return nil
	}
}

func pathNotAllowed(path string) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusForbidden, Type: apierror.InvalidRequest, Code: "path_not_allowed",
		Message: fmt.Sprintf("The token that was sent may not use %s at this server.", path),
	}
}

func modelNotAllowed(model string) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusForbidden, Type: apierror.InvalidRequest, Code: "model_not_allowed", Param: "model",
		Message: fmt.Sprintf("The token that was sent may not use the model %q at this server.", model),
	}
}

func modelTwice() *apierror.Error {
	return &apierror.Error{
		Status: http.StatusBadRequest, Type: apierror.InvalidRequest, Code: "model_not_unique", Param: "model",
		Message: "The request names its model more than once. The token that was sent has rights or limits by model, so it has to be named once.",
	}
}

func modelUnknown() *apierror.Error {
	return &apierror.Error{
		Status: http.StatusForbidden, Type: apierror.InvalidRequest, Code: "model_not_allowed", Param: "model",
		Message: "The token that was sent has rights or limits by model, and this server can't tell from the request which it asks for." +
			" Send JSON in UTF-8, plain or in one of the codings gzip, deflate, br and zstd, or a form, to a path without empty segments." +
			" Name models as strings, ask for no other method than the request's, and the fields of a form in quotes, as in: Content-Disposition: form-data; name=\"model\".",
	}
}

func modelOfSession() *apierror.Error {
	return &apierror.Error{
		Status: http.StatusForbidden, Type: apierror.InvalidRequest, Code: "model_not_allowed", Param: "model",
		Message: "The token that was sent has rights or limits by model. Of WebSockets it may open those of the Realtime API," +
			" with the model in the query: /v1/realtime?model=MODEL.",
	}
}

func modelMissing(path string) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusForbidden, Type: apierror.InvalidRequest, Code: "model_not_allowed", Param: "model",
		Message: fmt.Sprintf("The token that was sent may use some models only, and the request names none."+
			" If %s needs no model, who runs this server can add it to the token's paths.", path),
	}
}

func bodyTooLarge(limit int64) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusRequestEntityTooLarge, Type: apierror.InvalidRequest, Code: "request_too_large",
		Message: fmt.Sprintf("The body is larger than this server's limit of %d bytes for a request whose model it has to know.", limit),
	}
}

func tooManyCodings(err *usage.CodingError) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusUnsupportedMediaType, Type: apierror.InvalidRequest, Code: "unsupported_content_encoding",
		Message: "The token that was sent has rights or limits by model, and this server can't tell from the request which it asks for: " + err.Error() + ".",
		Header:  http.Header{"Accept-Encoding": {err.Accept}},
	}
}
