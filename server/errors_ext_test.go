package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openai/rest/v1"
	"github.com/openai-connect/openai-connect/server"
)

// failing is a script that ends in an error, and the error.
type failing struct {
	name   string
	script script
	ways   []string // nil means both

	code connect.Code
	// detail is the detail in full. Its message is the error's.
	detail *restv1.Error
	// says, where there is no detail to compare, is what the message contains.
	says []string
	// texts is how many chunks come before the error, or anyNumber.
	texts int
}

const (
	anyNumber = -1
	// upstreamHost stands for the upstream's host and port in a detail.
	upstreamHost = "UPSTREAM"
)

// checkFailures has every client ask for each of the failures, both ways.
func checkFailures(t *testing.T, config server.Config, failures []failing) {
	t.Helper()
	scripts := make(map[string]script)
	for _, f := range failures {
		scripts[f.name] = f.script
	}
	config.Upstream = serveScripts(t, scripts)
	front := startFront(t, config)
	clients := libraryClients(t, front)
	for _, f := range failures {
		if f.detail != nil {
			f.detail = proto.CloneOf(f.detail)
			f.detail.Message = strings.ReplaceAll(f.detail.GetMessage(), upstreamHost, strings.TrimPrefix(config.Upstream, "http://"))
		}
		t.Run(f.name, func(t *testing.T) {
			for _, client := range clients {
				for _, way := range bothWays {
					if f.ways != nil && !slices.Contains(f.ways, way) {
						continue
					}
					t.Run(client.name+" "+way, func(t *testing.T) {
						f.check(t, question{way: way, script: f.name}.ask(t, client))
					})
				}
			}
		})
	}
}

func (f failing) check(t *testing.T, got answered) {
	t.Helper()
	if got.failed == nil {
		t.Fatalf("the call succeeded: %q", got.texts)
	}
	if got.failed.code != f.code {
		t.Errorf("the code is %v, not %v", got.failed.code, f.code)
	}
	if f.texts != anyNumber && len(got.texts) != f.texts {
		t.Errorf("%d chunks came before the error, not %d", len(got.texts), f.texts)
	}
	for _, text := range f.says {
		if !strings.Contains(got.failed.message, text) {
			t.Errorf("the message %q doesn't say %q", got.failed.message, text)
		}
	}
	if f.detail != nil {
		if !proto.Equal(got.failed.detail, f.detail) {
			t.Errorf("the detail is\n%v, not\n%v", got.failed.detail, f.detail)
		}
		if got.failed.message != f.detail.GetMessage() {
			t.Errorf("the message is %q, not %q", got.failed.message, f.detail.GetMessage())
		}
	}
	if got.failed.detail.GetMessage() != got.failed.message {
		t.Errorf("the detail's message %q is not the error's %q", got.failed.detail.GetMessage(), got.failed.message)
	}
}

// Every status of an error has its code, whatever the body, and the error is
// the upstream's own.
func TestAnErrorStatusHasItsCode(t *testing.T) {
	t.Parallel()
	codes := map[connect.Code][]int{
		connect.CodeInvalidArgument:    {400, 413, 415, 422},
		connect.CodeUnauthenticated:    {401},
		connect.CodePermissionDenied:   {403},
		connect.CodeNotFound:           {404},
		connect.CodeUnimplemented:      {405, 501},
		connect.CodeDeadlineExceeded:   {408, 504},
		connect.CodeAborted:            {409},
		connect.CodeFailedPrecondition: {412, 406, 410, 411, 414, 418, 421, 423, 424, 425, 428, 431, 444, 451, 460, 498},
		connect.CodeResourceExhausted:  {402, 429},
		connect.CodeCanceled:           {499},
		connect.CodeUnavailable:        {502, 503, 520, 521, 522, 523, 524, 525, 526, 529},
		connect.CodeInternal:           {500, 505, 507, 508, 511, 527, 530, 599, 600, 999},
	}
	var failures []failing
	for code, statuses := range codes {
		for _, status := range statuses {
			message := fmt.Sprintf("what %d is about", status)
			failures = append(failures, failing{
				name: strconv.Itoa(status),
				script: reply(status, `{"error":{"message":"`+message+`","type":"some_error","param":"messages[0]","code":"some_code"}}`,
					jsonType, fmt.Sprint("X-Request-Id: req_", status)),
				code: code,
				detail: &restv1.Error{
					Message: message, Type: "some_error", Param: new("messages[0]"), Code: new("some_code"),
					HttpStatus: int32(status), RequestId: fmt.Sprint("req_", status),
				},
			})
		}
	}
	checkFailures(t, server.Config{}, failures)
}

