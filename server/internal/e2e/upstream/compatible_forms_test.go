package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// body responds with a body and a content type, unless that is "no type".
func body(text, media string, fields ...string) e2etest.Script {
	if media != "no type" {
		fields = append(fields, "Content-Type: "+media)
	}
	return e2etest.Reply(http.StatusOK, text, fields...)
}

// received returns the response to a call with a script in Protobuf's JSON form: a
// message, or a list of the chunks of a stream.
func received(t *testing.T, client e2etest.Client, method, script string) (all jsontree.Value, err error) {
	t.Helper()
	c := e2etest.Call{Method: method, Request: e2etest.Hello(), Metadata: scripted(script)}
	if method == e2etest.UnaryMethod {
		completion := new(chatv1.ChatCompletion)
		_, err = client.Unary(e2etest.Context(t), c, completion)
		return e2etest.JSONTree(t, completion), err
	}
	all.Kind = jsontree.Array
	_, err = client.Stream(e2etest.Context(t), c, func(chunk *chatv1.ChatCompletionChunk) {
		all.Items = append(all.Items, e2etest.JSONTree(t, chunk))
	})
	return all, err
}

// compatibleResponse is a response of an OpenAI-compatible upstream and what clients
// receive.
type compatibleResponse struct {
	name   string
	script e2etest.Script
	unary  facts // nil to test streaming calls only
	stream facts
	chunks int
}

// checkCompatible checks each of the responses with every kind of client.
func checkCompatible(t *testing.T, rows []compatibleResponse) {
	t.Helper()
	scripts := make(map[string]e2etest.Script)
	for _, row := range rows {
		scripts[row.name] = row.script
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) {
					if row.unary != nil {
						got, err := received(t, client, e2etest.UnaryMethod, row.name)
						if err != nil {
							t.Error(err)
						}
						row.unary.check(t, got)
					}
					if row.stream == nil {
						return
					}
					got, err := received(t, client, e2etest.StreamMethod, row.name)
					if err != nil {
						t.Error(err)
					}
					if len(got.Items) != row.chunks {
						t.Errorf("got %d chunks, want %d", len(got.Items), row.chunks)
					}
					row.stream.check(t, got)
				})
			}
		})
	}
}

var (
	helloReply  = facts{"id": "chatcmpl-1", "model": "gpt-5.4-mini", "choices[0].message.content": "Hello!", "choices[0].finish_reason": "FINISH_REASON_STOP"}
	helloStream = facts{"[0].choices[0].delta.content": "Hel", "[1].choices[0].delta.content": "lo!", "[2].choices[0].finish_reason": "FINISH_REASON_STOP"}
	helloEvents = e2etest.Chunk(0, "Hel") + e2etest.Chunk(0, "lo!") + e2etest.Finish(0, "stop") + e2etest.DoneEvent
	helloWhole  = facts{
		"[0].id": "chatcmpl-1", "[0].model": "gpt-5.4-mini", "[0].choices[0].delta.role": "ROLE_ASSISTANT",
		"[0].choices[0].delta.content": "Hello!", "[0].choices[0].finish_reason": "FINISH_REASON_STOP", "[0].extra_json": "",
	}
)

