package upstream_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// inEveryForm returns scripts for a response with status 200: as a unary response, as
// the first event of a stream, and as a body instead of a stream.
func inEveryForm(name, text string, fields ...string) map[string]e2etest.Script {
	return map[string]e2etest.Script{
		name:             e2etest.Reply(200, text, append(fields, e2etest.JSONType)...),
		name + ", event": e2etest.StreamWith(fields, e2etest.Event(text), e2etest.DoneEvent),
	}
}

// Servers report errors in various shapes with status 200.
func TestCompatible_ErrorsWithStatus200(t *testing.T) {
	t.Parallel()
	const empty = `"id":"c","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"message":{"role":"assistant","content":""},"finish_reason":null}]`
	var failures []e2etest.FailureCase
	for _, row := range []struct {
		name, text string
		code       connect.Code
		message    string
	}{
		{"a list", `{"error":[{"message":"no","code":429}]}`, connect.CodeResourceExhausted, "no"},
		{"a list of several", `{"error":[{"message":"no","type":"invalid_request_error"},{"message":"more"}]}`, connect.CodeInvalidArgument, "no"},
		{"a list of texts", `{"error":["no"]}`, connect.CodeUnknown, "no"},
		{"a list in an answer without output", `{"error":[{"message":"no","code":"503"}],` + empty + `}`, connect.CodeUnavailable, "no"},
		{"Gemini list", `[{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}]`, connect.CodeResourceExhausted, "no"},
		{"code and message", `{"code":401,"message":"no"}`, connect.CodeUnauthenticated, "no"},
		{"code and message, as text", `{"code":"404","message":"no"}`, connect.CodeNotFound, "no"},
		{"vendor code", `{"code":20012,"message":"no","data":null}`, connect.CodeUnknown, "no"},
		{"a negative code", `{"code":-1,"msg":"no"}`, connect.CodeUnknown, "no"},
		{"a word as code", `{"code":"InvalidApiKey","message":"no","request_id":"r"}`, connect.CodeUnknown, "no"},
		{"code and msg", `{"code":1001,"msg":"no","success":false}`, connect.CodeUnknown, "no"},
		{"code and message without output", `{"code":500,"message":"no",` + empty + `}`, connect.CodeInternal, "no"},
		{"code without a message", `{"code":503}`, connect.CodeUnavailable, "the upstream answered 200 OK"},
		{"code and null", `{"code":503,"message":null,"choices":null}`, connect.CodeUnavailable, "the upstream answered 200 OK"},
		{"MiniMax", `{"base_resp":{"status_code":1004,"status_msg":"no"}}`, connect.CodeUnknown, "no"},
		{"MiniMax without choices", `{"id":"c","choices":null,"base_resp":{"status_code":1008,"status_msg":"no"}}`, connect.CodeUnknown, "no"},
		{"MiniMax without output", `{` + empty + `,"base_resp":{"status_code":1002,"status_msg":"no"}}`, connect.CodeUnknown, "no"},
		{"FastAPI", `{"detail":"no"}`, connect.CodeUnknown, "no"},
		{"FastAPI list", `{"detail":[{"msg":"no"}]}`, connect.CodeUnknown, `[{"msg":"no"}]`},
		{"error without an envelope", `{"object":"error","message":"no","code":400}`, connect.CodeInvalidArgument, "no"},
		{"a type", `{"type":"invalid_request_error","message":"no"}`, connect.CodeInvalidArgument, "no"},
		{"a status", `{"status":"error","message":"no"}`, connect.CodeUnknown, "no"},
		{"a flag", `{"error":true,"message":"no"}`, connect.CodeUnknown, "no"},
		{"a flag of success", `{"success":false,"message":"no"}`, connect.CodeUnknown, "no"},
		{"Cloudflare", `{"success":false,"errors":[{"code":7003,"message":"no"}],"messages":[],"result":null}`, connect.CodeUnknown, "no"},
		{"Baidu", `{"error_code":17,"error_msg":"no"}`, connect.CodeUnknown, "no"},
		{"Anthropic", `{"type":"error","error":{"type":"overloaded_error","message":"no"}}`, connect.CodeUnavailable, "no"},
		{"OpenAI with another message field", `{"error":{"msg":"no","code":429}}`, connect.CodeResourceExhausted, "no"},
		{"after a byte order mark", "\uFEFF" + `{"code":429,"message":"no"}`, connect.CodeResourceExhausted, "no"},
	} {
		for name, script := range inEveryForm(row.name, row.text) {
			f := e2etest.FailureCase{Name: name, Script: script, Code: row.code, Contains: []string{row.message}}
			if row.name == "Gemini list" && strings.HasSuffix(name, ", event") {
				continue // A list is not a valid event.
			}
			failures = append(failures, f)
		}
	}
	e2etest.CheckFailures(t, server.Config{}, failures)
}

