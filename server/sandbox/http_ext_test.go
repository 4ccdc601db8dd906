package sandbox_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/sandbox"
)

func TestSandbox_StreamsExactBytes(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	r := create(t, server, userRequest("Hi", `"verbosity":"low"`, `"n":2`, `"max_tokens":2`, `"stream":true`,
		`"stream_options":{"include_usage":true}`))
	const (
		head = `data: {"id":"chatcmpl-6892dd420be5a51380e0864d","object":"chat.completion.chunk","created":1750000000,` +
			`"model":"sandbox","service_tier":"default","system_fingerprint":"fp_sandbox","choices":[`
		tail = `],"usage":null}` + "\n\n"
	)
	want := head + `{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}` + tail +
		head + `{"index":1,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}` + tail +
		head + `{"index":0,"delta":{"content":"("},"logprobs":null,"finish_reason":null}` + tail +
		head + `{"index":1,"delta":{"content":"("},"logprobs":null,"finish_reason":null}` + tail +
		head + `{"index":0,"delta":{"content":"1"},"logprobs":null,"finish_reason":null}` + tail +
		head + `{"index":1,"delta":{"content":"2"},"logprobs":null,"finish_reason":null}` + tail +
		head + `{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}` + tail +
		head + `{"index":1,"delta":{},"logprobs":null,"finish_reason":"length"}` + tail +
		head + `],"usage":{"prompt_tokens":5,"completion_tokens":4,"total_tokens":9,` +
		`"prompt_tokens_details":{"text_tokens":5,"image_tokens":0,"audio_tokens":0,"cached_tokens":0,"cache_write_tokens":0},` +
		`"completion_tokens_details":{"text_tokens":4,"reasoning_tokens":0,"audio_tokens":0,` +
		`"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}` + "\n\n" +
		"data: [DONE]\n\n"
	if r.body != want {
		t.Errorf("got\n%s\nwant\n%s", r.body, want)
	}
	for name, value := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "Content-Length": "",
	} {
		if got := r.header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

// TestSandbox_StreamsDeltas compares only the deltas.
func TestSandbox_StreamsDeltas(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for name, row := range map[string]struct {
		body    string
		headers []string
		want    []string
	}{
		"the names of calls come first, then their arguments, interleaved": {
			body: userRequest("Hi", `"stream":true,"tool_choice":"required","tools":[`+
				`{"type":"function","function":{"name":"f","parameters":{"properties":{"a":{}}}}},`+
				`{"type":"custom","custom":{"name":"c"}}]`),
			want: []string{
				`{"role":"assistant","content":null,"refusal":null}`,
				`{"tool_calls":[{"index":0,"id":"ID","type":"function","function":{"name":"f","arguments":""}}]}`,
				`{"tool_calls":[{"index":1,"id":"ID","type":"custom","custom":{"name":"c","input":""}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"{\""}}]}`,
				`{"tool_calls":[{"index":1,"custom":{"input":"sample"}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"a"}}]}`,
				`{"tool_calls":[{"index":1,"custom":{"input":" input"}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"\":\""}}]}`,
				`{"tool_calls":[{"index":1,"custom":{"input":" for"}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"sample"}}]}`,
				`{"tool_calls":[{"index":1,"custom":{"input":" c"}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":" a"}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]}`,
				`{}`,
			},
		},
		"a call beyond the limit is omitted": {
			body: userRequest("Hi", `"stream":true,"max_tokens":2,"tool_choice":"required","tools":[`+
				`{"type":"function","function":{"name":"f","parameters":{"properties":{"a":{}}}}},`+
				`{"type":"custom","custom":{"name":"c"}}]`),
			want: []string{
				`{"role":"assistant","content":null,"refusal":null}`,
				`{"tool_calls":[{"index":0,"id":"ID","type":"function","function":{"name":"f","arguments":""}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"{\""}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"a"}}]}`,
				`{}`,
			},
		},
		"a deprecated call": {
			body: userRequest("Hi", `"stream":true,"functions":[{"name":"f"}]`),
			want: []string{
				`{"role":"assistant","content":null,"refusal":null}`,
				`{"function_call":{"name":"f","arguments":""}}`,
				`{"function_call":{"arguments":"{}"}}`,
				`{}`,
			},
		},
		"a refusal": {
			body: userRequest("Hi", `"stream":true,"max_tokens":2`), headers: []string{"x-sandbox-answer", "refusal"},
			want: []string{`{"role":"assistant","content":null,"refusal":null}`, `{"refusal":"The"}`, `{"refusal":" sandbox"}`, `{}`},
		},
		"an empty text": {
			body: userRequest("Hi", `"stream":true,"verbosity":"low","stop":"You"`),
			want: []string{`{"role":"assistant","content":"","refusal":null}`, `{}`},
		},
		"the transcript of audio comes before its samples": {
			body: userRequest("Hi", `"stream":true,"max_tokens":1,"modalities":["text","audio"],"audio":{"voice":"a","format":"pcm16"}`),
			want: []string{
				`{"role":"assistant","content":null,"refusal":null}`,
				`{"audio":{"id":"ID"}}`,
				`{"audio":{"transcript":"This"}}`,
				`{"audio":{"data":"DATA"}}`,
				`{"audio":{"expires_at":1750003600}}`,
				`{}`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := events(t, create(t, server, row.body, row.headers...).body)
			var got []string
			for _, each := range all[:len(all)-1] {
				_, delta, _ := strings.Cut(each, `"delta":`)
				delta, _, _ = strings.Cut(delta, `,"logprobs"`)
				for _, hidden := range []struct{ before, as string }{{`"id":"`, "ID"}, {`"data":"`, "DATA"}} {
					if start, rest, ok := strings.Cut(delta, hidden.before); ok {
						_, rest, _ = strings.Cut(rest, `"`)
						delta = start + hidden.before + hidden.as + `"` + rest
					}
				}
				got = append(got, delta)
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", row.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(row.want, "\n"))
			}
		})
	}
}

func TestSandbox_StreamsAnnotationsAfterText(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	const search = `"web_search_options":{"search_context_size":"low"}`
	all := events(t, create(t, server, userRequest("Hi", search, `"stream":true`)).body)
	streamed := lookup(t, decode(t, all[len(all)-3]), "choices", 0, "delta", "annotations")
	whole := lookup(t, decode(t, create(t, server, userRequest("Hi", search)).body), "choices", 0, "message", "annotations")
	if streamed == nil || fmt.Sprint(streamed) != fmt.Sprint(whole) {
		t.Errorf("streamed %v, whole %v", streamed, whole)
	}
}

func TestSandbox_PadsObfuscatedChunks(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	all := events(t, create(t, server,
		userRequest("Hi, incomprehensibilities", `"stream":true,"stream_options":{"include_obfuscation":true}`)).body)
	for _, each := range all[:len(all)-1] {
		if len(each)%16 != 0 || lookup(t, decode(t, each), "obfuscation") == nil {
			t.Errorf("%d bytes: %s", len(each), each)
		}
	}
	if http1 := create(t, server, userRequest("Hi", `"stream":true`)); strings.Contains(http1.body, "obfuscation") {
		t.Error("the stream has obfuscation that was not requested")
	}
}

func TestSandbox_StreamsModerationInSeparateChunk(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	all := events(t, create(t, server, userRequest("Hi", `"stream":true,"stream_options":{"include_usage":true}`,
		`"moderation":{"model":"omni-moderation-latest"}`)).body)
	for i, each := range all[:len(all)-1] {
		chunk := decode(t, each)
		choices, isModeration := len(chunk["choices"].([]any)), chunk["moderation"] != nil
		if isModeration != (i == len(all)-3) || isModeration && choices > 0 {
			t.Errorf("chunk %d of %d is %s", i, len(all), each)
		}
	}
}

func TestSandbox_RoutesPathsAndMethods(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for name, row := range map[string]struct {
		method, path string
		status       int
		allow        string
	}{
		"models":                             {http.MethodGet, "/v1/models", 200, ""},
		"HEAD is like GET":                   {http.MethodHead, "/v1/models", 200, ""},
		"one model":                          {http.MethodGet, "/v1/models/sandbox", 200, ""},
		"an unknown model":                   {http.MethodGet, "/v1/models/gpt-5", 404, ""},
		"an escaped ID is unescaped":         {http.MethodGet, "/v1/models/s%61ndbox", 200, ""},
		"an escaped slash does not separate": {http.MethodGet, "/v1/models%2Fsandbox", 404, ""},
		"stored completions":                 {http.MethodGet, "/v1/chat/completions", 200, ""},
		"an unknown completion":              {http.MethodGet, "/v1/chat/completions/x", 404, ""},
		"messages of an unknown completion":  {http.MethodGet, "/v1/chat/completions/x/messages", 404, ""},
		"deletion of an unknown completion":  {http.MethodDelete, "/v1/chat/completions/x", 404, ""},
		"an empty ID":                        {http.MethodGet, "/v1/chat/completions/", 404, ""},
		"the messages of an empty ID":        {http.MethodGet, "/v1/chat/completions//messages", 404, ""},
		"a doubled slash is not cleaned":     {http.MethodGet, "/v1//models", 404, ""},
		"dots are not cleaned":               {http.MethodGet, "/v1/x/../models", 404, ""},
		"a path without the version":         {http.MethodGet, "/models", 404, ""},
		"the root":                           {http.MethodGet, "/", 404, ""},
		"an unknown path":                    {http.MethodPost, "/v1/responses", 404, ""},
		"a wrong method":                     {http.MethodPut, "/v1/chat/completions", 405, "GET, HEAD, OPTIONS, POST"},
		"a wrong method for a model":         {http.MethodDelete, "/v1/models/sandbox", 405, "GET, HEAD, OPTIONS"},
		"OPTIONS":                            {http.MethodOptions, "/v1/chat/completions/x", 204, "DELETE, GET, HEAD, OPTIONS, POST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := send(t, server, row.method, row.path, "")
			if r.status != row.status || r.header.Get("Allow") != row.allow {
				t.Errorf("got status %d, Allow %q: %s", r.status, r.header.Get("Allow"), r.body)
			}
			if row.status >= 400 {
				if got := lookup(t, decode(t, r.body), "error", "type"); got != "invalid_request_error" {
					t.Errorf("error type is %v", got)
				}
			}
			if row.method == http.MethodHead && r.body != "" {
				t.Errorf("the response to HEAD has the body %q", r.body)
			}
		})
	}
}