// Streams and completions with every content type, for unary and streaming calls.
func TestCompatible_FormIsDetectedFromBody(t *testing.T) {
	t.Parallel()
	const bom = "\uFEFF"
	var rows []compatibleResponse
	for _, media := range []string{
		"text/event-stream", "text/event-stream; charset=utf-8", "text/plain", "text/plain; charset=utf-8", "application/json",
		"application/octet-stream", "application/x-ndjson", "text/html", "nonsense", "no type",
	} {
		for name, events := range map[string]string{
			"events":                                   helloEvents,
			"events after a byte order mark":           bom + helloEvents,
			"events with byte order marks":             strings.ReplaceAll(helloEvents, "data: {", "data: "+bom+"{"),
			"events after a comment":                   ": hello\n\n" + helloEvents,
			"events after blank lines":                 "\r\n\n" + helloEvents,
			"events with names":                        strings.ReplaceAll(helloEvents, "data: {", "event: chunk\ndata: {"),
			"events after an id":                       "id: 1\n" + helloEvents,
			"events after a retry field":               "retry: 10\n" + helloEvents,
			"events without spaces, with CR line ends": strings.ReplaceAll(strings.ReplaceAll(helloEvents, "data: ", "data:"), "\n", "\r"),
			"events without the last blank line":       strings.TrimSuffix(helloEvents, e2etest.DoneEvent) + strings.TrimSuffix(e2etest.DoneEvent, "\n"),
			"events that end with finish_reason":       strings.TrimSuffix(helloEvents, "\n\n"+e2etest.DoneEvent),
			"events without [DONE]":                    strings.TrimSuffix(helloEvents, e2etest.DoneEvent),
			"events with [DONE] and a space":           strings.TrimSuffix(helloEvents, e2etest.DoneEvent) + "data: [DONE] \n\n",
		} {
			rows = append(rows, compatibleResponse{name + " as " + media, body(events, media), helloReply, helloStream, 3})
		}
		for name, whole := range map[string]string{
			"completion":                         e2etest.Completion("Hello!"),
			"completion after a byte order mark": bom + e2etest.Completion("Hello!"),
			"completion after white space":       " \r\n\t" + e2etest.Completion("Hello!") + "\n",
		} {
			rows = append(rows, compatibleResponse{name + " as " + media, body(whole, media), helloReply, helloWhole, 1})
		}
	}
	checkCompatible(t, rows)
}

// The start of the body arrives in several reads.
func TestCompatible_FormIsDetectedFromFragments(t *testing.T) {
	t.Parallel()
	pieces := func(text, media string) e2etest.Script {
		return func(conn *upstreamtest.Conn) {
			conn.Send(e2etest.ResponseHead(200, "Content-Type: "+media, "Transfer-Encoding: chunked"))
			for i := range min(len(text), 40) {
				conn.SendChunk(text[i : i+1])
			}
			if len(text) > 40 {
				conn.SendChunk(text[40:])
			}
			e2etest.EndStream(conn)
		}
	}
	var rows []compatibleResponse
	for _, media := range []string{"text/event-stream", "application/json", "text/plain"} {
		rows = append(rows,
			compatibleResponse{"events as " + media, pieces("\uFEFF\n"+helloEvents, media), helloReply, helloStream, 3},
			compatibleResponse{"completion as " + media, pieces("\uFEFF\n"+e2etest.Completion("Hello!"), media), helloReply, helloWhole, 1},
		)
	}
	checkCompatible(t, rows)
}

// The upstream sends gzip although the server does not accept it.
func TestCompatible_GzipIsDecoded(t *testing.T) {
	t.Parallel()
	members := func(texts ...string) string {
		var all strings.Builder
		for _, text := range texts {
			all.WriteString(e2etest.Gzip(text))
		}
		return all.String()
	}
	whole, events := e2etest.Completion("Hello!"), helloEvents
	rows := []compatibleResponse{
		{"completion", body(e2etest.Gzip(whole), "application/json", "Content-Encoding: gzip"), helloReply, helloWhole, 1},
		{"completion as x-gzip", body(e2etest.Gzip(whole), "application/json", "Content-Encoding: X-GZIP"), helloReply, helloWhole, 1},
		{"completion in several members", body(members(whole[:9], "", whole[9:]), "application/json", "Content-Encoding: gzip"), helloReply, helloWhole, 1},
		{"events", body(e2etest.Gzip(events), "text/event-stream", "Content-Encoding: gzip"), helloReply, helloStream, 3},
		{"events as JSON", body(e2etest.Gzip(events), "application/json", "Content-Encoding: gzip"), helloReply, helloStream, 3},
		{"events in several members", body(members(events[:9], events[9:50], events[50:]), "text/event-stream", "Content-Encoding: gzip"), helloReply, helloStream, 3},
		{"events delimited by the end of the connection", func(conn *upstreamtest.Conn) {
			conn.Send(e2etest.ResponseHead(200, e2etest.EventStreamType, "Content-Encoding: gzip", "Connection: close"))
			_, _ = io.WriteString(conn, e2etest.Gzip(strings.TrimSuffix(events, "\n\n"+e2etest.DoneEvent)))
			conn.Close()
		}, helloReply, helloStream, 3},
		{"identity", body(whole, "application/json", "Content-Encoding: identity"), helloReply, helloWhole, 1},
	}
	checkCompatible(t, rows)
}

