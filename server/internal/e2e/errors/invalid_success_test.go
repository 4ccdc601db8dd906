package errors_test

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
)

// A response with status 200 can be an error: stated in the body, because of a
// malformed body, or because of a missing one.
func TestInvalidSuccess_IsError(t *testing.T) {
	t.Parallel()
	says := func(kind, code string) string {
		return fmt.Sprintf(`{"error":{"message":"it says so","type":%q,"code":%q}}`, kind, code)
	}
	failures := []e2etest.FailureCase{
		{
			Name:    "empty body",
			Script:  e2etest.Reply(200, "", e2etest.JSONType, "X-Request-Id: req_1"),
			Methods: []string{e2etest.UnaryMethod},
			Code:    connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with an empty body", Type: "upstream_error", HttpStatus: 200, RequestId: "req_1",
			},
		},
		{
			Name:    "empty body instead of a stream",
			Script:  e2etest.Reply(200, "", e2etest.JSONType),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with an empty body instead of an event stream", Type: "upstream_error", HttpStatus: 200,
			},
		},
		{
			Name:    "empty stream",
			Script:  e2etest.StreamWith([]string{"X-Request-Id: req_1"}),
			Methods: []string{e2etest.StreamMethod},
			Code:    connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream's stream ended before its first event", Type: "upstream_error", HttpStatus: 200, RequestId: "req_1",
			},
		},
		{
			Name:     "status 204",
			Script:   e2etest.Reply(204, ""),
			Code:     connect.CodeInternal,
			Contains: []string{"204 No Content", "empty body"},
		},
		{
			Name:     "HTML page",
			Script:   e2etest.Reply(200, "<html><head><title>Log in to the Wi-Fi</title></head></html>", e2etest.HTMLType),
			Code:     connect.CodeInternal,
			Contains: []string{"200 OK", "an HTML page (“Log in to the Wi-Fi”)"},
		},
		{
			Name:     "text",
			Script:   e2etest.Reply(200, "OK", "Content-Type: text/plain"),
			Code:     connect.CodeInternal,
			Contains: []string{"200 OK", "text/plain"},
		},
		{
			Name:     "HTML page without a content type",
			Script:   e2etest.Reply(200, "<!doctype html><title>Hi</title>"),
			Code:     connect.CodeInternal,
			Contains: []string{"200 OK", "an HTML page (“Hi”)"},
		},
		{
			Name:    "malformed JSON",
			Script:  e2etest.Reply(200, `{"choices":[{"index":0,"message":{"content":"x",}}]}`, e2etest.JSONType),
			Methods: []string{e2etest.UnaryMethod},
			Code:    connect.CodeInternal,
			Detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with an invalid body: " +
					"malformed JSON at byte 48, in choices[0].message: expected a string",
				Type: "upstream_error", HttpStatus: 200, BodyExcerpt: `{"choices":[{"index":0,"message":{"content":"x",}}]}`,
			},
		},
		{
			Name:     "JSON that is not an object",
			Script:   e2etest.Reply(200, `[]`, e2etest.JSONType),
			Methods:  []string{e2etest.UnaryMethod},
			Code:     connect.CodeInternal,
			Contains: []string{"malformed JSON at byte 0: expected an object"},
		},
		{
			Name:     "two JSON objects",
			Script:   e2etest.Reply(200, e2etest.Completion("a")+e2etest.Completion("b"), e2etest.JSONType),
			Methods:  []string{e2etest.UnaryMethod},
			Code:     connect.CodeInternal,
			Contains: []string{fmt.Sprintf("malformed JSON at byte %d: unexpected data after the value", len(e2etest.Completion("a")))},
		},
		{
			Name:     "text that is not UTF-8",
			Script:   e2etest.Reply(200, strings.Replace(e2etest.Completion("x"), `"x"`, "\"\xff\"", 1), e2etest.JSONType),
			Methods:  []string{e2etest.UnaryMethod},
			Code:     connect.CodeInternal,
			Contains: []string{"in choices[0].message.content: invalid UTF-8"},
		},
		{
			Name:     "unrequested content coding",
			Script:   e2etest.Reply(200, "\x0b\x02\x80{}\x03", e2etest.JSONType, "Content-Encoding: br"),
			Code:     connect.CodeInternal,
			Contains: []string{"200 OK", "a body in the encoding br", "not requested"},
		},
		{
			Name:     "two unrequested content codings",
			Script:   e2etest.Reply(200, e2etest.Gzip(e2etest.Gzip(e2etest.Completion("Hello!"))), e2etest.JSONType, "Content-Encoding: gzip, gzip"),
			Code:     connect.CodeInternal,
			Contains: []string{"200 OK", "a body in the encoding gzip, gzip", "not requested"},
		},
		{
			Name:   "error without a content type",
			Script: e2etest.Reply(200, says("", "rate_limit_exceeded")),
			Code:   connect.CodeResourceExhausted,
			Detail: &restv1.Error{Message: "it says so", Code: new("rate_limit_exceeded"), HttpStatus: 200},
		},
		{
			Name:   "error next to choices",
			Script: e2etest.Reply(200, `{"id":"x","choices":[],"error":{"message":"it says so","code":502},"provider":"p"}`, e2etest.JSONType),
			Code:   connect.CodeUnavailable,
			Detail: &restv1.Error{
				Message: "it says so", HttpStatus: 200, ExtraJson: `{"code":502}`,
				BodyExcerpt: `{"id":"x","choices":[],"error":{"message":"it says so","code":502},"provider":"p"}`,
			},
		},
		{
			Name:   "Ollama error",
			Script: e2etest.Reply(200, `{"error":"model is busy"}`, e2etest.JSONType),
			Code:   connect.CodeUnknown,
			Detail: &restv1.Error{Message: "model is busy", HttpStatus: 200, ExtraJson: `{"error":"model is busy"}`},
		},
		{
			Name:   "old vLLM error",
			Script: e2etest.Reply(200, `{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}`, e2etest.JSONType),
			Code:   connect.CodeInvalidArgument,
			Detail: &restv1.Error{Message: "too long", Type: "BadRequestError", HttpStatus: 200, ExtraJson: `{"object":"error","code":400}`},
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
			e2etest.FailureCase{
				Name:   fmt.Sprintf("error of type %q and code %q", kind.kind, kind.code),
				Script: e2etest.Reply(200, says(kind.kind, kind.code), e2etest.JSONType),
				Code:   kind.want,
				Detail: detail,
			},
			e2etest.FailureCase{
				Name:    fmt.Sprintf("event with an error of type %q and code %q", kind.kind, kind.code),
				Script:  e2etest.Stream(e2etest.Event(says(kind.kind, kind.code)), e2etest.DoneEvent),
				Methods: []string{e2etest.StreamMethod},
				Code:    kind.want,
				Detail:  detail,
			},
		)
	}
	checkErrors(t, failures)
}
