package server_test

import (
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// The body of an error is OpenAI's, or that of an upstream which is nearly
// OpenAI, or of something on the way that isn't.
func TestTheBodyOfAnErrorIsRead(t *testing.T) {
	t.Parallel()
	page := "<!DOCTYPE html>\n<html><head><title>\n  502 Bad\n  Gateway </title></head><body>" + strings.Repeat("nginx ", 200) + "</body></html>"
	checkErrors(t, []failing{
		{
			name:   "OpenAI's, with null for what doesn't apply",
			script: reply(401, `{"error":{"message":"Incorrect API key provided.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, jsonType),
			code:   connect.CodeUnauthenticated,
			detail: &restv1.Error{
				Message: "Incorrect API key provided.", Type: "invalid_request_error", Code: new("invalid_api_key"), HttpStatus: 401,
			},
		},
		{
			name:   "OpenAI's, with members that nobody knows",
			script: reply(400, `{"error":{"message":"no","type":"t","inner": {"b":1,"a":2},"code":17}}`, jsonType),
			code:   connect.CodeInvalidArgument,
			detail: &restv1.Error{Message: "no", Type: "t", HttpStatus: 400, ExtraJson: `{"inner": {"b":1,"a":2},"code":17}`},
		},
		{
			name: "Azure's, of its content filter",
			script: reply(400, `{"error":{"message":"The response was filtered.","type":null,"param":"prompt","code":"content_filter","status":400,`+
				`"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}}`,
				jsonType, "Apim-Request-Id: 7"),
			code: connect.CodeInvalidArgument,
			detail: &restv1.Error{
				Message: "The response was filtered.", Param: new("prompt"), Code: new("content_filter"), HttpStatus: 400,
				ExtraJson: `{"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true,"severity":"high"}}}}`,
			},
		},
		{
			name:   "Azure's, with a number as its code",
			script: reply(429, `{"error":{"code":429,"message":"Please retry after 2 seconds."}}`, jsonType, "Retry-After: 2", "X-Should-Retry: true"),
			code:   connect.CodeResourceExhausted,
			retry:  after(2 * time.Second),
			detail: &restv1.Error{Message: "Please retry after 2 seconds.", HttpStatus: 429, ExtraJson: `{"code":429}`},
		},
		{
			name:   "OpenAI's, with a very long message",
			script: reply(413, `{"error":{"message":"`+strings.Repeat("too long. ", 100_000)+`","type":"t"}}`, jsonType),
			code:   connect.CodeInvalidArgument,
			says:   []string{"too long. too long. "},
		},
		{
			name:   "OpenAI's, without a message",
			script: reply(404, `{"error":{"code":"DeploymentNotFound"}}`, jsonType),
			code:   connect.CodeNotFound,
			detail: &restv1.Error{Message: "the upstream answered 404 Not Found", Code: new("DeploymentNotFound"), HttpStatus: 404},
		},
		{
			name:   "OpenAI's, without a content type",
			script: reply(403, `{"error":{"message":"no","type":"t"}}`),
			code:   connect.CodePermissionDenied,
			detail: &restv1.Error{Message: "no", Type: "t", HttpStatus: 403},
		},
		{
			name:   "OpenAI's, with more beside it",
			script: reply(402, `{"error":{"message":"no credits","code":402},"user_id":"u_1"}`, jsonType),
			code:   connect.CodeResourceExhausted,
			detail: &restv1.Error{
				Message: "no credits", HttpStatus: 402, ExtraJson: `{"code":402}`,
				BodyExcerpt: `{"error":{"message":"no credits","code":402},"user_id":"u_1"}`,
			},
		},
		{
			name:   "Ollama's",
			script: reply(404, `{"error":"model 'x' not found, try pulling it first"}`, jsonType),
			code:   connect.CodeNotFound,
			detail: &restv1.Error{
				Message: "model 'x' not found, try pulling it first", HttpStatus: 404, ExtraJson: `{"error":"model 'x' not found, try pulling it first"}`,
			},
		},
		{
			name:   "vLLM's of old",
			script: reply(400, `{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}`, jsonType),
			code:   connect.CodeInvalidArgument,
			detail: &restv1.Error{Message: "too long", Type: "BadRequestError", HttpStatus: 400, ExtraJson: `{"object":"error","code":400}`},
		},
		{
			name:   "FastAPI's",
			script: reply(404, `{"detail":"Not Found"}`, jsonType),
			code:   connect.CodeNotFound,
			detail: &restv1.Error{Message: "Not Found", HttpStatus: 404, ExtraJson: `{"detail":"Not Found"}`},
		},
		{
			name:   "FastAPI's of a request that isn't valid",
			script: reply(422, `{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing"}]}`, jsonType),
			code:   connect.CodeInvalidArgument,
			detail: &restv1.Error{
				Message:    `[{"loc":["body","messages"],"msg":"field required","type":"missing"}]`,
				HttpStatus: 422, ExtraJson: `{"detail":[{"loc":["body","messages"],"msg":"field required","type":"missing"}]}`,
			},
		},
		{
			name:   "an API gateway's",
			script: reply(401, `{"statusCode":401,"message":"Access denied due to missing subscription key."}`, jsonType),
			code:   connect.CodeUnauthenticated,
			detail: &restv1.Error{Message: "Access denied due to missing subscription key.", HttpStatus: 401, ExtraJson: `{"statusCode":401}`},
		},
		{
			name:   "JSON that says nothing of an error",
			script: reply(500, `{"status":"down"}`, jsonType, "X-Request-Id: req_1"),
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 500 Internal Server Error, with JSON that is no known form of error",
				Type:    "upstream_error", HttpStatus: 500, RequestId: "req_1", BodyExcerpt: `{"status":"down"}`,
			},
		},
		{
			name:   "a page of a proxy on the way",
			script: reply(502, page, htmlType, "X-Request-Id: req_2"),
			code:   connect.CodeUnavailable,
			detail: &restv1.Error{
				Message: "the upstream answered 502 Bad Gateway, with an HTML page (“502 Bad Gateway”)",
				Type:    "upstream_error", HttpStatus: 502, RequestId: "req_2", BodyExcerpt: page[:509] + "…",
			},
		},
		{
			name:   "a page that says it is JSON",
			script: reply(403, "<html><body>Blocked</body></html>", jsonType),
			code:   connect.CodePermissionDenied,
			detail: &restv1.Error{
				Message: "the upstream answered 403 Forbidden, with an HTML page",
				Type:    "upstream_error", HttpStatus: 403, BodyExcerpt: "<html><body>Blocked</body></html>",
			},
		},
		{
			name:   "text",
			script: reply(503, "no healthy upstream", "Content-Type: text/plain"),
			code:   connect.CodeUnavailable,
			detail: &restv1.Error{
				Message: "the upstream answered 503 Service Unavailable, with text/plain",
				Type:    "upstream_error", HttpStatus: 503, BodyExcerpt: "no healthy upstream",
			},
		},
		{
			name:   "bytes that are no text",
			script: reply(500, "\xff\xfe\x00", "Content-Type: application/octet-stream"),
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 500 Internal Server Error, with application/octet-stream",
				Type:    "upstream_error", HttpStatus: 500, BodyExcerpt: "\uFFFD\x00",
			},
		},
		{
			name:   "none, and no content type",
			script: reply(429, ""),
			code:   connect.CodeResourceExhausted,
			detail: &restv1.Error{Message: "the upstream answered 429 Too Many Requests, with an empty body", Type: "upstream_error", HttpStatus: 429},
		},
		{
			name:   "one that breaks off",
			script: replyCut(9, 400, `{"error":{"message":"no","type":"t"}}`, jsonType),
			code:   connect.CodeInvalidArgument,
			detail: &restv1.Error{
				Message: "the upstream answered 400 Bad Request, with JSON, cut short",
				Type:    "upstream_error", HttpStatus: 400, BodyExcerpt: `{"error":`,
			},
		},
		{
			name:   "gzip that nobody asked for",
			script: reply(500, gzipped(`{"error":{"message":"no"}}`), jsonType, "Content-Encoding: gzip"),
			code:   connect.CodeInternal,
			detail: &restv1.Error{Message: "no", HttpStatus: 500},
		},
		{
			name:   "a coding that nobody asked for",
			script: reply(500, "\x0b\x02\x80{}\x03", jsonType, "Content-Encoding: br"),
			code:   connect.CodeInternal,
			says:   []string{"500 Internal Server Error", "a body in the encoding br", "not asked for"},
		},
		{
			name:   "a redirect that is not followed",
			script: reply(307, "", "Location: https://192.168.0.1/v1/chat/completions"),
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 307 Temporary Redirect, a redirect, which is not followed",
				Type:    "upstream_error", HttpStatus: 307,
			},
		},
		{
			name:   "a redirect with a page",
			script: reply(301, "<html><title>Moved</title></html>", htmlType, "Location: https://192.168.0.1/elsewhere"),
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 301 Moved Permanently, a redirect, which is not followed",
				Type:    "upstream_error", HttpStatus: 301, BodyExcerpt: "<html><title>Moved</title></html>",
			},
		},
		{
			name:   "not modified",
			script: reply(304, ""),
			code:   connect.CodeInternal,
			says:   []string{"the upstream answered 304 Not Modified, with an empty body"},
		},
	})
}