// Each event, in a separate gzip member or before a flush, must arrive before the
// next one is sent.
func TestCompatible_GzipArrivesInStep(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{"members": func(conn *upstreamtest.Conn) {
		e2etest.BeginStream(conn, "Content-Encoding: gzip")
		for _, text := range []string{"a", "b", "c"} {
			conn.SendChunk(e2etest.Gzip(e2etest.Chunk(0, text)))
			e2etest.Receive(t, arrived, "an event")
		}
		conn.SendChunk(e2etest.Gzip(e2etest.DoneEvent))
		e2etest.EndStream(conn)
	}})})
	for _, client := range e2etest.LibraryClients(t, front) {
		got := e2etest.ScriptedCall{Method: e2etest.StreamMethod, Script: "members", Each: func(string) { arrived <- struct{}{} }}.Do(t, client)
		if got.Err != nil || strings.Join(got.Chunks, "") != "abc" {
			t.Errorf("%s: got texts %q and error %v", client.Name, got.Chunks, got.Err)
		}
	}
}

// Compression bombs, and truncated or invalid gzip.
func TestCompatible_GzipIsBounded(t *testing.T) {
	t.Parallel()
	const coding = "Content-Encoding: gzip"
	large := e2etest.Gzip(e2etest.Completion(strings.Repeat("x", 1<<20)))
	cut := e2etest.Gzip(e2etest.Completion("Hello!"))
	cutEvents := e2etest.Gzip(e2etest.Chunk(0, "Hel") + e2etest.Chunk(0, "lo!") + e2etest.Finish(0, "stop") + e2etest.DoneEvent)
	badSum := []byte(cut)
	badSum[len(badSum)-6] ^= 1
	e2etest.CheckFailures(t, server.Config{MaxReplyBytes: 10_000, MaxEventBytes: 10_000}, []e2etest.FailureCase{
		{
			Name: "large completion", Script: e2etest.Reply(200, large, e2etest.JSONType, coding),
			Code: connect.CodeResourceExhausted, Contains: []string{"larger than this server's limit of 10000 bytes"},
		},
		{
			Name: "large event", Script: e2etest.StreamWith([]string{coding}, e2etest.Gzip(e2etest.Chunk(0, strings.Repeat("x", 1<<20)))), Methods: []string{e2etest.StreamMethod},
			Code: connect.CodeResourceExhausted, Contains: []string{"larger than the limit of 10000 bytes"},
		},
		{
			Name: "large stream for a unary call", Script: e2etest.StreamWith([]string{coding}, e2etest.Gzip(strings.Repeat(e2etest.Chunk(0, "x"), 1000)+e2etest.DoneEvent)),
			Methods: []string{e2etest.UnaryMethod}, Code: connect.CodeResourceExhausted, Contains: []string{"larger than this server's limit of 10000 bytes"},
		},
		{
			Name: "truncated completion", Script: e2etest.Reply(200, cut[:len(cut)-9], e2etest.JSONType, coding),
			Code: connect.CodeUnavailable, Contains: []string{"its gzip is truncated"},
		},
		{
			Name: "completion without its checksum", Script: e2etest.Reply(200, cut[:len(cut)-1], e2etest.JSONType, coding),
			Code: connect.CodeUnavailable, Contains: []string{"its gzip is truncated"},
		},
		{
			Name: "truncated events", Script: e2etest.StreamWith([]string{coding}, cutEvents[:len(cutEvents)/2]), Chunks: e2etest.AnyNumber,
			Code: connect.CodeUnavailable, Contains: []string{"its gzip is truncated"},
		},
		{
			Name: "closed connection", Script: e2etest.TruncatedReply(20, 200, cut, e2etest.JSONType, coding),
			Code: connect.CodeUnavailable, Contains: []string{"response cut short"},
		},
		{
			Name: "empty body", Script: e2etest.Reply(200, "", e2etest.JSONType, coding), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeUnavailable, Contains: []string{"its gzip is truncated"},
		},
		{
			Name: "wrong checksum", Script: e2etest.Reply(200, string(badSum), e2etest.JSONType, coding),
			Code: connect.CodeInternal, Contains: []string{"invalid gzip"},
		},
		{
			Name: "not gzip", Script: e2etest.Reply(200, e2etest.Completion("Hello!"), e2etest.JSONType, coding),
			Code: connect.CodeInternal, Contains: []string{"invalid gzip"},
		},
		{
			Name: "truncated error", Script: e2etest.Reply(429, cut[:20], e2etest.JSONType, coding),
			Code: connect.CodeResourceExhausted, Contains: []string{"429 Too Many Requests", "truncated"},
		},
		{
			Name: "large error", Script: e2etest.Reply(503, e2etest.Gzip(`{"error":{"message":"`+strings.Repeat("x", 4<<20)+`"}}`), e2etest.JSONType, coding),
			Code: connect.CodeUnavailable, Contains: []string{"503 Service Unavailable"},
		},
	})
}