// The same fields in successful responses, or next to output, are not errors. They
// stay in extra_json.
func TestCompatible_SuccessesWithStatus200(t *testing.T) {
	t.Parallel()
	var rows []compatibleResponse
	for _, extra := range []string{
		`"base_resp":{"status_code":0,"status_msg":""}`,
		`"base_resp":{"status_code":0,"status_msg":"success"}`,
		`"base_resp":{"status_code":1000,"status_msg":"slow"}`,
		`"code":0`, `"code":"0"`, `"code":200`, `"code":"200"`, `"code":"success"`, `"code":"OK"`, `"code":null`, `"code":""`,
		`"code":0,"message":"ok"`, `"code":200,"msg":"success"`, `"code":0,"message":"success","success":true`,
		`"code":500,"message":"half of it"`, `"error":[{"message":"a warning","code":500}]`, `"error":[]`, `"error":[{}]`,
		`"error":{"code":0,"message":"success"}`, `"error":{"code":"","message":""}`, `"error":{"message":null}`, `"error":"null"`, `"error":0`,
		`"errors":[]`, `"errors":[{"message":"a warning"}]`, `"detail":"of no error"`, `"message":"hello"`, `"status":"completed"`, `"status":"error"`,
		`"success":true`, `"type":"completion"`,
	} {
		whole := strings.TrimSuffix(e2etest.Completion("Hello!"), "}") + "," + extra + "}"
		piece := strings.Replace(e2etest.Chunk(0, "Hello!"), `{"id"`, `{`+extra+`,"id"`, 1)
		rows = append(rows,
			compatibleResponse{"completion with " + extra, body(whole, "application/json"), facts{"choices[0].message.content": "Hello!", "extra_json": "{" + extra + "}"}, nil, 0},
			compatibleResponse{"stream with " + extra, e2etest.Stream(piece, e2etest.Finish(0, "stop"), e2etest.DoneEvent), nil, facts{"[0].choices[0].delta.content": "Hello!", "[0].extra_json": "{" + extra + "}"}, 2},
		)
	}
	// A stream may report success or metadata before any output.
	for _, first := range []string{
		`{"code":0,"choices":[]}`, `{"base_resp":{"status_code":0,"status_msg":""},"choices":[]}`, `{"status":"in_progress","choices":[]}`, `{"type":"ping"}`,
		`{"message":"in the queue"}`, `{"code":200,"message":"begun"}`, `{"object":"queue","status":"waiting","message":"3 before you"}`,
	} {
		rows = append(rows, compatibleResponse{
			"stream after " + first, e2etest.Stream(e2etest.Event(first), e2etest.Chunk(0, "Hello!"), e2etest.Finish(0, "stop"), e2etest.DoneEvent), nil, facts{"[1].choices[0].delta.content": "Hello!"}, 3,
		})
	}
	checkCompatible(t, rows)
}

