package errors_test

import (
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
)

// Errors have OpenAI's form, the form of an OpenAI-compatible upstream, or the
// form of a proxy in between.
func TestErrorBody_IsParsed(t *testing.T) {
	t.Parallel()
	page := "<!DOCTYPE html>\n<html><head><title>\n  502 Bad\n  Gateway </title></head><body>" + strings.Repeat("nginx ", 200) + "</body></html>"
	checkErrors(t, []e2etest.FailureCase{
		{
			Name:   "OpenAI with null fields",
			Script: e2etest.Reply(401, `{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, e2etest.JSONType),
			Code:   connect.CodeUnauthenticated,
			Detail: &restv1.Error{
				Message: "Incorrect API key provided.", Type: "invalid_request_error", Code: new("invalid_api_key"), HttpStatus: 401,
			},
		},
		{
			Name:   "OpenAI with unknown fields",
			Script: e2etest.Reply(400, `{"error":{"message":"no","type":"t","inner": {"b":1,"a":2},"code":17}}`, e2etest.JSONType),
			Code:   connect.CodeInvalidArgument,
			Detail: &restv1.Error{Message: "no", Type: "t", HttpStatus: 400, ExtraJson: `{"inner": {"b":1,"a":2},"code":17}`},
		},
		{
			Name: "Azure content filter",
			Script: e2etest.Reply(400, `{"error":{"message":"The response was filtered.","type":null,"param":"prompt","code":"content_filter","status":400,`+
				`"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}`,
				e2etest.JSONType, "Apim-Request-Id: 7"),
			Code: connect.CodeInvalidArgument,
			Detail: &restv1.Error{
				Message: "The response was filtered.", Param: new("prompt"), Code: new("content_filter"), HttpStatus: 400,
				ExtraJson: `{"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}`,
			},
		},
		{
			Name:   "Azure with a numeric code",
			Script: e2etest.Reply(429, `{"error":{"code":429,"message":"Please retry after 2 seconds."}}`, e2etest.JSONType, "Retry-After: 2", "X-Should-Retry: true"),
			Code:   connect.CodeResourceExhausted,
			Retry:  e2etest.After(2 * time.Second),
			Detail: &restv1.Error{Message: "Please retry after 2 seconds.", HttpStatus: 429, ExtraJson: `{"code":429}`},
		},
		{
			Name:     "OpenAI with a very long message",
			Script:   e2etest.Reply(413, `{"error":{"message":"`+strings.Repeat("too long. ", 100_000)+`","type":"t"}}`, e2etest.JSONType),
			Code:     connect.CodeInvalidArgument,
			Contains: []string{"too long. too long. "},
		},
		{
			Name:   "OpenAI without a message",
			Script: e2etest.Reply(404, `{"error":{"code":"DeploymentNotFound"}}`, e2etest.JSONType),
			Code:   connect.CodeNotFound,
			Detail: &restv1.Error{Message: "the upstream answered 404 Not Found", Code: new("DeploymentNotFound"), HttpStatus: 404},
		},
		{
			Name:   "OpenAI without a content type",
			Script: e2etest.Reply(403, `{"error":{"message":"no","type":"t"}}`),
			Code:   connect.CodePermissionDenied,
			Detail: &restv1.Error{Message: "no", Type: "t", HttpStatus: 403},
		},
		{
			Name:   "OpenAI with further top-level fields",
			Script: e2etest.Reply(402, `{"error":{"message":"no credits","code":402},"user_id":"u_1"}`, e2etest.JSONType),
			Code:   connect.CodeResourceExhausted,
			Detail: &restv1.Error{
				Message: "no credits", HttpStatus: 402, ExtraJson: `{"code":402}`,
				BodyExcerpt: `{"error":{"message":"no credits","code":402},"user_id":"u_1"}`,
			},
		},
		{
			Name:   "Ollama's",
			Script: e2etest.Reply(404, `{"error":"model 'x' not found, try pulling it first"}`, e2etest.JSONType),
			Code:   connect.CodeNotFound,
			Detail: &restv1.Error{
				Message: "model 'x' not found, try pulling it first", HttpStatus: 404, ExtraJson: `{"error":"model 'x' not found, try pulling it first"}`,
			},
		},
		{
			Name:   "old vLLM",
			Script: e2etest.Reply(400, `{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}`, e2etest.JSONType),
			Code:   connect.CodeInvalidArgument,
			Detail: &restv1.Error{Message: "too long", Type: "BadRequestError", HttpStatus: 400, ExtraJson: `{"object":"error","code":400}`},
		},
		{
			Name:   "FastAPI's",
			Script: e2etest.Reply(404, `{"detail":"Not Found"}`, e2etest.JSONType),
			Code:   connect.CodeNotFound,
			Detail: &restv1.Error{Message: "Not Found", HttpStatus: 404, ExtraJson: `{"detail":"Not Found"}`},
		},
		{
			Name:   "FastAPI validation error",
			Script: e2etest.Reply(422, `{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing"}]}`, e2etest.JSONType),
			Code:   connect.CodeInvalidArgument,
			Detail: &restv1.Error{
				Message:    `[{"loc":["body","messages"],"msg":"field required","type":"missing"}]`,
				HttpStatus: 422, ExtraJson: `{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing"}]}`,
			},
		},
		{
			Name:   "API gateway",
			Script: e2etest.Reply(401, `{"statusCode":401,"message":"Access denied due to missing subscription key."}`, e2etest.JSONType),
			Code:   connect.CodeUnauthenticated,
			Detail: &restv1.Error{Message: "Access denied due to missing subscription key.", HttpStatus: 401, ExtraJson: `{"statusCode":401}`},
		},
		{
			Name:   "JSON without an error",
			Script: e2etest.Reply(500, `{"status":"down"}`, e2etest.JSONType, "X-Request-Id: req_1"),
			Code:   connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream answered 500 Internal Server Error, with JSON that is not a known form of error",
				Type:    "upstream_error", HttpStatus: 500, RequestId: "req_1", BodyExcerpt: `{"status":"down"}`,
			},
		},
		{
			Name:   "HTML page of a proxy",
			Script: e2etest.Reply(502, page, e2etest.HTMLType, "X-Request-Id: req_2"),
			Code:   connect.CodeUnavailable,
			Detail: &restv1.Error{
				Message: "the upstream answered 502 Bad Gateway, with an HTML page (“502 Bad Gateway”)",
				Type:    "upstream_error", HttpStatus: 502, RequestId: "req_2", BodyExcerpt: page[:509] + "…",
			},
		},
		{
			Name:   "HTML page with a JSON content type",
			Script: e2etest.Reply(403, "<html><body>Blocked</body></html>", e2etest.JSONType),
			Code:   connect.CodePermissionDenied,
			Detail: &restv1.Error{
				Message: "the upstream answered 403 Forbidden, with an HTML page",
				Type:    "upstream_error", HttpStatus: 403, BodyExcerpt: "<html><body>Blocked</body></html>",
			},
		},
		{
			Name:   "text",
			Script: e2etest.Reply(503, "no healthy upstream", "Content-Type: text/plain"),
			Code:   connect.CodeUnavailable,
			Detail: &restv1.Error{
				Message: "the upstream answered 503 Service Unavailable, with text/plain",
				Type:    "upstream_error", HttpStatus: 503, BodyExcerpt: "no healthy upstream",
			},
		},
		{
			Name:   "binary body",
			Script: e2etest.Reply(500, "\xff\xfe\x00", "Content-Type: application/octet-stream"),
			Code:   connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream answered 500 Internal Server Error, with application/octet-stream",
				Type:    "upstream_error", HttpStatus: 500, BodyExcerpt: "\uFFFD\x00",
			},
		},
		{
			Name:   "empty body without a content type",
			Script: e2etest.Reply(429, ""),
			Code:   connect.CodeResourceExhausted,
			Detail: &restv1.Error{Message: "the upstream answered 429 Too Many Requests, with an empty body", Type: "upstream_error", HttpStatus: 429},
		},
		{
			Name:   "truncated body",
			Script: e2etest.TruncatedReply(9, 400, `{"error":{"message":"no","type":"t"}}`, e2etest.JSONType),
			Code:   connect.CodeInvalidArgument,
			Detail: &restv1.Error{
				Message: "the upstream answered 400 Bad Request, with JSON, truncated",
				Type:    "upstream_error", HttpStatus: 400, BodyExcerpt: `{"error":`,
			},
		},
		{
			Name:   "unrequested gzip",
			Script: e2etest.Reply(500, e2etest.Gzip(`{"error":{"message":"no"}}`), e2etest.JSONType, "Content-Encoding: gzip"),
			Code:   connect.CodeInternal,
			Detail: &restv1.Error{Message: "no", HttpStatus: 500},
		},
		{
			Name:     "unrequested content coding",
			Script:   e2etest.Reply(500, "\x0b\x02\x80{}\x03", e2etest.JSONType, "Content-Encoding: br"),
			Code:     connect.CodeInternal,
			Contains: []string{"500 Internal Server Error", "a body in the encoding br", "not requested"},
		},
		{
			Name:   "redirect that is not followed",
			Script: e2etest.Reply(307, "", "Location: https://192.168.0.1/v1/chat/completions"),
			Code:   connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream answered 307 Temporary Redirect, a redirect that was not followed",
				Type:    "upstream_error", HttpStatus: 307,
			},
		},
		{
			Name:   "redirect with an HTML page",
			Script: e2etest.Reply(301, "<html><title>Moved</title></html>", e2etest.HTMLType, "Location: https://192.168.0.1/elsewhere"),
			Code:   connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream answered 301 Moved Permanently, a redirect that was not followed",
				Type:    "upstream_error", HttpStatus: 301, BodyExcerpt: "<html><title>Moved</title></html>",
			},
		},
		{
			Name:     "not modified",
			Script:   e2etest.Reply(304, ""),
			Code:     connect.CodeInternal,
			Contains: []string{"the upstream answered 304 Not Modified, with an empty body"},
		},
	})
}