// The test checks the upstream request in every protocol.
func TestCompatible_IdentityIsRequested(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.HelloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, kind := range e2etest.ClientKinds() {
		client := kind.Open(t, front)
		for _, method := range e2etest.Methods {
			e2etest.ScriptedCall{Method: method}.Do(t, client)
			if got := e2etest.TakeOne(t, upstream).Header["Accept-Encoding"]; len(got) != 1 || got[0] != "identity" {
				t.Errorf("%s, %s: got Accept-Encoding %q", kind.Name, method, got)
			}
		}
	}
}

// A completion in response to a streaming call becomes chunks without any loss.
func TestCompatible_CompletionBecomesStream(t *testing.T) {
	t.Parallel()
	const usage = `"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"cost":0.5}`
	whole := `{"id":"c","object":"chat.completion","created":1700000000,"model":"m","system_fingerprint":"fp","choices":[` +
		`{"index":0,"message":{"role":"assistant","content":"One","refusal":null,"reasoning_content":"Hm.","annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":1,"url":"u","title":"t"}}]},` +
		`"logprobs":{"content":[{"token":"One","logprob":-0.5,"bytes":null,"top_logprobs":[]}],"refusal":null},"finish_reason":"stop","stop_reason":7},` +
		`{"index":1,"message":{"role":"assistant","content":null,"tool_calls":[` +
		`{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b","type":"custom","custom":{"name":"g","input":"x"},"note":1}]},"finish_reason":"tool_calls"},` +
		`{"index":2,"message":{"role":"assistant","content":[{"type":"text","text":"parts"}]},"finish_reason":"length"}],` +
		usage + `,"service_tier":"default","provider":"p"}`
	want := facts{
		"[0].id": "c", "[0].created": "2023-11-14T22:13:20Z", "[0].model": "m", "[0].system_fingerprint": "fp", "[0].service_tier": "SERVICE_TIER_DEFAULT",
		"[0].usage": "", "[0].extra_json": "",
		"[0].choices[0].index": "", "[0].choices[0].delta.role": "ROLE_ASSISTANT", "[0].choices[0].delta.content": "One",
		"[0].choices[0].delta.extra_json":          `{"reasoning_content":"Hm.","annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":1,"url":"u","title":"t"}}]}`,
		"[0].choices[0].logprobs.content[0].token": "One", "[0].choices[0].finish_reason": "FINISH_REASON_STOP", "[0].choices[0].extra_json": `{"stop_reason":7}`,
		"[0].choices[1]": "",
		"[1].id":         "c", "[1].choices[0].index": "1", "[1].choices[0].delta.tool_calls[0].index": "0", "[1].choices[0].delta.tool_calls[0].id": "a",
		"[1].choices[0].delta.tool_calls[0].type": "TOOL_CALL_TYPE_FUNCTION", "[1].choices[0].delta.tool_calls[0].function.name": "f",
		"[1].choices[0].delta.tool_calls[0].function.arguments": "{}", "[1].choices[0].delta.tool_calls[1].index": "1",
		"[1].choices[0].delta.tool_calls[1].custom.input": "x", "[1].choices[0].delta.tool_calls[1].extra_json": `{"note":1}`,
		"[1].choices[0].finish_reason": "FINISH_REASON_TOOL_CALLS", "[1].usage": "",
		"[2].choices[0].index": "2", "[2].choices[0].delta.extra_json": `{"content":[{"type":"text","text":"parts"}]}`,
		"[2].choices[0].finish_reason": "FINISH_REASON_LENGTH", "[2].usage.total_tokens": "12", "[2].usage.extra_json": `{"cost":0.5}`, "[2].extra_json": `{"provider":"p"}`,
	}
	piece := strings.TrimSpace(strings.TrimPrefix(e2etest.Finish(0, "stop"), "data: "))
	checkCompatible(t, []compatibleResponse{
		{"completion", body(whole, "application/json"), nil, want, 3},
		{"completion with a stream's content type", body(whole, "text/event-stream"), nil, want, 3},
		{"completion in several chunks", func(conn *upstreamtest.Conn) {
			conn.Send(e2etest.ResponseHead(200, e2etest.JSONType, "Transfer-Encoding: chunked"))
			conn.SendChunk(whole)
			e2etest.EndStream(conn)
		}, nil, want, 3},
		{"usage without choices", body(`{"id":"c","choices":[],`+usage+`}`, "application/json"), nil, facts{"[0].usage.total_tokens": "12"}, 1},
		{"one chunk", body(piece, "application/json"), nil, facts{"[0].choices[0].finish_reason": "FINISH_REASON_STOP"}, 1},
		{
			"unknown finish_reason", body(strings.Replace(e2etest.Completion("a"), `"stop"`, `"eos"`, 1), "application/json"), nil,
			facts{"[0].choices[0].delta.content": "a", "[0].choices[0].extra_json": `{"finish_reason":"eos"}`},
			1,
		},
	})
	e2etest.CheckFailures(t, server.Config{MaxReplyBytes: 10_000}, []e2etest.FailureCase{
		{
			Name: "completion over the limit", Script: e2etest.Reply(200, e2etest.Completion(strings.Repeat("x", 10_000)), e2etest.JSONType), Methods: []string{e2etest.StreamMethod},
			Code: connect.CodeResourceExhausted, Contains: []string{"larger than this server's limit of 10000 bytes"},
		},
		{
			Name: "truncated completion", Script: e2etest.TruncatedReply(100, 200, e2etest.Completion("Hello!"), e2etest.JSONType), Methods: []string{e2etest.StreamMethod},
			Code: connect.CodeUnavailable, Contains: []string{"response cut short"},
		},
		{
			Name: "malformed completion", Script: e2etest.Reply(200, e2etest.Completion("Hello!")+"x", e2etest.JSONType), Methods: []string{e2etest.StreamMethod},
			Code: connect.CodeInternal, Contains: []string{"an invalid body: malformed JSON"},
		},
		{
			Name: "one chunk without finish_reason", Script: e2etest.Reply(200, strings.TrimSpace(strings.TrimPrefix(e2etest.Chunk(0, "a"), "data: ")), e2etest.JSONType), Methods: []string{e2etest.StreamMethod},
			Code: connect.CodeUnavailable, Contains: []string{"it was not finished"}, Chunks: 1,
		},
		{
			Name: "JSON of another kind", Script: e2etest.Reply(200, `{"status":"fine"}`, e2etest.JSONType), Methods: []string{e2etest.StreamMethod},
			Code: connect.CodeInternal, Detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with JSON instead of an event stream", Type: "upstream_error", HttpStatus: 200, BodyExcerpt: `{"status":"fine"}`,
			},
		},
	})
}

