package server_test

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
)

// An answer of status 200 can be an error too: one that the upstream states,
// one that its body is, or one that it lacks.
func TestASuccessThatIsNone(t *testing.T) {
	t.Parallel()
	says := func(kind, code string) string {
		return fmt.Sprintf(`{"error":{"message":"it says so","type":%q,"code":%q}}`, kind, code)
	}
	failures := []failing{
		{
			name:   "an empty body",
			script: reply(200, "", jsonType, "X-Request-Id: req_1"),
			ways:   []string{unary},
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with an empty body", Type: "upstream_error", HttpStatus: 200, RequestId: "req_1",
			},
		},
		{
			name:   "an empty body where a stream was asked for",
			script: reply(200, "", jsonType),
			ways:   []string{streaming},
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with an empty body where a stream was asked for", Type: "upstream_error", HttpStatus: 200,
			},
		},
		{
			name:   "an empty stream",
			script: streamWith([]string{"X-Request-Id: req_1"}),
			ways:   []string{streaming},
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream's stream ended before its first event", Type: "upstream_error", HttpStatus: 200, RequestId: "req_1",
			},
		},
		{
			name:   "no content, by the status",
			script: reply(204, ""),
			code:   connect.CodeInternal,
			says:   []string{"204 No Content", "empty body"},
		},
		{
			name:   "a page",
			script: reply(200, "<html><head><title>Log in to the Wi-Fi</title></head></html>", htmlType),
			code:   connect.CodeInternal,
			says:   []string{"200 OK", "an HTML page (“Log in to the Wi-Fi”)"},
		},
		{
			name:   "text",
			script: reply(200, "OK", "Content-Type: text/plain"),
			code:   connect.CodeInternal,
			says:   []string{"200 OK", "text/plain"},
		},
		{
			name:   "a page of no stated type",
			script: reply(200, "<!doctype html><title>Hi</title>"),
			code:   connect.CodeInternal,
			says:   []string{"200 OK", "an HTML page (“Hi”)"},
		},
		{
			name:   "malformed JSON",
			script: reply(200, `{"choices":[{"index":0,"message":{"content":"x",}}]}`, jsonType),
			ways:   []string{unary},
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with a body that can't be read: " +
					"malformed JSON at byte 48, in choices[0].message: a string was expected",
				Type: "upstream_error", HttpStatus: 200, BodyExcerpt: `{"choices":[{"index":0,"message":{"content":"x",}}]}`,
			},
		},
		{
			name:   "JSON that is no object",
			script: reply(200, `[]`, jsonType),
			ways:   []string{unary},
			code:   connect.CodeInternal,
			says:   []string{"malformed JSON at byte 0: an object was expected"},
		},
		{
			name:   "two objects",
			script: reply(200, completion("a")+completion("b"), jsonType),
			ways:   []string{unary},
			code:   connect.CodeInternal,
			says:   []string{fmt.Sprintf("malformed JSON at byte %d: the value has ended, and more follows", len(completion("a")))},
		},
		{
			name:   "text that is not UTF-8",
			script: reply(200, strings.Replace(completion("x"), `"x"`, "\"\xff\"", 1), jsonType),
			ways:   []string{unary},
			code:   connect.CodeInternal,
			says:   []string{"in choices[0].message.content: the text is not UTF-8"},
		},
		{
			name:   "a coding that nobody asked for",
			script: reply(200, "\x0b\x02\x80{}\x03", jsonType, "Content-Encoding: br"),
			code:   connect.CodeInternal,
			says:   []string{"200 OK", "a body in the encoding br", "not asked for"},
		},
		{
			name:   "two codings that nobody asked for",
			script: reply(200, gzipped(gzipped(completion("Hello!"))), jsonType, "Content-Encoding: gzip, gzip"),
			code:   connect.CodeInternal,
			says:   []string{"200 OK", "a body in the encoding gzip, gzip", "not asked for"},
		},
		{
			name:   "an error of no stated type",
			script: reply(200, says("", "rate_limit_exceeded")),
			code:   connect.CodeResourceExhausted,
			detail: &restv1.Error{Message: "it says so", Code: new("rate_limit_exceeded"), HttpStatus: 200},
		},
		{
			name:   "an error beside an answer",
			script: reply(200, `{"id":"x","choices":[],"error":{"message":"it says so","code":502},"provider":"p"}`, jsonType),
			code:   connect.CodeUnavailable,
			detail: &restv1.Error{
				Message: "it says so", HttpStatus: 200, ExtraJson: `{"code":502}`,
				BodyExcerpt: `{"id":"x","choices":[],"error":{"message":"it says so","code":502},"provider":"p"}`,
			},
		},
		{
			name:   "Ollama's error",
			script: reply(200, `{"error":"model is busy"}`, jsonType),
			code:   connect.CodeUnknown,
			detail: &restv1.Error{Message: "model is busy", HttpStatus: 200, ExtraJson: `{"error":"model is busy"}`},
		},
		{
			name:   "vLLM's error of old",
			script: reply(200, `{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}`, jsonType),
			code:   connect.CodeInvalidArgument,
			detail: &restv1.Error{Message: "too long", Type: "BadRequestError", HttpStatus: 200, ExtraJson: `{"object":"error","code":400}`},
		},
	}
	for _, kind := range []struct {
		kind, code string
		want       connect.Code
	}{
		{"rate_limit_error", "", connect.CodeResourceExhausted},
		{"requests", "rate_limit_exceeded", connect.CodeResourceExhausted},
		{"insufficient_quota", "insufficient_quota", connect.CodeResourceExhausted},
		{"invalid_request_error", "", connect.CodeInvalidArgument},
		{"authentication_error", "", connect.CodeUnauthenticated},
		{"invalid_request_error", "invalid_api_key", connect.CodeUnauthenticated},
		{"permission_error", "", connect.CodePermissionDenied},
		{"not_found_error", "", connect.CodeNotFound},
		{"invalid_request_error", "model_not_found", connect.CodeNotFound},
		{"overloaded_error", "", connect.CodeUnavailable},
		{"server_error", "", connect.CodeInternal},
		{"internal_server_error", "", connect.CodeInternal},
		{"", "429", connect.CodeResourceExhausted},
		{"surprising_error", "", connect.CodeUnknown},
		{"", "", connect.CodeUnknown},
	} {
		detail := &restv1.Error{Message: "it says so", Type: kind.kind, Code: new(kind.code), HttpStatus: 200}
		failures = append(failures,
			failing{
				name:   fmt.Sprintf("an error of type %q and code %q", kind.kind, kind.code),
				script: reply(200, says(kind.kind, kind.code), jsonType),
				code:   kind.want,
				detail: detail,
			},
			failing{
				name:   fmt.Sprintf("an event with an error of type %q and code %q", kind.kind, kind.code),
				script: stream(event(says(kind.kind, kind.code)), done),
				ways:   []string{streaming},
				code:   kind.want,
				detail: detail,
			},
		)
	}
	checkErrors(t, failures)
}