// Choices that contain errors fail the call if all of them failed.
func TestCompatible_ErrorsOfChoices(t *testing.T) {
	t.Parallel()
	const failure = `"error":{"message":"out of memory","code":503}`
	whole := func(choices ...string) string {
		return `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[` + strings.Join(choices, ",") + `]}`
	}
	piece := func(choices ...string) string {
		return e2etest.Event(strings.Replace(whole(choices...), "completion", "completion.chunk", 1))
	}
	const (
		failed      = `{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"error",` + failure + `}`
		failedBare  = `{"index":1,"error":"out of memory"}`
		partly      = `{"index":1,"message":{"role":"assistant","content":"Half"},"finish_reason":"error",` + failure + `}`
		fine        = `{"index":1,"message":{"role":"assistant","content":"Fine."},"finish_reason":"stop"}`
		fails       = `{"index":0,"delta":{"content":""},"finish_reason":"error",` + failure + `}`
		failsBare   = `{"index":0,` + failure + `}`
		failsToo    = `{"index":1,"delta":{},"finish_reason":null,"error":[{"message":"too long"}]}`
		goesOn      = `{"index":1,"delta":{"content":"Fine."},"finish_reason":"stop"}`
		errorIsNone = `{"index":0,"delta":{"role":"assistant"},"error":{"code":0,"message":"success"}}`
	)
	failures := []e2etest.FailureCase{
		{Name: "only choice", Script: e2etest.Reply(200, whole(failed), e2etest.JSONType), Contains: []string{"out of memory"}, Code: connect.CodeUnavailable},
		{Name: "both choices", Script: e2etest.Reply(200, whole(failed, failedBare), e2etest.JSONType), Contains: []string{"out of memory"}, Code: connect.CodeUnavailable},
		{Name: "as text", Script: e2etest.Reply(200, whole(failedBare), e2etest.JSONType), Contains: []string{"out of memory"}, Code: connect.CodeUnknown},
		{Name: "in a stream", Script: e2etest.Stream(piece(fails), e2etest.DoneEvent), Contains: []string{"out of memory"}, Code: connect.CodeUnavailable},
		{Name: "in a stream, without a delta", Script: e2etest.Stream(piece(failsBare), e2etest.DoneEvent), Contains: []string{"out of memory"}, Code: connect.CodeUnavailable},
		{Name: "in a stream, after some text", Script: e2etest.Stream(e2etest.Chunk(0, "a"), piece(fails), e2etest.DoneEvent), Chunks: e2etest.AnyNumber, Contains: []string{"out of memory"}, Code: connect.CodeUnavailable},
		{
			Name: "all choices of a stream, in several events", Script: e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Chunk(1, "b"), piece(failsBare), piece(failsToo), e2etest.DoneEvent),
			Chunks: e2etest.AnyNumber, Contains: []string{"too long"}, Code: connect.CodeUnknown,
		},
		{Name: "all choices of a stream, in one event", Script: e2etest.Stream(piece(fails, failsToo), e2etest.DoneEvent), Contains: []string{"out of memory"}, Code: connect.CodeUnavailable},
	}
	e2etest.CheckFailures(t, server.Config{}, failures)
	checkCompatible(t, []compatibleResponse{
		{"one of two choices", body(whole(failed, fine), "application/json"), facts{
			"choices[0].extra_json": `{"finish_reason":"error",` + failure + `}`, "choices[1].message.content": "Fine.",
		}, facts{"[0].choices[0].extra_json": `{"finish_reason":"error",` + failure + `}`, "[1].choices[0].delta.content": "Fine."}, 2},
		{"choice with a text", body(whole(failed, partly), "application/json"), facts{"choices[1].message.content": "Half"}, nil, 0},
		{"empty error", e2etest.Stream(piece(errorIsNone), e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop")), nil, facts{"[1].choices[0].delta.content": "a"}, 3},
	})

	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"[DONE]":          e2etest.Stream(e2etest.Chunk(0, "a"), piece(failsBare), piece(goesOn), e2etest.DoneEvent),
		"end of the body": e2etest.Stream(e2etest.Chunk(0, "a"), piece(failsBare), piece(goesOn)),
	})})
	for _, client := range e2etest.LibraryClients(t, front) {
		for _, script := range []string{"[DONE]", "end of the body"} {
			got := e2etest.ScriptedCall{Method: e2etest.StreamMethod, Script: script, Choices: 2}.Do(t, client)
			if got.Err != nil || strings.Join(got.Chunks, "|") != "a||Fine." {
				t.Errorf("%s, one of two choices in a stream that ends with %s: got texts %q and error %v", client.Name, script, got.Chunks, got.Err)
			}
		}
	}
}