func TestSandbox_SetsHeadersOfOpenAI(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for name, r := range map[string]fullResponse{
		"a completion":    create(t, server, userRequest("Hi")),
		"a stream":        create(t, server, userRequest("Hi", `"stream":true`)),
		"an error":        create(t, server, `{}`),
		"an unknown path": send(t, server, http.MethodGet, "/nothing", ""),
	} {
		for header, want := range map[string]string{
			"Openai-Version": "2020-10-01", "Openai-Organization": "sandbox", "Openai-Processing-Ms": "0",
			"X-Ratelimit-Limit-Requests": "10000", "X-Ratelimit-Limit-Tokens": "2000000",
			"X-Ratelimit-Remaining-Requests": "9999", "X-Ratelimit-Remaining-Tokens": "1999000",
			"X-Ratelimit-Reset-Requests": "6ms", "X-Ratelimit-Reset-Tokens": "30ms",
		} {
			if got := r.header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		if id := r.header.Get("X-Request-ID"); !strings.HasPrefix(id, "req_") {
			t.Errorf("%s: x-request-id is %q", name, id)
		}
		if name != "a stream" && r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: content-type is %q", name, r.header.Get("Content-Type"))
		}
	}
}

func TestSandbox_ChecksContentType(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	for name, row := range map[string]struct {
		headers []string
		status  int
	}{
		"a form":               {[]string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"no content type":      {[]string{"Content-Type", ""}, 415},
		"a compressed body":    {[]string{"Content-Encoding", "gzip"}, 415},
		"a charset is ignored": {[]string{"Content-Type", "Application/JSON; charset=utf-8"}, 200},
		"identity is accepted": {[]string{"Content-Encoding", "identity"}, 200},
	} {
		if r := create(t, server, userRequest("Hi"), row.headers...); r.status != row.status {
			t.Errorf("%s: status %d: %s", name, r.status, r.body)
		}
	}
}

// TestSandbox_RejectsLargeBodyUnread sends only the head of a request.
func TestSandbox_RejectsLargeBodyUnread(t *testing.T) {
	t.Parallel()
	server := startSandbox(t)
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_, err = fmt.Fprintf(connection, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", 64<<20+1)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusRequestEntityTooLarge || lookup(t, decode(t, string(body)), "error", "message") == "" {
		t.Errorf("status %d: %s", response.StatusCode, body)
	}
}

// TestSandbox_RejectsLargeChunkedBody sends a body of unknown length.
func TestSandbox_RejectsLargeChunkedBody(t *testing.T) {
	t.Parallel()
	handler := sandbox.New()
	request := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", io.LimitReader(endless{}, 64<<20+1))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", recorder.Code)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestSandbox_ServesHTTP2(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(sandbox.New(sandbox.WithClock(fixedTime)))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() {
		server.Client().CloseIdleConnections()
		server.Close()
	})
	http1 := startSandbox(t)
	for _, body := range []string{userRequest("Hi"), userRequest("Hi", `"stream":true`)} {
		response, err := server.Client().Do(newRequest(t, server, http.MethodPost, "/v1/chat/completions", body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		if err != nil || response.ProtoMajor != 2 || string(got) != create(t, http1, body).body {
			t.Errorf("%s: %s, %v", response.Proto, got, err)
		}
		response.Body.Close()
	}
	broken := newRequest(t, server, http.MethodPost, "/v1/chat/completions", userRequest("Hi", `"stream":true`),
		"x-sandbox-fault", "abort", "x-sandbox-after", "2")
	response, err := server.Client().Do(broken)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); err == nil || len(events(t, string(got))) != 2 {
		t.Errorf("an aborted stream ends with %v after %s", err, got)
	}
}