// A stream in response to a unary call becomes a completion.
func TestCompatible_StreamBecomesCompletion(t *testing.T) {
	t.Parallel()
	delta := func(choice string) string {
		return e2etest.Event(`{"id":"c","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[` + choice + `]}`)
	}
	calls := delta(`{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"Hm"}}`) +
		delta(`{"index":0,"delta":{"reasoning_content":"."}}`) +
		delta(`{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}}`) +
		delta(`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}`) +
		delta(`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}`) +
		delta(`{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]}}`) +
		delta(`{"index":0,"delta":{},"finish_reason":"tool_calls"}`)
	const usage = `{"id":"c","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"provider":"p"}`
	callFacts := facts{
		"id": "c", "created": "2023-11-14T22:13:20Z", "model": "m", "choices[0].message.role": "ROLE_ASSISTANT",
		"choices[0].message.extra_json": `{"reasoning_content":"Hm."}`, "choices[0].message.tool_calls[0].id": "a",
		"choices[0].message.tool_calls[0].function.arguments": `{"x":1}`, "choices[0].message.tool_calls[1].function.name": "g",
		"choices[0].finish_reason": "FINISH_REASON_TOOL_CALLS", "usage.total_tokens": "3", "extra_json": `{"provider":"p"}`,
	}
	checkCompatible(t, []compatibleResponse{
		{name: "text", script: e2etest.Stream(e2etest.Chunk(0, "Hel"), e2etest.Chunk(0, "lo!"), e2etest.Finish(0, "stop"), e2etest.DoneEvent), unary: helloReply},
		{name: "two choices", script: e2etest.Stream(e2etest.Chunk(1, "b"), e2etest.Chunk(0, "a"), e2etest.Finish(1, "stop"), e2etest.Finish(0, "length"), e2etest.DoneEvent), unary: facts{
			"choices[0].message.content": "a", "choices[0].finish_reason": "FINISH_REASON_LENGTH",
			"choices[1].message.content": "b", "choices[1].index": "1", "choices[1].finish_reason": "FINISH_REASON_STOP",
		}},
		{name: "tool calls and usage", script: e2etest.Stream(calls, e2etest.Event(usage), e2etest.DoneEvent), unary: callFacts},
		{name: "without [DONE]", script: e2etest.Stream(calls, e2etest.Event(usage)), unary: callFacts},
		{
			name: "for both kinds of calls", script: e2etest.Stream(e2etest.Chunk(0, "Hello!"), e2etest.Finish(0, "stop"), e2etest.DoneEvent), unary: helloReply,
			stream: facts{"[0].choices[0].delta.content": "Hello!"}, chunks: 2,
		},
	})
	e2etest.CheckFailures(t, server.Config{MaxReplyBytes: 10_000}, []e2etest.FailureCase{
		{
			Name: "unfinished", Script: e2etest.Stream(e2etest.Chunk(0, "a")), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeUnavailable, Contains: []string{"the upstream's stream ended after 1 event: it was not finished"},
		},
		{
			Name: "closed connection", Script: e2etest.TruncatedStream(e2etest.Chunk(0, "a"), e2etest.Finish(0, "stop")), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeUnavailable, Contains: []string{"the upstream's stream ended after 2 events: ", "response cut short"},
		},
		{
			Name: "error without a name", Script: e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Event(`{"error":{"message":"no more","code":429}}`)), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeResourceExhausted, Contains: []string{"no more"},
		},
		{
			Name: "error event", Script: e2etest.Stream(e2etest.Chunk(0, "a"), "event: error\n"+e2etest.Event(`{"message":"no more","type":"rate_limit_error"}`)), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeResourceExhausted, Contains: []string{"no more"},
		},
		{
			Name: "malformed", Script: e2etest.Stream(e2etest.Chunk(0, "a"), e2etest.Event(`{"choices":tru}`)), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeInternal, Contains: []string{"the next event is invalid"},
		},
		{
			Name: "no event", Script: e2etest.Stream(), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeInternal, Contains: []string{"the upstream's stream ended before its first event"},
		},
		{
			Name: "too large", Script: e2etest.Stream(strings.Repeat(e2etest.Chunk(0, "xxxxxxxxxx"), 100), e2etest.DoneEvent), Methods: []string{e2etest.UnaryMethod},
			Code: connect.CodeResourceExhausted, Contains: []string{"larger than this server's limit of 10000 bytes"},
		},
	})
}