// Errors with a retry delay in the body only.
func TestCompatible_RetryInfoFromBody(t *testing.T) {
	t.Parallel()
	google := func(delay string) string {
		return `{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{}]},` +
			`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":` + delay + `}]}}`
	}
	quoted, err := json.Marshal(google(`"3s"`))
	if err != nil {
		t.Fatal(err)
	}
	var failures []e2etest.FailureCase
	for name, row := range map[string]struct {
		text  string
		retry *e2etest.Delay
	}{
		"Google's":                            {google(`"34.074824224s"`), e2etest.After(34074824224 * time.Nanosecond)},
		"Google in a list":                    {`[` + google(`"2s"`) + `]`, e2etest.After(2 * time.Second)},
		"Google zero":                         {google(`"0s"`), e2etest.After(0)},
		"Google as an object":                 {google(`{"seconds":2,"nanos":500000000}`), e2etest.After(2500 * time.Millisecond)},
		"Google invalid":                      {google(`"soon"`), nil},
		"Google negative":                     {google(`"-3s"`), nil},
		"Google too large":                    {google(`1e300`), nil},
		"Google quoted by a gateway":          {`{"error":{"message":"slow down","code":429,"metadata":{"raw":` + string(quoted) + `}}}`, e2etest.After(3 * time.Second)},
		"seconds in the error":                {`{"error":{"message":"slow down","code":429,"retry_after":1.5}}`, e2etest.After(1500 * time.Millisecond)},
		"seconds as a string":                 {`{"error":{"message":"slow down","code":429,"retry_after":"7"}}`, e2etest.After(7 * time.Second)},
		"seconds next to the error":           {`{"error":{"message":"slow down","code":429},"retry_after":4}`, e2etest.After(4 * time.Second)},
		"retry_after_seconds":                 {`{"error":{"message":"slow down","code":429,"retry_after_seconds":4}}`, e2etest.After(4 * time.Second)},
		"milliseconds":                        {`{"error":{"message":"slow down","code":429,"retry_after_ms":250}}`, e2etest.After(250 * time.Millisecond)},
		"without an envelope":                 {`{"code":429,"message":"slow down","retryAfter":9}`, e2etest.After(9 * time.Second)},
		"header in the metadata":              {`{"error":{"message":"slow down","code":429,"metadata":{"headers":{"Retry-After":"5"}}}}`, e2etest.After(5 * time.Second)},
		"absent":                              {`{"error":{"message":"slow down","code":429}}`, nil},
		"null, with retryable":                {`{"error":{"message":"slow down","code":429,"retry_after":null,"retryable":true}}`, nil},
		"field name in the message":           {`{"error":{"message":"slow down; retry_after: 7","code":429}}`, nil},
		"negative seconds":                    {`{"error":{"message":"slow down","code":429,"retry_after":-7}}`, nil},
		"hours":                               {`{"error":{"message":"slow down","code":429,"retry_after":"1h"}}`, e2etest.After(time.Hour)},
		"milliseconds, which take precedence": {`{"error":{"message":"slow down","code":429,"retry_after":1,"retry_after_ms":250}}`, e2etest.After(250 * time.Millisecond)},
		"milliseconds next to the error":      {`{"error":{"message":"slow down","code":429},"retry_after_ms":"250"}`, e2etest.After(250 * time.Millisecond)},
	} {
		failures = append(failures, e2etest.FailureCase{
			Name: name, Script: e2etest.Reply(429, row.text, e2etest.JSONType), Code: connect.CodeResourceExhausted, Contains: []string{"slow down"}, Retry: row.retry,
		})
		if strings.HasPrefix(row.text, "[") {
			continue
		}
		for place, script := range inEveryForm(name+", status 200", row.text) {
			failures = append(failures, e2etest.FailureCase{Name: place, Script: script, Code: connect.CodeResourceExhausted, Contains: []string{"slow down"}, Retry: row.retry})
		}
	}
	failures = append(failures, e2etest.FailureCase{
		Name: "header takes precedence", Script: e2etest.Reply(429, google(`"34s"`), e2etest.JSONType, "Retry-After: 2"),
		Code: connect.CodeResourceExhausted, Contains: []string{"slow down"}, Retry: e2etest.After(2 * time.Second),
	}, e2etest.FailureCase{
		Name: "error event", Script: e2etest.Stream(e2etest.Chunk(0, "a"), "event: error\n"+e2etest.Event(google(`"4s"`))),
		Code: connect.CodeResourceExhausted, Contains: []string{"slow down"}, Retry: e2etest.After(4 * time.Second), Chunks: e2etest.AnyNumber,
	})
	e2etest.CheckFailures(t, server.Config{}, failures)
}

