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

// authorize checks that the client may use the path and the models of a request. It reads
// the body only if a rule depends on it, and leaves it unchanged. hold is charged for the
// memory of a buffered body. err is an error of reading the body.
func (s *Sender) authorize(ctx context.Context, record *request.Record, req *upstream.Request, hold *memory.Hold) (info usage.Request, rejection *apierror.Error, err error) {
	client := record.Client
	path, _, _ := strings.Cut(req.Target, "?")
	if !client.AllowsPath(path) {
		return usage.Request{}, pathNotAllowed(path), nil
	}
	if !needsBody(client) {
		return metering.ReadRequest(ctx, record, req), nil, nil
	}
	stop := func() {}
	if _, ok := req.Body.(*bytes.Reader); !ok && req.Body != nil { // A bytes.Reader is already in memory.
		budgeted := hold.BodyReader(req.Body)
		req.Body, stop = budgeted, budgeted.Stop
	}
	info, body, err := usage.ReadRequest(ctx, req.Method, req.Target, req.Header, req.Body, s.config.MaxBodyBytes)
	stop()
	if _, ok := errors.AsType[*usage.TooLargeError](err); ok {
		return info, bodyTooLarge(s.config.MaxBodyBytes), nil
	}
	if coding, ok := errors.AsType[*usage.CodingError](err); ok {
		return info, tooManyCodings(coding), nil
	}
	if limit, ok := apierror.ForLimit(err); ok {
		return info, limit, nil
	}
	if err != nil {
		return info, nil, &upstream.Error{Kind: upstream.KindRequest, Detail: "its body broke off"}
	}
	setBody(req, body)
	record.SetRequest(info.Model, info.Streaming, info.OtherModels...)
	return info, authorizeModel(client, req.Method, path, info), nil
}

// needsBody reports whether a rule of the client depends on the model, or on whether a
// stream is requested, both of which are in the body.
func needsBody(client *clients.Client) bool {
	return hasModelRules(client) || client.Limits.ConcurrentStreams > 0
}

// hasModelRules reports whether the client has rules or limits by model.
func hasModelRules(client *clients.Client) bool {
	return len(client.Models) > 0 || len(client.ModelLimits) > 0
}

// setBody replaces the body of a request after it has been read. A buffered body needs no
// 100-continue. Trailers are only sent after a body of unknown length.
func setBody(req *upstream.Request, body io.Reader) {
	if _, buffered := body.(*bytes.Reader); buffered {
		delete(req.Header, "Expect")
		if len(req.Trailer) > 0 {
			body = struct{ io.Reader }{body}
		}
	}
	req.Body = body
}

// authorizeModel checks the models of a request if the client has rules by model. It
// rejects a request whose models cannot be determined. A POST without a model may use any
// model that was stored before, so it needs a rule for its path, which authorize has
// checked.
func authorizeModel(client *clients.Client, method, path string, info usage.Request) *apierror.Error {
	if !hasModelRules(client) {
		return nil
	}
	if info.ModelCount > 1 {
		return modelAmbiguous()
	}
	for _, model := range append([]string{info.Model}, info.OtherModels...) {
		if model != "" && !client.AllowsModel(model) {
			return modelNotAllowed(model)
		}
	}
	isPost := strings.EqualFold(method, http.MethodPost) // Some servers accept "post".
	needsModel := len(client.Models) > 0 && len(client.Paths) == 0
	switch {
	case info.Streaming && method == http.MethodGet: // a WebSocket
		if !info.Complete {
			return webSocketModelUnknown()
		}
		return nil
	case !isPost && info.Opaque:
		return modelUnknown()
	case !isPost:
		return nil
	case !info.Complete && (info.ConsumesTokens || needsModel):
		return modelUnknown()
	case info.Model == "" && needsModel:
		return modelMissing(path)
	default:
		return nil
	}
}

func pathNotAllowed(path string) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusForbidden, Type: apierror.InvalidRequest, Code: "path_not_allowed",
		Message: fmt.Sprintf("Your API key may not use %s on this server.", path),
	}
}

// modelError returns an error about the model of a request.
func modelError(format string, args ...any) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusForbidden, Type: apierror.InvalidRequest, Code: "model_not_allowed", Param: "model",
		Message: fmt.Sprintf(format, args...),
	}
}

func modelNotAllowed(model string) *apierror.Error {
	return modelError("Your API key may not use the model %q on this server.", model)
}

func modelAmbiguous() *apierror.Error {
	e := modelError("The request names its model more than once. Your API key is restricted by model, so the model must be named once.")
	e.Status, e.Code = http.StatusBadRequest, "model_not_unique"
	return e
}

// restricted is the beginning of messages for requests whose model cannot be determined.
const restricted = "Your API key is restricted by model, but the model could not be determined from the request"

func modelUnknown() *apierror.Error {
	return modelError("%s. Send a form, or JSON in UTF-8, uncompressed or with one of the content codings gzip, deflate, br and zstd,"+
		" to a path without empty segments. Name models as strings, don't override the method,"+
		" and quote the names of form fields, as in Content-Disposition: form-data; name=\"model\".", restricted)
}

func webSocketModelUnknown() *apierror.Error {
	return modelError("%s. It may open only WebSockets of the Realtime API, with the model in the query: /v1/realtime?model=MODEL.", restricted)
}

func modelMissing(path string) *apierror.Error {
	return modelError("Your API key is restricted by model, but the request names none. If %s needs no model,"+
		" the operator of this server can add it to the paths of your API key.", path)
}

func bodyTooLarge(limit int64) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusRequestEntityTooLarge, Type: apierror.InvalidRequest, Code: apierror.CodeRequestTooLarge,
		Message: fmt.Sprintf("The body exceeds this server's limit of %d bytes for a request whose model must be known.", limit),
	}
}

func tooManyCodings(err *usage.CodingError) *apierror.Error {
	return &apierror.Error{
		Status: http.StatusUnsupportedMediaType, Type: apierror.InvalidRequest, Code: "unsupported_content_encoding",
		Message: restricted + ": " + err.Error() + ".",
		Header:  http.Header{"Accept-Encoding": {err.Accept}},
	}
}