// Some upstreams require "stream": false.
func TestCompatible_StreamCanBeSetInExtraJSON(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		if strings.Contains(string(sent), `"stream":false`) {
			servertest.JSON(http.StatusOK, e2etest.HelloCompletion)(w, r)
			return
		}
		servertest.Events(e2etest.HelloChunk, "[DONE]")(w, r)
	})
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, kind := range e2etest.ClientKinds() {
		t.Run(kind.Name, func(t *testing.T) {
			client := kind.Open(t, front)
			for method, extra := range map[string]string{e2etest.UnaryMethod: `{"stream":false,"a":1}`, e2etest.StreamMethod: `{"stream":true,"a":1}`} {
				request := e2etest.Hello()
				request.ExtraJson = extra
				c := e2etest.Call{Method: method, Request: request}
				var err error
				if method == e2etest.UnaryMethod {
					_, err = client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
				} else {
					_, err = client.Stream(e2etest.Context(t), c, func(*chatv1.ChatCompletionChunk) {})
				}
				if err != nil {
					t.Fatal(err)
				}
				want := strings.TrimSuffix(e2etest.HelloBody, "}") + "," + strings.TrimPrefix(extra, "{")
				if got := e2etest.TakeOne(t, upstream).Body; got != want {
					t.Errorf("got body %s, want %s", got, want)
				}
			}
		})
	}
}

