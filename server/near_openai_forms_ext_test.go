package server_test

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
	"github.com/openai-connect/openai-connect/server/internal/jsontree"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// body answers with a body and a content type, if that isn't "no type".
func body(text, media string, fields ...string) script {
	if media != "no type" {
		fields = append(fields, "Content-Type: "+media)
	}
	return reply(http.StatusOK, text, fields...)
}

// received is what a client gets from an upstream that follows a script, as
// Protobuf's JSON: of a stream a list of the chunks.
func received(t *testing.T, client typedClient, way, script string) (all jsontree.Value, err error) {
	t.Helper()
	c := call{method: way, request: hello(), metadata: scripted(script)}
	if way == unary {
		completion := new(chatv1.ChatCompletion)
		_, err = client.unary(within(t), c, completion)
		return treeOf(t, completion), err
	}
	all.Kind = jsontree.Array
	_, err = client.stream(within(t), c, func(chunk *chatv1.ChatCompletionChunk) {
		all.Items = append(all.Items, treeOf(t, chunk))
	})
	return all, err
}

// nearly is an answer of an upstream that is nearly OpenAI, and what becomes of
// it.
type nearly struct {
	name   string
	script script
	unary  facts // nil where only a stream is asked for
	stream facts
	chunks int
}

// checkNearly has every kind of client ask for each of the answers.
func checkNearly(t *testing.T, rows []nearly) {
	t.Helper()
	scripts := make(map[string]script)
	for _, row := range rows {
		scripts[row.name] = row.script
	}
	front := startFront(t, server.Config{Upstream: serveScripts(t, scripts)})
	for _, kind := range clientKinds() {
		t.Run(kind.name, func(t *testing.T) {
			client := kind.open(t, front)
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) {
					if row.unary != nil {
						got, err := received(t, client, unary, row.name)
						if err != nil {
							t.Error(err)
						}
						row.unary.check(t, got)
					}
					if row.stream == nil {
						return
					}
					got, err := received(t, client, streaming, row.name)
					if err != nil {
						t.Error(err)
					}
					if len(got.Items) != row.chunks {
						t.Errorf("%d chunks came, not %d", len(got.Items), row.chunks)
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
	helloEvents = chunk(0, "Hel") + chunk(0, "lo!") + finish(0, "stop") + done
	helloWhole  = facts{
		"[0].id": "chatcmpl-1", "[0].model": "gpt-5.4-mini", "[0].choices[0].delta.role": "ROLE_ASSISTANT",
		"[0].choices[0].delta.content": "Hello!", "[0].choices[0].finish_reason": "FINISH_REASON_STOP", "[0].extra_json": "",
	}
)

// TestNearlyOpenAI_FormIsKnownByTheBody has streams and completions of every
// content type, in answer to both ways to ask.
func TestNearlyOpenAI_FormIsKnownByTheBody(t *testing.T) {
	t.Parallel()
	const bom = "\uFEFF"
	var rows []nearly
	for _, media := range []string{
		"text/event-stream", "text/event-stream; charset=utf-8", "text/plain", "text/plain; charset=utf-8", "application/json",
		"application/octet-stream", "application/x-ndjson", "text/html", "nonsense", "no type",
	} {
		for name, events := range map[string]string{
			"events":                                helloEvents,
			"events behind a byte order mark":       bom + helloEvents,
			"events with byte order marks":          strings.ReplaceAll(helloEvents, "data: {", "data: "+bom+"{"),
			"events behind a comment":               ": hello\n\n" + helloEvents,
			"events behind blank lines":             "\r\n\n" + helloEvents,
			"events with names":                     strings.ReplaceAll(helloEvents, "data: {", "event: chunk\ndata: {"),
			"events behind an id":                   "id: 1\n" + helloEvents,
			"events behind a time to try again":     "retry: 10\n" + helloEvents,
			"events without spaces, with CR":        strings.ReplaceAll(strings.ReplaceAll(helloEvents, "data: ", "data:"), "\n", "\r"),
			"events without the last blank line":    strings.TrimSuffix(helloEvents, done) + strings.TrimSuffix(done, "\n"),
			"events whose last is the finish":       strings.TrimSuffix(helloEvents, "\n\n"+done),
			"events without [DONE]":                 strings.TrimSuffix(helloEvents, done),
			"events with [DONE] and a space behind": strings.TrimSuffix(helloEvents, done) + "data: [DONE] \n\n",
		} {
			rows = append(rows, nearly{name + " as " + media, body(events, media), helloReply, helloStream, 3})
		}
		for name, whole := range map[string]string{
			"a completion":                          completion("Hello!"),
			"a completion behind a byte order mark": bom + completion("Hello!"),
			"a completion behind space":             " \r\n\t" + completion("Hello!") + "\n",
		} {
			rows = append(rows, nearly{name + " as " + media, body(whole, media), helloReply, helloWhole, 1})
		}
	}
	checkNearly(t, rows)
}

// TestNearlyOpenAI_FormArrivesByteByByte has bodies whose beginning comes in
// pieces.
func TestNearlyOpenAI_FormArrivesByteByByte(t *testing.T) {
	t.Parallel()
	pieces := func(text, media string) script {
		return func(conn *upstreamtest.Conn) {
			conn.Send(responseHead(200, "Content-Type: "+media, "Transfer-Encoding: chunked"))
			for i := range min(len(text), 40) {
				conn.SendChunk(text[i : i+1])
			}
			if len(text) > 40 {
				conn.SendChunk(text[40:])
			}
			closeStream(conn)
		}
	}
	var rows []nearly
	for _, media := range []string{"text/event-stream", "application/json", "text/plain"} {
		rows = append(rows,
			nearly{"events as " + media, pieces("\uFEFF\n"+helloEvents, media), helloReply, helloStream, 3},
			nearly{"a completion as " + media, pieces("\uFEFF\n"+completion("Hello!"), media), helloReply, helloWhole, 1},
		)
	}
	checkNearly(t, rows)
}

// TestNearlyOpenAI_GzipIsDecoded has gzip that nobody asked for.
func TestNearlyOpenAI_GzipIsDecoded(t *testing.T) {
	t.Parallel()
	members := func(texts ...string) string {
		var all strings.Builder
		for _, text := range texts {
			all.WriteString(gzipped(text))
		}
		return all.String()
	}
	whole, events := completion("Hello!"), helloEvents
	rows := []nearly{
		{"a completion", body(gzipped(whole), "application/json", "Content-Encoding: gzip"), helloReply, helloWhole, 1},
		{"a completion, by another name", body(gzipped(whole), "application/json", "Content-Encoding: X-GZIP"), helloReply, helloWhole, 1},
		{"a completion in members", body(members(whole[:9], "", whole[9:]), "application/json", "Content-Encoding: gzip"), helloReply, helloWhole, 1},
		{"events", body(gzipped(events), "text/event-stream", "Content-Encoding: gzip"), helloReply, helloStream, 3},
		{"events as JSON", body(gzipped(events), "application/json", "Content-Encoding: gzip"), helloReply, helloStream, 3},
		{"events in members", body(members(events[:9], events[9:50], events[50:]), "text/event-stream", "Content-Encoding: gzip"), helloReply, helloStream, 3},
		{"events, at the end of a connection", func(conn *upstreamtest.Conn) {
			conn.Send(responseHead(200, eventsType, "Content-Encoding: gzip", "Connection: close"))
			_, _ = io.WriteString(conn, gzipped(strings.TrimSuffix(events, "\n\n"+done)))
			conn.Close()
		}, helloReply, helloStream, 3},
		{"a name for no coding", body(whole, "application/json", "Content-Encoding: identity"), helloReply, helloWhole, 1},
	}
	checkNearly(t, rows)
}

// TestNearlyOpenAI_GzipArrivesInStep has an event in each member, or behind each
// flush, that must arrive before the next one is sent.
func TestNearlyOpenAI_GzipArrivesInStep(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	front := startFront(t, server.Config{Upstream: serveScripts(t, map[string]script{"members": func(conn *upstreamtest.Conn) {
		beginStream(conn, "Content-Encoding: gzip")
		for _, text := range []string{"a", "b", "c"} {
			conn.SendChunk(gzipped(chunk(0, text)))
			await(t, arrived, "an event")
		}
		conn.SendChunk(gzipped(done))
		closeStream(conn)
	}})})
	for _, client := range libraryClients(t, front) {
		got := question{way: streaming, script: "members", each: func(string) { arrived <- struct{}{} }}.ask(t, client)
		if got.failed != nil || strings.Join(got.texts, "") != "abc" {
			t.Errorf("%s: got %q, %v", client.name, got.texts, got.failed)
		}
	}
}

// TestNearlyOpenAI_GzipIsBounded has what is small on the wire only, and what is
// cut short or isn't gzip.
func TestNearlyOpenAI_GzipIsBounded(t *testing.T) {
	t.Parallel()
	const coding = "Content-Encoding: gzip"
	large := gzipped(completion(strings.Repeat("x", 1<<20)))
	cut := gzipped(completion("Hello!"))
	cutEvents := gzipped(chunk(0, "Hel") + chunk(0, "lo!") + finish(0, "stop") + done)
	badSum := []byte(cut)
	badSum[len(badSum)-6] ^= 1
	checkFailures(t, server.Config{MaxReplyBytes: 10_000, MaxEventBytes: 10_000}, []failing{
		{
			name: "a large completion", script: reply(200, large, jsonType, coding),
			code: connect.CodeResourceExhausted, says: []string{"larger than this server's limit of 10000 bytes"},
		},
		{
			name: "a large event", script: streamWith([]string{coding}, gzipped(chunk(0, strings.Repeat("x", 1<<20)))), ways: []string{streaming},
			code: connect.CodeResourceExhausted, says: []string{"larger than the limit of 10000 bytes"},
		},
		{
			name: "a large stream in answer to a unary call", script: streamWith([]string{coding}, gzipped(strings.Repeat(chunk(0, "x"), 1000)+done)),
			ways: []string{unary}, code: connect.CodeResourceExhausted, says: []string{"larger than this server's limit of 10000 bytes"},
		},
		{
			name: "a completion that is cut", script: reply(200, cut[:len(cut)-9], jsonType, coding),
			code: connect.CodeUnavailable, says: []string{"its gzip is cut short"},
		},
		{
			name: "a completion without its checksum", script: reply(200, cut[:len(cut)-1], jsonType, coding),
			code: connect.CodeUnavailable, says: []string{"its gzip is cut short"},
		},
		{
			name: "events that are cut", script: streamWith([]string{coding}, cutEvents[:len(cutEvents)/2]), texts: anyNumber,
			code: connect.CodeUnavailable, says: []string{"its gzip is cut short"},
		},
		{
			name: "a broken connection", script: replyCut(20, 200, cut, jsonType, coding),
			code: connect.CodeUnavailable, says: []string{"broke off in the middle of the response"},
		},
		{
			name: "nothing", script: reply(200, "", jsonType, coding), ways: []string{unary},
			code: connect.CodeUnavailable, says: []string{"its gzip is cut short"},
		},
		{
			name: "another checksum", script: reply(200, string(badSum), jsonType, coding),
			code: connect.CodeInternal, says: []string{"not valid gzip"},
		},
		{
			name: "what isn't gzip", script: reply(200, completion("Hello!"), jsonType, coding),
			code: connect.CodeInternal, says: []string{"not valid gzip"},
		},
		{
			name: "an error in gzip that is cut", script: reply(429, cut[:20], jsonType, coding),
			code: connect.CodeResourceExhausted, says: []string{"429 Too Many Requests", "cut short"},
		},
		{
			name: "a large error", script: reply(503, gzipped(`{"error":{"message":"`+strings.Repeat("x", 4<<20)+`"}}`), jsonType, coding),
			code: connect.CodeUnavailable, says: []string{"503 Service Unavailable"},
		},
	})
}

// TestNearlyOpenAI_IdentityIsAskedFor checks what goes up, over every protocol.
func TestNearlyOpenAI_IdentityIsAskedFor(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, helloCompletion))
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, kind := range clientKinds() {
		client := kind.open(t, front)
		for _, way := range bothWays {
			question{way: way}.ask(t, client)
			if got := take(t, upstream).Header["Accept-Encoding"]; len(got) != 1 || got[0] != "identity" {
				t.Errorf("%s, %s: accept-encoding is %q", kind.name, way, got)
			}
		}
	}
}

// TestNearlyOpenAI_WholeBecomesChunks has completions where a stream was asked
// for: nothing that they say is lost.
func TestNearlyOpenAI_WholeBecomesChunks(t *testing.T) {
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
	piece := strings.TrimSpace(strings.TrimPrefix(finish(0, "stop"), "data: "))
	checkNearly(t, []nearly{
		{"a completion", body(whole, "application/json"), nil, want, 3},
		{"a completion that says it is a stream", body(whole, "text/event-stream"), nil, want, 3},
		{"a completion in chunks of the transfer encoding", func(conn *upstreamtest.Conn) {
			conn.Send(responseHead(200, jsonType, "Transfer-Encoding: chunked"))
			conn.SendChunk(whole)
			closeStream(conn)
		}, nil, want, 3},
		{"usage without choices", body(`{"id":"c","choices":[],`+usage+`}`, "application/json"), nil, facts{"[0].usage.total_tokens": "12"}, 1},
		{"one chunk", body(piece, "application/json"), nil, facts{"[0].choices[0].finish_reason": "FINISH_REASON_STOP"}, 1},
		{
			"a finish_reason that nobody knows", body(strings.Replace(completion("a"), `"stop"`, `"eos"`, 1), "application/json"), nil,
			facts{"[0].choices[0].delta.content": "a", "[0].choices[0].extra_json": `{"finish_reason":"eos"}`},
			1,
		},
	})
	checkFailures(t, server.Config{MaxReplyBytes: 10_000}, []failing{
		{
			name: "a completion that is too large", script: reply(200, completion(strings.Repeat("x", 10_000)), jsonType), ways: []string{streaming},
			code: connect.CodeResourceExhausted, says: []string{"larger than this server's limit of 10000 bytes"},
		},
		{
			name: "a completion that is cut off", script: replyCut(100, 200, completion("Hello!"), jsonType), ways: []string{streaming},
			code: connect.CodeUnavailable, says: []string{"broke off in the middle of the response"},
		},
		{
			name: "a completion that is malformed", script: reply(200, completion("Hello!")+"x", jsonType), ways: []string{streaming},
			code: connect.CodeInternal, says: []string{"a body that can't be read: malformed JSON"},
		},
		{
			name: "one chunk that isn't the last", script: reply(200, strings.TrimSpace(strings.TrimPrefix(chunk(0, "a"), "data: ")), jsonType), ways: []string{streaming},
			code: connect.CodeUnavailable, says: []string{"it was not finished"}, texts: 1,
		},
		{
			name: "JSON of another kind", script: reply(200, `{"status":"fine"}`, jsonType), ways: []string{streaming},
			code: connect.CodeInternal, detail: &restv1.Error{
				Message: "the upstream answered 200 OK, with JSON where a stream was asked for", Type: "upstream_error", HttpStatus: 200, BodyExcerpt: `{"status":"fine"}`,
			},
		},
	})
}

// TestNearlyOpenAI_StreamBecomesAReply has streams where a completion was asked
// for.
func TestNearlyOpenAI_StreamBecomesAReply(t *testing.T) {
	t.Parallel()
	delta := func(choice string) string {
		return event(`{"id":"c","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[` + choice + `]}`)
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
	checkNearly(t, []nearly{
		{name: "text", script: stream(chunk(0, "Hel"), chunk(0, "lo!"), finish(0, "stop"), done), unary: helloReply},
		{name: "two choices", script: stream(chunk(1, "b"), chunk(0, "a"), finish(1, "stop"), finish(0, "length"), done), unary: facts{
			"choices[0].message.content": "a", "choices[0].finish_reason": "FINISH_REASON_LENGTH",
			"choices[1].message.content": "b", "choices[1].index": "1", "choices[1].finish_reason": "FINISH_REASON_STOP",
		}},
		{name: "tool calls and usage", script: stream(calls, event(usage), done), unary: callFacts},
		{name: "without [DONE]", script: stream(calls, event(usage)), unary: callFacts},
		{
			name: "that is the answer, whatever is asked for", script: stream(chunk(0, "Hello!"), finish(0, "stop"), done), unary: helloReply,
			stream: facts{"[0].choices[0].delta.content": "Hello!"}, chunks: 2,
		},
	})
	checkFailures(t, server.Config{MaxReplyBytes: 10_000}, []failing{
		{
			name: "not finished", script: stream(chunk(0, "a")), ways: []string{unary},
			code: connect.CodeUnavailable, says: []string{"the upstream's stream ended after 1 event: it was not finished"},
		},
		{
			name: "broken off", script: streamCut(chunk(0, "a"), finish(0, "stop")), ways: []string{unary},
			code: connect.CodeUnavailable, says: []string{"the upstream's stream ended after 2 events: ", "broke off"},
		},
		{
			name: "an error in it", script: stream(chunk(0, "a"), event(`{"error":{"message":"no more","code":429}}`)), ways: []string{unary},
			code: connect.CodeResourceExhausted, says: []string{"no more"},
		},
		{
			name: "an error event", script: stream(chunk(0, "a"), "event: error\n"+event(`{"message":"no more","type":"rate_limit_error"}`)), ways: []string{unary},
			code: connect.CodeResourceExhausted, says: []string{"no more"},
		},
		{
			name: "malformed", script: stream(chunk(0, "a"), event(`{"choices":tru}`)), ways: []string{unary},
			code: connect.CodeInternal, says: []string{"the next event can't be read"},
		},
		{
			name: "no event", script: stream(), ways: []string{unary},
			code: connect.CodeInternal, says: []string{"the upstream's stream ended before its first event"},
		},
		{
			name: "too large", script: stream(strings.Repeat(chunk(0, "xxxxxxxxxx"), 100), done), ways: []string{unary},
			code: connect.CodeResourceExhausted, says: []string{"larger than this server's limit of 10000 bytes"},
		},
	})
}

// TestNearlyOpenAI_StreamMayBeDeclined sends what some upstreams need to hear.
func TestNearlyOpenAI_StreamMayBeDeclined(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		if strings.Contains(string(sent), `"stream":false`) {
			servertest.JSON(http.StatusOK, helloCompletion)(w, r)
			return
		}
		servertest.Events(helloChunk, "[DONE]")(w, r)
	})
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	for _, kind := range clientKinds() {
		t.Run(kind.name, func(t *testing.T) {
			client := kind.open(t, front)
			for way, extra := range map[string]string{unary: `{"stream":false,"a":1}`, streaming: `{"stream":true,"a":1}`} {
				request := hello()
				request.ExtraJson = extra
				c := call{method: way, request: request}
				var err error
				if way == unary {
					_, err = client.unary(within(t), c, new(chatv1.ChatCompletion))
				} else {
					_, err = client.stream(within(t), c, func(*chatv1.ChatCompletionChunk) {})
				}
				if err != nil {
					t.Fatal(err)
				}
				want := strings.TrimSuffix(helloBody, "}") + "," + strings.TrimPrefix(extra, "{")
				if got := take(t, upstream).Body; got != want {
					t.Errorf("the body is %s, not %s", got, want)
				}
			}
		})
	}
}

// TestNearlyOpenAI_EventsOfOtherKinds has events that are no chunks between those
// that are.
func TestNearlyOpenAI_EventsOfOtherKinds(t *testing.T) {
	t.Parallel()
	between := func(others string) script {
		return stream(chunk(0, "Hel"), others, chunk(0, "lo!"), finish(0, "stop"), done)
	}
	var rows []nearly
	for name, others := range map[string]string{
		"text with a name":              "event: status\ndata: loading the model\n\n",
		"an empty one with a name":      "event: ping\ndata:\n\nevent: ping\n\n",
		"a number with a name":          "event: heartbeat\ndata: 1700000000\n\n",
		"a string with a name":          "event: heartbeat\ndata: \"now\"\n\n",
		"a list with a name":            "event: queue\ndata: [1,2]\n\n",
		"lines with a name":             "event: log\ndata: {one\ndata: two}\n\n",
		"XML with a name":               "event: meta\ndata: <a/>\n\n",
		"bytes that are no UTF-8":       "event: raw\ndata: \xff\n\n",
		"only a comment":                ": ping\n\n",
		"data that is empty":            "data:\n\n",
		"data that is space":            "data:   \n\n",
		"data of an unknown field":      "ping: 1\n\n",
		"an id and a time to try again": "id: 4\nretry: 10\n\n",
	} {
		rows = append(rows, nearly{name, between(others), helloReply, helloStream, 3})
	}
	rows = append(rows,
		nearly{
			"JSON with a name", between("event: meta\ndata: {\"type\":\"meta\",\"a\":1}\n\n"), helloReply,
			facts{"[1].extra_json": `{"type":"meta","a":1}`, "[2].choices[0].delta.content": "lo!"},
			4,
		},
		nearly{
			"all with names", stream("event: message\n"+chunk(0, "Hel"), "event: delta\n"+chunk(0, "lo!"), "event: delta\n"+finish(0, "stop"), "event: done\n"+done),
			helloReply, helloStream, 3,
		},
		nearly{
			"text with a name at the end, without a line end", stream(chunk(0, "Hel"), chunk(0, "lo!"), finish(0, "stop"), "event: bye\ndata: see you"),
			helloReply, helloStream, 3,
		},
	)
	checkNearly(t, rows)

	var failures []failing
	for name, other := range map[string]string{
		"text without a name":              "data: loading the model\n\n",
		"text with the name of none":       "event: message\ndata: loading the model\n\n",
		"JSON that is cut without a name":  "data: {\"choices\":[\n\n",
		"JSON that is cut with an id":      "id: 1\ndata: {\"choices\":[\n\n",
		"a list without a name":            "data: [1]\n\n",
		"a number without a name":          "data: 17\n\n",
		"text after a name of another one": "event: status\n\ndata: loading\n\n",
	} {
		failures = append(failures, failing{
			name: name, script: between(other), ways: []string{streaming}, texts: 1,
			code: connect.CodeInternal, says: []string{"the upstream's stream ended after 1 event: the next event can't be read"},
		})
	}
	for _, name := range []string{"error", "Error", "error "} {
		failures = append(failures, failing{
			name: "text with the name " + name, script: between("event: " + name + "\ndata: out of memory\n\n"), ways: []string{streaming}, texts: 1,
			code: connect.CodeUnknown, says: []string{"an error event came"},
		})
	}
	checkFailures(t, server.Config{}, failures)
}

// TestNearlyOpenAI_LogprobsAreAnyNumber has what Python writes for numbers that
// JSON lacks.
func TestNearlyOpenAI_LogprobsAreAnyNumber(t *testing.T) {
	t.Parallel()
	logprobs := func(first, second string) string {
		return fmt.Sprintf(`"logprobs":{"content":[{"token":"a","logprob":%s,"bytes":[97],"top_logprobs":[{"token":"b","logprob":%s,"bytes":null}],"entropy":%[1]s}],"refusal":null}`, first, second)
	}
	var rows []nearly
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
			whole := strings.Replace(completion("a"), `"logprobs":null`, logprobs(written, "-0.5"), 1)
			whole = strings.TrimSuffix(whole, "}") + `,"mean":[` + written + `,"NaN",{"NaN":` + written + `}]}`
			piece := strings.Replace(chunk(0, "a"), `"logprobs":null`, logprobs(written, "-0.5"), 1)
			inWhole, inStream := want("choices[0]."), want("[0].choices[0].")
			inWhole["extra_json"] = `{"mean":["` + word + `","NaN",{"NaN":"` + word + `"}]}`
			rows = append(rows,
				nearly{"a completion with " + written, body(whole, "application/json"), inWhole, inStream, 1},
				nearly{name: "a stream with " + written, script: stream(piece, finish(0, "stop"), done), unary: want("choices[0]."), stream: inStream, chunks: 2},
			)
		}
	}
	checkNearly(t, rows)
}