// The body of an error is OpenAI's, or that of an upstream which is nearly
// OpenAI, or of something on the way that isn't.
func TestTheBodyOfAnErrorIsRead(t *testing.T) {
	t.Parallel()
	page := "<!DOCTYPE html>\n<html><head><title>\n  502 Bad\n  Gateway </title></head><body>" + strings.Repeat("nginx ", 200) + "</body></html>"
	checkFailures(t, server.Config{}, []failing{
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
			says:   []string{"500 Internal Server Error", "gzip", "not asked for"},
		},
		{
			name:   "a redirect",
			script: reply(307, "", "Location: https://elsewhere.example/v1/chat/completions"),
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 307 Temporary Redirect, a redirect, which is not followed",
				Type:    "upstream_error", HttpStatus: 307,
			},
		},
		{
			name:   "a redirect with a page",
			script: reply(301, "<html><title>Moved</title></html>", htmlType, "Location: /elsewhere"),
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
			name:   "JSON where a stream was asked for",
			script: reply(200, completion("Hello!"), jsonType),
			ways:   []string{streaming},
			code:   connect.CodeInternal,
			detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with JSON where a stream was asked for",
				Type:    "upstream_error", HttpStatus: 200, BodyExcerpt: completion("Hello!"),
			},
		},
		{
			name:   "a stream where JSON was asked for",
			script: stream(chunk(0, "Hello!"), done),
			ways:   []string{unary},
			code:   connect.CodeInternal,
			says:   []string{"the upstream answered 200 OK, with text/event-stream where JSON was expected"},
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
			name:   "gzip that nobody asked for",
			script: reply(200, gzipped(completion("Hello!")), jsonType, "Content-Encoding: gzip"),
			code:   connect.CodeInternal,
			says:   []string{"200 OK", "gzip", "not asked for"},
		},
		{
			name:   "a stream in gzip that nobody asked for",
			script: streamWith([]string{"Content-Encoding: gzip"}, gzipped(chunk(0, "Hello!")+done)),
			code:   connect.CodeInternal,
			says:   []string{"200 OK", "gzip", "not asked for"},
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
			detail: &restv1.Error{Message: "it says so", HttpStatus: 200, ExtraJson: `{"code":502}`},
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
	checkFailures(t, server.Config{}, failures)
}