// Events between the chunks that are not chunks.
func TestCompatible_OtherEvents(t *testing.T) {
	t.Parallel()
	between := func(others string) e2etest.Script {
		return e2etest.Stream(e2etest.Chunk(0, "Hel"), others, e2etest.Chunk(0, "lo!"), e2etest.Finish(0, "stop"), e2etest.DoneEvent)
	}
	var rows []compatibleResponse
	for name, others := range map[string]string{
		"text with a name":         "event: status\ndata: loading the model\n\n",
		"empty event with a name":  "event: ping\ndata:\n\nevent: ping\n\n",
		"a number with a name":     "event: heartbeat\ndata: 1700000000\n\n",
		"a string with a name":     "event: heartbeat\ndata: \"now\"\n\n",
		"a list with a name":       "event: queue\ndata: [1,2]\n\n",
		"lines with a name":        "event: log\ndata: {one\ndata: two}\n\n",
		"XML with a name":          "event: meta\ndata: <a/>\n\n",
		"bytes that are not UTF-8": "event: raw\ndata: \xff\n\n",
		"only a comment":           ": ping\n\n",
		"empty data":               "data:\n\n",
		"blank data":               "data:   \n\n",
		"unknown field":            "ping: 1\n\n",
		"id and retry":             "id: 4\nretry: 10\n\n",
	} {
		rows = append(rows, compatibleResponse{name, between(others), helloReply, helloStream, 3})
	}
	rows = append(rows,
		compatibleResponse{
			"JSON with a name", between("event: meta\ndata: {\"type\":\"meta\",\"a\":1}\n\n"), helloReply,
			facts{"[1].extra_json": `{"type":"meta","a":1}`, "[2].choices[0].delta.content": "lo!"},
			4,
		},
		compatibleResponse{
			"all with names", e2etest.Stream("event: message\n"+e2etest.Chunk(0, "Hel"), "event: delta\n"+e2etest.Chunk(0, "lo!"), "event: delta\n"+e2etest.Finish(0, "stop"), "event: done\n"+e2etest.DoneEvent),
			helloReply, helloStream, 3,
		},
		compatibleResponse{
			"text with a name at the end, without a line end", e2etest.Stream(e2etest.Chunk(0, "Hel"), e2etest.Chunk(0, "lo!"), e2etest.Finish(0, "stop"), "event: bye\ndata: see you"),
			helloReply, helloStream, 3,
		},
	)
	checkCompatible(t, rows)

	var failures []e2etest.FailureCase
	for name, other := range map[string]string{
		"text without a name":            "data: loading the model\n\n",
		"text with the default name":     "event: message\ndata: loading the model\n\n",
		"truncated JSON without a name":  "data: {\"choices\":[\n\n",
		"truncated JSON with an id":      "id: 1\ndata: {\"choices\":[\n\n",
		"a list without a name":          "data: [1]\n\n",
		"a number without a name":        "data: 17\n\n",
		"text after a name without data": "event: status\n\ndata: loading\n\n",
	} {
		failures = append(failures, e2etest.FailureCase{
			Name: name, Script: between(other), Methods: []string{e2etest.StreamMethod}, Chunks: 1,
			Code: connect.CodeInternal, Contains: []string{"the upstream's stream ended after 1 event: the next event is invalid"},
		})
	}
	for _, name := range []string{"error", "Error", "error "} {
		failures = append(failures, e2etest.FailureCase{
			Name: "text with the name " + name, Script: between("event: " + name + "\ndata: out of memory\n\n"), Methods: []string{e2etest.StreamMethod}, Chunks: 1,
			Code: connect.CodeUnknown, Contains: []string{"an error event arrived"},
		})
	}
	e2etest.CheckFailures(t, server.Config{}, failures)
}