// The trailers of an error repeat the upstream's metadata. The test reads them in
// each protocol.
func TestTrailers_RepeatMetadataOfError(t *testing.T) {
	t.Parallel()
	fields := []string{
		"X-Request-Id: req_1", "Retry-After: 7", "Retry-After-Ms: 7000", "X-Should-Retry: true", "X-Ratelimit-Remaining-Requests: 0",
		"Openai-Processing-Ms: 12", "X-Repeated: a", "X-Repeated: b", "X-Key-Bin: AP8gYmluYXJ5",
	}
	large := append(slices.Clone(fields), "A-Large: "+strings.Repeat("x", 20_000), "Cache-Control: no-store", "Set-Cookie: a=b", "Server: s")
	const limited = `{"error":{"message":"slow down","type":"rate_limit_error"}}`
	scripts := map[string]e2etest.Script{
		"status":     e2etest.Reply(429, limited, append(large, e2etest.JSONType)...),
		"body":       e2etest.Reply(200, limited, append(large, e2etest.JSONType)...),
		"unreadable": e2etest.Reply(200, `{`, append(large, e2etest.JSONType)...),
		"stream":     e2etest.StreamWith(large, e2etest.Chunk(0, "a"), e2etest.Event(limited)),
		"unfinished": e2etest.StreamWith(large, e2etest.Chunk(0, "a")),
		"success":    e2etest.Reply(200, e2etest.Completion("a"), append(large, e2etest.JSONType)...),
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for name := range scripts {
		for _, method := range e2etest.Methods {
			for protocol, trailer := range trailersOf(t, front, method, name) {
				// Connect's clients merge the headers of an error, which would be duplicated.
				if name == "success" || protocol == "Connect" {
					if got := trailer["Retry-After"]; got != nil {
						t.Errorf("%s, %s of %s: got trailers %q, want none", protocol, name, method, trailer)
					}
					continue
				}
				for _, field := range fields {
					key, value, _ := strings.Cut(field, ": ")
					if key == "X-Key-Bin" && protocol == "grpc-go" {
						value = "\x00\xff binary"
					}
					if !slices.Contains(trailer[key], value) {
						t.Errorf("%s, %s of %s: got %s %q, want it to contain %q", protocol, name, method, key, trailer[key], value)
					}
				}
				for _, stays := range []string{"A-Large", "Cache-Control", "Set-Cookie", "Server", "Content-Type", "Content-Length"} {
					if trailer[stays] != nil && protocol != "grpc-go" {
						t.Errorf("%s, %s of %s: got trailer %s: %.100q, want none", protocol, name, method, stays, trailer[stays])
					}
				}
			}
		}
	}
}

// trailersOf returns the trailers of a call in each protocol.
func trailersOf(t *testing.T, front *servertest.Front, method, script string) map[string]http.Header {
	t.Helper()
	procedure := strings.TrimSuffix(e2etest.CreateProcedure, e2etest.UnaryMethod) + method
	message, err := proto.Marshal(e2etest.Hello())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]http.Header{"grpc-go": make(http.Header)}

	ctx := metadata.AppendToOutgoingContext(e2etest.Context(t), e2etest.ScriptHeader, script, "authorization", "Bearer "+servertest.Key)
	stream, err := front.GRPC(t).NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, procedure)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(e2etest.Hello()); err != nil {
		t.Fatal(err)
	}
	_ = stream.CloseSend()
	for err == nil {
		var received proto.Message = new(chatv1.ChatCompletion)
		if method == e2etest.StreamMethod {
			received = new(chatv1.ChatCompletionChunk)
		}
		err = stream.RecvMsg(received)
	}
	for name, values := range stream.Trailer() {
		all["grpc-go"][textproto.CanonicalMIMEHeaderKey(name)] = values
	}

	run := func(media, body string) (*http.Response, string) {
		return e2etest.HTTPRequest{
			Method: http.MethodPost, Path: procedure, Body: body,
			Header: http.Header{"Content-Type": {media}, e2etest.ScriptHeader: {script}, "Connect-Protocol-Version": {"1"}},
		}.Do(e2etest.Context(t), t, front)
	}
	_, text := run("application/grpc-web+proto", string(e2etest.Envelope(0, message)))
	all["gRPC-Web"] = parseFields(t, lastFrame(t, text))
	if method == e2etest.UnaryMethod {
		response, _ := run("application/proto", string(message))
		all["Connect"] = make(http.Header)
		for name, values := range response.Header {
			if name, ok := strings.CutPrefix(name, "Trailer-"); ok {
				all["Connect"][name] = values
			}
		}
		return all
	}
	_, text = run("application/connect+proto", string(e2etest.Envelope(0, message)))
	var end struct {
		Metadata http.Header `json:"metadata"`
	}
	if err := json.Unmarshal(lastFrame(t, text), &end); err != nil {
		t.Fatal(err)
	}
	all["Connect"] = make(http.Header)
	for name, values := range end.Metadata {
		all["Connect"][textproto.CanonicalMIMEHeaderKey(name)] = values
	}
	return all
}

// lastFrame returns the payload of the last frame of a body.
func lastFrame(t *testing.T, body string) (payload []byte) {
	t.Helper()
	for rest := []byte(body); len(rest) >= 5; {
		size := int(rest[1])<<24 | int(rest[2])<<16 | int(rest[3])<<8 | int(rest[4])
		if len(rest) < 5+size {
			t.Fatalf("got an incomplete frame: %q", rest)
		}
		payload, rest = rest[5:5+size], rest[5+size:]
	}
	return payload
}

// parseFields parses header lines.
func parseFields(t *testing.T, text []byte) http.Header {
	t.Helper()
	fields, err := textproto.NewReader(bufio.NewReader(io.MultiReader(bytes.NewReader(text), strings.NewReader("\r\n")))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	return http.Header(fields)
}