// An error event ends a stream, however it is marked, and wherever it stands.
func TestAnErrorEventEndsAStream(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}`
	detail := &restv1.Error{Message: "The server had an error", Type: "server_error", HttpStatus: 200, RequestId: "req_1"}
	fields := []string{"X-Request-Id: req_1"}
	failures := []failing{
		{
			name:   "as data, first of all",
			script: streamWith(fields, event(body)),
			code:   connect.CodeInternal, detail: detail,
		},
		{
			name:   "as data, after messages",
			script: streamWith(fields, chunk(0, "a"), chunk(0, "b"), event(body)),
			code:   connect.CodeInternal, detail: detail, texts: 2,
		},
		{
			name:   "as data, together with messages",
			script: streamWith(fields, chunk(0, "a")+chunk(0, "b")+event(body)+done),
			code:   connect.CodeInternal, detail: detail, texts: 2,
		},
		{
			name:   "by its name, first of all",
			script: streamWith(fields, "event: error\n"+event(body)),
			code:   connect.CodeInternal, detail: detail,
		},
		{
			name:   "by its name, after messages",
			script: streamWith(fields, chunk(0, "a"), "event: error\n"+event(body), done),
			code:   connect.CodeInternal, detail: detail, texts: 1,
		},
		{
			name:   "after the finish_reason",
			script: streamWith(fields, chunk(0, "a"), finish(0, "stop"), event(body), done),
			code:   connect.CodeInternal, detail: detail, texts: 2,
		},
		{
			name:   "cut off",
			script: streamWith(fields, chunk(0, "a"), "event: error\ndata: "+body),
			code:   connect.CodeInternal, detail: detail, texts: 1,
		},
		{
			name:   "inside a chunk",
			script: streamWith(fields, event(strings.TrimSuffix(body, "}")+`,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"error"}]}`)),
			code:   connect.CodeInternal, detail: detail,
		},
		{
			name:   "by its name, bare",
			script: stream("event: error\n" + event(`{"message":"slow down","type":"rate_limit_error"}`)),
			code:   connect.CodeResourceExhausted,
			detail: &restv1.Error{Message: "slow down", Type: "rate_limit_error", HttpStatus: 200},
		},
		{
			name:   "by its name, as text",
			script: stream(chunk(0, "a"), "event: error\n"+event("the GPU fell off the bus")),
			code:   connect.CodeUnknown,
			detail: &restv1.Error{
				Message:    "the upstream's stream ended after 1 event: an error event came",
				HttpStatus: 200, Type: "upstream_error", BodyExcerpt: "the GPU fell off the bus",
			},
			texts: 1,
		},
		{
			name:   "by its name, without data",
			script: stream("event: error\ndata\n\n"),
			code:   connect.CodeUnknown,
			detail: &restv1.Error{
				Message: "the upstream's stream ended after 0 events: an error event came", HttpStatus: 200, Type: "upstream_error",
			},
		},
	}
	for i := range failures {
		failures[i].ways = []string{streaming}
	}
	checkFailures(t, server.Config{}, failures)
}

// After which time to try again is told as google.rpc.RetryInfo, on every kind
// of error that the upstream states.
func TestRetryAfterIsRetryInfo(t *testing.T) {
	t.Parallel()
	const (
		body  = `{"error":{"message":"slow down","type":"rate_limit_error"}}`
		never = time.Duration(-1)
	)
	soon := time.Now().Add(time.Hour)
	tests := []struct {
		name   string
		script script
		least  time.Duration
		most   time.Duration
	}{
		{"in seconds", reply(429, body, jsonType, "Retry-After: 20"), 20 * time.Second, 20 * time.Second},
		{"in no time", reply(429, body, jsonType, "Retry-After: 0"), 0, 0},
		{"in part of a second", reply(429, body, jsonType, "Retry-After: 0.25"), 250 * time.Millisecond, 250 * time.Millisecond},
		{"in milliseconds", reply(429, body, jsonType, "Retry-After-Ms: 1500"), 1500 * time.Millisecond, 1500 * time.Millisecond},
		{
			"in milliseconds, which are more exact", reply(429, body, jsonType, "Retry-After: 2", "Retry-After-Ms: 1500"),
			1500 * time.Millisecond, 1500 * time.Millisecond,
		},
		{
			"in milliseconds that are none, and seconds", reply(429, body, jsonType, "Retry-After: 2", "Retry-After-Ms: x"),
			2 * time.Second, 2 * time.Second,
		},
		{
			"by a date", reply(503, body, jsonType, "Retry-After: "+soon.UTC().Format(http.TimeFormat)),
			59 * time.Minute, time.Hour,
		},
		{"by a date that has passed", reply(503, body, jsonType, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"), 0, 0},
		{"with an error that isn't OpenAI's", reply(503, "busy", "Retry-After: 3"), 3 * time.Second, 3 * time.Second},
		{"with an error of status 200", reply(200, body, jsonType, "Retry-After: 3"), 3 * time.Second, 3 * time.Second},
		{"not at all", reply(429, body, jsonType), never, never},
		{"by a number below zero", reply(429, body, jsonType, "Retry-After: -1"), never, never},
		{"by a number beyond all bounds", reply(429, body, jsonType, "Retry-After: 1e300"), never, never},
		{"by what is no number", reply(429, body, jsonType, "Retry-After: NaN"), never, never},
		{"by what is no date", reply(429, body, jsonType, "Retry-After: tomorrow"), never, never},
	}
	scripts := make(map[string]script)
	for _, test := range tests {
		scripts[test.name] = test.script
	}
	clients := libraryClients(t, startFront(t, server.Config{Upstream: serveScripts(t, scripts)}))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, client := range clients {
				for _, way := range bothWays {
					got := question{way: way, script: test.name}.ask(t, client)
					if got.failed == nil {
						t.Fatalf("%s: the call succeeded", client.name)
					}
					delay := never
					if got.failed.retry != nil {
						delay = got.failed.retry.GetRetryDelay().AsDuration()
					}
					if delay < test.least || delay > test.most {
						t.Errorf("%s %s: the delay is %v, which is not between %v and %v", client.name, way, delay, test.least, test.most)
					}
				}
			}
		})
	}
}

// What the upstream's response headers say reaches the caller with an error
// too.
func TestResponseHeadersComeWithAnError(t *testing.T) {
	t.Parallel()
	fields := []string{
		"X-Request-Id: req_1", "Openai-Processing-Ms: 12", "X-Ratelimit-Remaining-Requests: 0", "Retry-After: 7",
		"X-Repeated: a", "X-Repeated: b",
	}
	scripts := map[string]script{
		"by its status":         reply(429, `{"error":{"message":"slow down"}}`, append(fields, jsonType)...),
		"by its body":           reply(200, `{"error":{"message":"slow down"}}`, append(fields, jsonType)...),
		"that can't be read":    reply(200, `{`, append(fields, jsonType)...),
		"in a stream":           streamWith(fields, event(`{"error":{"message":"slow down"}}`)),
		"of an unfinished call": streamWith(fields, chunk(0, "a")),
	}
	clients := libraryClients(t, startFront(t, server.Config{Upstream: serveScripts(t, scripts)}))
	for name := range scripts {
		t.Run(name, func(t *testing.T) {
			for _, client := range clients {
				for _, way := range bothWays {
					got := question{way: way, script: name}.ask(t, client)
					if got.failed == nil {
						t.Fatalf("%s %s: the call succeeded", client.name, way)
					}
					for _, field := range fields {
						key, value, _ := strings.Cut(field, ": ")
						if !slices.Contains(got.header.Values(key), value) {
							t.Errorf("%s %s: %s is %q, which lacks %q", client.name, way, key, got.header.Values(key), value)
						}
					}
				}
			}
		})
	}
}

// A header whose name ends in -bin is base64 to gRPC, whose clients fail a call
// where it isn't. The upstream knows nothing of that.
func TestAResponseHeaderThatLooksLikeBase64(t *testing.T) {
	t.Parallel()
	front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{
		"it": reply(200, completion("Hello!"), jsonType, "X-Text-Bin: not base64!", "X-Base64-Bin: SGVsbG8h", "X-Base64-Bin: SGk"),
	})})
	for _, client := range libraryClients(t, front) {
		got := question{way: unary, script: "it"}.ask(t, client)
		if got.failed != nil {
			t.Errorf("%s: %v", client.name, got.failed)
			continue
		}
		text, twice := []string{"bm90IGJhc2U2NCE"}, []string{"SGVsbG8h", "SGk"}
		if strings.Contains(client.name, "grpc-go") { // which decodes
			text, twice = []string{"not base64!"}, []string{"Hello!", "Hi"}
		}
		if values := got.header.Values("X-Text-Bin"); !slices.Equal(values, text) {
			t.Errorf("%s: the text is %q", client.name, values)
		}
		if values := got.header.Values("X-Base64-Bin"); !slices.Equal(values, twice) {
			t.Errorf("%s: the base64 is %q", client.name, values)
		}
	}
}