// Python encodes numbers that JSON lacks as NaN and Infinity.
func TestCompatible_LogprobsAreAnyNumber(t *testing.T) {
	t.Parallel()
	logprobs := func(first, second string) string {
		return fmt.Sprintf(`"logprobs":{"content":[{"token":"a","logprob":%s,"bytes":[97],"top_logprobs":[{"token":"b","logprob":%s,"bytes":null}],"entropy":%[1]s}],"refusal":null}`, first, second)
	}
	var rows []compatibleResponse
	for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
		for _, written := range []string{word, `"` + word + `"`} {
			want := func(prefix string) facts {
				return facts{
					prefix + "logprobs.content[0].logprob":                 word,
					prefix + "logprobs.content[0].bytes":                   "YQ==",
					prefix + "logprobs.content[0].top_logprobs[0].logprob": "-0.5",
					prefix + "logprobs.content[0].extra_json":              `{"entropy":"` + word + `"}`,
				}
			}
			whole := strings.Replace(e2etest.Completion("a"), `"logprobs":null`, logprobs(written, "-0.5"), 1)
			whole = strings.TrimSuffix(whole, "}") + `,"mean":[` + written + `,"NaN",{"NaN":` + written + `}]}`
			piece := strings.Replace(e2etest.Chunk(0, "a"), `"logprobs":null`, logprobs(written, "-0.5"), 1)
			inWhole, inStream := want("choices[0]."), want("[0].choices[0].")
			inWhole["extra_json"] = `{"mean":["` + word + `","NaN",{"NaN":"` + word + `"}]}`
			rows = append(rows,
				compatibleResponse{"completion with " + written, body(whole, "application/json"), inWhole, inStream, 1},
				compatibleResponse{name: "stream with " + written, script: e2etest.Stream(piece, e2etest.Finish(0, "stop"), e2etest.DoneEvent), unary: want("choices[0]."), stream: inStream, chunks: 2},
			)
		}
	}
	checkCompatible(t, rows)
}
