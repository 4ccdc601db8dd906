package usage_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/openai-connect/openai-connect/server/sandbox"
	"github.com/openai-connect/openai-connect/server/usage"
)

// textRequest is a request with 3 tokens of text.
var textRequest = usage.Request{ConsumesTokens: true, TextTokens: 3}

const chatUsage = `{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,` +
	`"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":5}}`

const responsesUsage = `{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":12,` +
	`"output_tokens_details":{"reasoning_tokens":5},"total_tokens":21}`

var reportedUsage = usage.Usage{Input: 9, Output: 12, Total: 21, CachedInput: 4, Reasoning: 5}

func estimated(input, output int64) usage.Usage {
	return usage.Usage{Input: input, Output: output, Total: input + output, Estimated: true}
}

func events(data ...string) string {
	return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n"
}

const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream; charset=utf-8"
)

// responseRows are responses to textRequest, with the expected results.
var responseRows = []struct {
	name        string
	contentType string
	status      int // 200 if it is 0
	body        string
	want        usage.Response
}{
	{
		"a chat completion tells", typeJSON, 0,
		`{"id":"x","model":"m","choices":[{"message":{"content":"Hello"}}],"usage":` + chatUsage + `}`,
		usage.Response{Usage: reportedUsage, Model: "m"},
	},
	{
		"a response tells", typeJSON, 0,
		`{"id":"x","object":"response","model":"m","output":[{"content":[{"text":"Hello"}]}],"usage":` + responsesUsage + `}`,
		usage.Response{Usage: reportedUsage, Model: "m"},
	},
	{
		"embeddings tell", typeJSON, 0,
		`{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"model":"m","usage":{"prompt_tokens":8,"total_tokens":8}}`,
		usage.Response{Usage: usage.Usage{Input: 8, Total: 8}, Model: "m"},
	},
	{
		"a total alone is told", typeJSON, 0, `{"usage":{"total_tokens":8}}`,
		usage.Response{Usage: usage.Usage{Total: 8}},
	},
	{
		"a total that is missing is added up", typeJSON, 0, `{"usage":{"input_tokens":8,"output_tokens":3}}`,
		usage.Response{Usage: usage.Usage{Input: 8, Output: 3, Total: 11}},
	},
	{
		"numbers may be strings, and what is none doesn't hide the others", typeJSON, 0,
		`{"usage":{"prompt_tokens":"8","completion_tokens":3.0,"prompt_tokens_details":5,"completion_tokens_details":{"reasoning_tokens":null}}}`,
		usage.Response{Usage: usage.Usage{Input: 8, Output: 3, Total: 11}},
	},
	{
		"a negative number is none", typeJSON, 0, `{"usage":{"prompt_tokens":-8,"completion_tokens":3}}`,
		usage.Response{Usage: estimated(3, 3)},
	},
	{
		"a huge number is bounded", typeJSON, 0, `{"usage":{"prompt_tokens":1e300,"completion_tokens":0}}`,
		usage.Response{Usage: usage.Usage{Input: 1 << 40, Total: 1 << 40}},
	},
	{
		"hits of DeepSeek's cache are told", typeJSON, 0, `{"usage":{"prompt_tokens":8,"completion_tokens":3,"prompt_cache_hit_tokens":6}}`,
		usage.Response{Usage: usage.Usage{Input: 8, Output: 3, Total: 11, CachedInput: 6}},
	},
	{
		"a transcription that tells of seconds is guessed", typeJSON, 0, `{"text":"Hello there","usage":{"type":"duration","seconds":5}}`,
		usage.Response{Usage: estimated(3, 2)},
	},
	{
		"an answer that tells nothing is guessed", typeJSON, 0, `{"choices":[{"message":{"content":"Hello there","refusal":null}}]}`,
		usage.Response{Usage: estimated(3, 2)},
	},
	{
		"a truncated body is estimated", typeJSON, 0, `{"model":"m","choices":[{"message":{"content":"Hello there"`,
		usage.Response{Usage: estimated(3, 2), Model: "m"},
	},
	{
		"a body that is not JSON counts no output tokens", typeJSON, 0, `<html>`,
		usage.Response{Usage: estimated(3, 0)},
	},
	{
		"plain text is estimated from its length", "text/plain; charset=utf-8", 0, "Hello there",
		usage.Response{Usage: estimated(3, 2)},
	},
	{
		"audio has no text", "audio/mpeg", 0, "Hello there",
		usage.Response{Usage: estimated(3, 0)},
	},
	{
		"an error takes nothing", typeJSON, 429, `{"error":{"message":"no"},"model":"m","usage":` + chatUsage + `}`,
		usage.Response{},
	},
	{
		"a stream tells at its end", typeEvents, 0,
		events(`{"model":"m","choices":[{"delta":{"content":"Hello"}}],"usage":null}`, `{"model":"m","choices":[],"usage":`+chatUsage+`}`, "[DONE]"),
		usage.Response{Usage: reportedUsage, Model: "m", Events: 2},
	},
	{
		"a stream tells without a blank line at its end", typeEvents, 0,
		`data: {"usage":` + chatUsage + `}`,
		usage.Response{Usage: reportedUsage},
	},
	{
		"of running totals the last counts", typeEvents, 0,
		events(`{"usage":{"prompt_tokens":9,"completion_tokens":1}}`, `{"usage":{"prompt_tokens":9,"completion_tokens":2}}`, `{"usage":null}`),
		usage.Response{Usage: usage.Usage{Input: 9, Output: 2, Total: 11}, Events: 3},
	},
	{
		"a stream of the Responses API tells at its end", typeEvents, 0,
		events(
			`{"type":"response.created","response":{"model":"m","usage":null}}`,
			`{"type":"response.output_text.delta","delta":"Hello"}`,
			`{"type":"response.completed","response":{"model":"m","usage":`+responsesUsage+`}}`,
		),
		usage.Response{Usage: reportedUsage, Model: "m", Events: 3},
	},
	{
		"one that was cut is guessed by its deltas", typeEvents, 0,
		events(
			`{"type":"response.created","response":{"model":"m","instructions":"Be brief","usage":null}}`,
			`{"type":"response.output_text.delta","delta":"Hello"}`,
			`{"type":"response.output_text.delta","delta":" you"}`,
			`{"type":"response.output_text.done","text":"Hello you"}`,
		),
		usage.Response{Usage: estimated(3, 2), Model: "m", Events: 4},
	},
	{
		"the text of a stream that tells nothing is guessed as a whole", typeEvents, 0,
		events(`{"model":"m","choices":[{"delta":{"role":"assistant","content":""}}]}`, `{"choices":[{"delta":{"content":"a"}}]}`,
			`{"choices":[{"delta":{"content":"b"}}]}`, `{"choices":[{"delta":{}}]}`, "[DONE]"),
		usage.Response{Usage: estimated(3, 1), Model: "m", Events: 4},
	},
	{
		"the text of tools and of thoughts counts", typeEvents, 0,
		events(`{"choices":[{"delta":{"reasoning_content":"abcdefgh","tool_calls":[{"function":{"arguments":"{\"a\":1}"}}]}}]}`),
		usage.Response{Usage: estimated(3, 7), Events: 1},
	},
	{
		"a stream that doesn't say what it is is one", "", 0,
		events(`{"usage":` + chatUsage + `}`),
		usage.Response{Usage: reportedUsage, Events: 1},
	},
	{
		"JSON that doesn't say what it is is JSON", "", 0, `{"usage":` + chatUsage + `}`,
		usage.Response{Usage: reportedUsage},
	},
	// Usage of other vendors.
	{
		"a vendor's member may tell", typeEvents, 0,
		events(`{"model":"m","choices":[{"delta":{"content":"Hello"}}],"x_groq":{"id":"r"}}`, `{"choices":[{"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":`+chatUsage+`}}`, "[DONE]"),
		usage.Response{Usage: reportedUsage, Model: "m", Events: 2},
	},
	{
		"a choice may tell", typeEvents, 0,
		events(`{"model":"m","choices":[{"delta":{"content":"Hello"}}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"stop","usage":`+chatUsage+`}]}`, "[DONE]"),
		usage.Response{Usage: reportedUsage, Model: "m", Events: 2},
	},
	{
		"a choice's message may tell", typeJSON, 0,
		`{"choices":[{"message":{"content":"Hello","usage":` + chatUsage + `}}]}`,
		usage.Response{Usage: reportedUsage},
	},
	{
		"a stream of Anthropic's tells at its beginning and its end, and of what was cached beside the rest", typeEvents, 0,
		strings.ReplaceAll(events(
			`{"type":"message_start","message":{"id":"x","model":"m","content":[],"usage":{"input_tokens":25,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":100},"output_tokens":1}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, `{"type":"ping"}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}`,
			`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":15}}`,
			`{"type":"message_stop"}`,
		), "data: ", "event: x\ndata: "),
		usage.Response{Usage: usage.Usage{Input: 1125, Output: 15, Total: 1140, CachedInput: 1000}, Model: "m", Events: 6},
	},
	{
		"so does a message", typeJSON, 0,
		`{"type":"message","model":"m","content":[{"type":"text","text":"Hello"}],"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":1000,"output_tokens":15}}`,
		usage.Response{Usage: usage.Usage{Input: 1025, Output: 15, Total: 1040, CachedInput: 1000}, Model: "m"},
	},
	{
		"what was cached is a part of prompt_tokens", typeJSON, 0,
		`{"usage":{"prompt_tokens":1025,"completion_tokens":15,"total_tokens":1040,"cache_read_input_tokens":1000,"prompt_tokens_details":{"cached_tokens":1000}}}`,
		usage.Response{Usage: usage.Usage{Input: 1025, Output: 15, Total: 1040, CachedInput: 1000}},
	},
	{
		"so it is of input_tokens with details, or with a total", typeEvents, 0,
		events(`{"usage":{"input_tokens":1025,"output_tokens":15,"cache_read_input_tokens":1000,"input_tokens_details":{"cached_tokens":1000}}}`, `{"usage":{"input_tokens":1025,"output_tokens":15,"total_tokens":1040,"cache_read_input_tokens":1000}}`),
		usage.Response{Usage: usage.Usage{Input: 1025, Output: 15, Total: 1040, CachedInput: 1000}, Events: 2},
	},
	{
		"Anthropic's thoughts and tools are guessed in a stream that was cut", typeEvents, 0,
		events(`{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hello there"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl"}}`,
			`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a"}}`),
		usage.Response{Usage: usage.Usage{Input: 25, Output: 5, Total: 30, Estimated: true}, Events: 4},
	},
	{
		"a stream of Ollama's tells at its end", "application/x-ndjson", 0,
		`{"model":"m","message":{"role":"assistant","content":"Hello"},"done":false}` + "\n" +
			`{"model":"m","message":{"role":"assistant","content":""},"done":true,"total_duration":4883583458,"prompt_eval_count":26,"eval_count":298}` + "\n",
		usage.Response{Usage: usage.Usage{Input: 26, Output: 298, Total: 324}, Model: "m", Events: 2},
	},
	{
		"one that was cut is guessed", "application/x-ndjson", 0,
		`{"model":"m","response":"Hello","done":false}` + "\n" + `{"model":"m","response":" there","done":false}` + "\n" + `{"model":"m","resp`,
		usage.Response{Usage: estimated(3, 2), Model: "m", Events: 2},
	},
	{
		"a line that is broken is passed over", "application/jsonl", 0,
		`{"response":"Hello"}` + "\n" + `{"response":]` + "\n" + `{"eval_count":5,"prompt_eval_count":4}`,
		usage.Response{Usage: usage.Usage{Input: 4, Output: 5, Total: 9}, Events: 2},
	},
	{
		"a line that does not begin with an object or array is skipped, however the body is split", "application/jsonl", 0,
		`jjjjjjj{"usage":{"total_tokens":8}}` + "\n12 \n" + `{"usage":{"total_tokens":9}}` + "\n\"a\"\n34",
		usage.Response{Usage: usage.Usage{Total: 9}, Events: 1},
	},
	{
		"JSON that is neither an object nor an array is not read, however it is split", typeJSON, 0, "1234 true \"a\" \"b\"",
		usage.Response{Usage: estimated(3, 0)},
	},
	{
		"JSON by lines may come as JSON", typeJSON, 0,
		`{"model":"m","response":"Hello","done":false}` + "\n" + `{"model":"m","response":"","done":true,"prompt_eval_count":"26","eval_count":298}`,
		usage.Response{Usage: usage.Usage{Input: 26, Output: 298, Total: 324}, Model: "m", Events: 2},
	},
	{
		"so may an event stream", typeJSON, 0,
		"\n: hi\n" + events(`{"model":"m","choices":[{"delta":{"content":"Hello"}}]}`, `{"usage":`+chatUsage+`}`, "[DONE]"),
		usage.Response{Usage: reportedUsage, Model: "m", Events: 2},
	},
	{
		"an event stream may come as bytes", "application/octet-stream", 0,
		"event: x\n" + events(`{"model":"m","usage":`+chatUsage+`}`, "[DONE]"),
		usage.Response{Usage: reportedUsage, Model: "m", Events: 1},
	},
	{
		"or as a text", "text/plain", 0,
		"\ufeff" + events(`{"model":"m","usage":`+chatUsage+`}`, "[DONE]"),
		usage.Response{Usage: reportedUsage, Model: "m", Events: 1},
	},
	{
		"JSON may come as bytes", "application/octet-stream", 0, " \n" + `{"model":"m","usage":` + chatUsage + `}`,
		usage.Response{Usage: reportedUsage, Model: "m"},
	},
	{
		"or as an event stream, with a byte order mark", typeEvents, 0, "\ufeff" + `{"model":"m","usage":` + chatUsage + `}`,
		usage.Response{Usage: reportedUsage, Model: "m"},
	},
	{
		"white space may come before it for long", "application/octet-stream", 0, strings.Repeat(" \n", 1000) + `{"model":"m","usage":` + chatUsage + `}`,
		usage.Response{Usage: reportedUsage, Model: "m"},
	},
	{
		"a text that begins like JSON is a text", "text/plain", 0, `{laughs} Hello there`,
		usage.Response{Usage: estimated(3, 5)},
	},
	{
		"a text that begins like an event is one", "text/plain", 0, `data: Hello there`,
		usage.Response{Usage: estimated(3, 4)},
	},
	{
		"bytes that are neither have no text", "application/octet-stream", 0, "data Hello there",
		usage.Response{Usage: estimated(3, 0)},
	},
	{
		"Google's usage is told", typeEvents, 0,
		events(`{"modelVersion":"m","candidates":[{"content":{"parts":[{"text":"Hello"}]}}],"usageMetadata":{"promptTokenCount":8,"totalTokenCount":8}}`,
			`{"modelVersion":"m","candidates":[{"content":{"parts":[{"text":" there"}]}}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":3,"thoughtsTokenCount":10,"cachedContentTokenCount":4,"totalTokenCount":21}}`),
		usage.Response{Usage: usage.Usage{Input: 8, Output: 13, Total: 21, CachedInput: 4, Reasoning: 10}, Model: "m", Events: 2},
	},
	{
		"Cohere's is, in a reply", typeJSON, 0,
		`{"text":"Hello","meta":{"api_version":{"version":"1"},"billed_units":{"input_tokens":7,"output_tokens":11},"tokens":{"input_tokens":9,"output_tokens":12}}}`,
		usage.Response{Usage: usage.Usage{Input: 9, Output: 12, Total: 21}},
	},
	{
		"and in a stream", typeEvents, 0,
		events(`{"type":"content-delta","delta":{"message":{"content":{"text":"Hello"}}}}`, `{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":7,"output_tokens":11},"tokens":{"input_tokens":9.0,"output_tokens":12.0}}}}`),
		usage.Response{Usage: usage.Usage{Input: 9, Output: 12, Total: 21}, Events: 2},
	},
	{
		"llama.cpp's is", typeEvents, 0,
		events(`{"choices":[{"delta":{"content":"Hello"}}]}`, `{"choices":[{"finish_reason":"stop","delta":{}}],"timings":{"cache_n":4,"prompt_n":5,"prompt_ms":1.5,"predicted_n":12}}`),
		usage.Response{Usage: usage.Usage{Input: 9, Output: 12, Total: 21, CachedInput: 4}, Events: 2},
	},
	{
		"Bedrock's is", typeJSON, 0, `{"output":{"message":{"content":[{"text":"Hello"}]}},"usage":{"inputTokens":9,"outputTokens":12,"totalTokens":21}}`,
		usage.Response{Usage: usage.Usage{Input: 9, Output: 12, Total: 21}},
	},
	{
		"an image's is", typeJSON, 0, `{"data":[{"b64_json":"iVBORw0KGgo="}],"usage":{"total_tokens":100,"input_tokens":50,"output_tokens":50,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}`,
		usage.Response{Usage: usage.Usage{Input: 50, Output: 50, Total: 100}},
	},
	{
		"what a total says that the rest doesn't is told", typeJSON, 0, `{"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":30}}`,
		usage.Response{Usage: usage.Usage{Input: 9, Output: 12, Total: 30}},
	},
	{
		"what a total alone leaves open is worked out", typeJSON, 0, `{"usage":{"completion_tokens":12,"total_tokens":30}}`,
		usage.Response{Usage: usage.Usage{Input: 18, Output: 12, Total: 30}},
	},
	// Missing or wrong usage.
	{
		"an empty usage behind a real one takes nothing back", typeEvents, 0,
		events(`{"choices":[{"delta":{"content":"Hello"}}]}`, `{"usage":`+chatUsage+`}`, `{"choices":[],"usage":{}}`, `{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, "[DONE]"),
		usage.Response{Usage: reportedUsage, Events: 4},
	},
	{
		"zeros beside text are guessed", typeEvents, 0,
		events(`{"choices":[{"delta":{"content":"Hello"}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`, `{"choices":[{"delta":{"content":" there"}}],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`),
		usage.Response{Usage: estimated(3, 2), Events: 2},
	},
	{
		"so is an output of zero", typeJSON, 0, `{"choices":[{"message":{"content":"Hello there"}}],"usage":{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9}}`,
		usage.Response{Usage: usage.Usage{Input: 9, Output: 2, Total: 11, Estimated: true}},
	},
	{
		"so is an input of zero", typeJSON, 0, `{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":0,"total_tokens":0}}`,
		usage.Response{Usage: estimated(3, 0)},
	},
	{
		"what came since the last usage is guessed", typeEvents, 0,
		events(`{"choices":[{"delta":{"content":"Hello"}}],"usage":{"prompt_tokens":9,"completion_tokens":12}}`, `{"choices":[{"delta":{"content":"Hello"}}]}`, `{"choices":[{"delta":{"content":" there"}}],"usage":{"prompt_tokens":9,"completion_tokens":12}}`),
		usage.Response{Usage: usage.Usage{Input: 9, Output: 14, Total: 23, Estimated: true}, Events: 3},
	},
	{
		"a thought under several names counts once", typeEvents, 0,
		events(`{"choices":[{"delta":{"content":"","reasoning":"Hello","reasoning_content":"Hello","reasoning_details":[{"type":"reasoning.text","text":"Hello"}]}}]}`,
			`{"choices":[{"delta":{"reasoning":" there","reasoning_content":" there","reasoning_details":[{"type":"reasoning.text","text":" there"}]}}]}`,
			`{"choices":[{"delta":{"content":"Hello"}}]}`),
		usage.Response{Usage: estimated(3, 3), Events: 3},
	},
	{
		"a usage in the words of a model is none", typeJSON, 0, `{"choices":[{"message":{"content":"{\"usage\":{\"total_tokens\":1}}"}}],"metadata":{"usage":{"total_tokens":1}},"tools":[{"usage":{"total_tokens":1}}]}`,
		usage.Response{Usage: estimated(3, 10)},
	},
	{
		"comments and empty data are no events", typeEvents, 0,
		": keep-alive\n\ndata:\n\ndata: {}\r\n\r\ndata: [DONE]\r\rdata: [DONE] \n\n",
		usage.Response{Usage: estimated(3, 0), Events: 2},
	},
}

func respond(contentType string, status int, body string) *http.Response {
	header := make(http.Header)
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// pass reads the body of resp, which must equal body, through a tap.
func pass(t *testing.T, resp *http.Response, request usage.Request, body string, wrap func(io.Reader) io.Reader) usage.Response {
	t.Helper()
	var eventCount int
	tap := usage.NewTap(resp, request, func(at time.Time) {
		if at.IsZero() {
			t.Error("got an event without a time")
		}
		eventCount++
	})
	got, err := io.ReadAll(wrap(resp.Body))
	if err != nil || string(got) != body {
		t.Errorf("got body %q, error %v, want %q", got, err, body)
	}
	response := tap.Response()
	if eventCount != response.Events {
		t.Errorf("got %d calls of onEvent, want %d", eventCount, response.Events)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if after := tap.Response(); after != response {
		t.Errorf("Response() = %+v after Close, want %+v as before", after, response)
	}
	return response
}

func unsplit(r io.Reader) io.Reader { return r }

func TestTap_ReadsResponses(t *testing.T) {
	t.Parallel()
	for _, row := range responseRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for name, wrap := range map[string]func(io.Reader) io.Reader{"in one piece": unsplit, "byte by byte": iotest.OneByteReader, "half a buffer per read": iotest.HalfReader} {
				got := pass(t, respond(row.contentType, row.status, row.body), textRequest, row.body, wrap)
				if got != row.want {
					t.Errorf("%s: got %+v, want %+v", name, got, row.want)
				}
			}
			for at := range row.body {
				resp := respond(row.contentType, row.status, row.body)
				resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(row.body[:at]), strings.NewReader(row.body[at:])))
				if got := pass(t, resp, textRequest, row.body, unsplit); got != row.want {
					t.Errorf("split at %d: got %+v, want %+v", at, got, row.want)
				}
			}
		})
	}
}

func TestTap_IgnoresUsageIfRequestConsumesNoTokens(t *testing.T) {
	t.Parallel()
	body := `{"model":"m","usage":` + chatUsage + `}`
	if got := pass(t, respond(typeJSON, 0, body), usage.Request{}, body, unsplit); got != (usage.Response{Model: "m"}) {
		t.Errorf("got %+v", got)
	}
}

// FuzzTap reads any body of any type in pieces. The body must not change, and the result
// must not depend on the pieces.
func FuzzTap(f *testing.F) {
	for _, row := range responseRows {
		f.Add(row.contentType, []byte(row.body), []byte{1, 5, 2})
	}
	f.Fuzz(func(t *testing.T, contentType string, body, sizes []byte) {
		want := pass(t, respond(contentType, 0, string(body)), textRequest, string(body), unsplit)
		pieces := []io.Reader{}
		rest := string(body)
		for _, size := range sizes {
			n := min(int(size), len(rest))
			pieces = append(pieces, strings.NewReader(rest[:n]))
			rest = rest[n:]
		}
		resp := respond(contentType, 0, "")
		resp.Body = io.NopCloser(io.MultiReader(append(pieces, strings.NewReader(rest))...))
		if got := pass(t, resp, textRequest, string(body), unsplit); got != want {
			t.Fatalf("%q in pieces: got %+v, want %+v as in one piece", body, got, want)
		}
		if want.Usage.Total < want.Usage.Input+want.Usage.Output || want.Usage.Input < 0 || want.Usage.Output < 0 {
			t.Fatalf("%q: got inconsistent usage %+v", body, want.Usage)
		}
	})
}

// coders apply content codings. Each write is flushed.
var coders = map[string]func(io.Writer) flusher{
	"gzip":    func(w io.Writer) flusher { return gzip.NewWriter(w) },
	"x-gzip":  func(w io.Writer) flusher { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) flusher { return zlib.NewWriter(w) },
	"Deflate": func(w io.Writer) flusher {
		bare, _ := flate.NewWriter(w, 5)
		return bare
	},
	"br": func(w io.Writer) flusher { return brotli.NewWriter(w) },
	"zstd": func(w io.Writer) flusher {
		encoder, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		return encoder
	},
}

type flusher interface {
	io.WriteCloser
	Flush() error
}

func encode(t *testing.T, coding string, pieces ...string) [][]byte {
	t.Helper()
	var (
		coded  bytes.Buffer
		result [][]byte
	)
	coder := coders[coding](&coded)
	for i, piece := range pieces {
		if _, err := io.WriteString(coder, piece); err != nil {
			t.Fatal(err)
		}
		finish := coder.Flush
		if i == len(pieces)-1 {
			finish = coder.Close
		}
		if err := finish(); err != nil {
			t.Fatal(err)
		}
		result = append(result, bytes.Clone(coded.Bytes()))
		coded.Reset()
	}
	return result
}

func TestTap_ReadsCompressedResponses(t *testing.T) {
	t.Parallel()
	for coding := range coders {
		t.Run(coding, func(t *testing.T) {
			t.Parallel()
			for _, row := range responseRows {
				want := row.want
				body := string(encode(t, coding, row.body)[0])
				for _, wrap := range []func(io.Reader) io.Reader{unsplit, iotest.OneByteReader} {
					resp := respond(row.contentType, row.status, body)
					resp.Header.Set("Content-Encoding", coding)
					if got := pass(t, resp, textRequest, body, wrap); got != want {
						t.Errorf("%s: got %+v, want %+v", row.name, got, want)
					}
				}
			}
		})
	}
}

func TestTap_ReadsSeveralCodings(t *testing.T) {
	t.Parallel()
	body := string(encode(t, "br", string(encode(t, "gzip", `{"usage":`+chatUsage+`}`)[0]))[0])
	resp := respond(typeJSON, 0, body)
	resp.Header["Content-Encoding"] = []string{"identity, gzip", "br"}
	if got := pass(t, resp, textRequest, body, iotest.OneByteReader); got != (usage.Response{Usage: reportedUsage}) {
		t.Errorf("got %+v", got)
	}
}

func TestTap_ReportsCompressedEventsAtOnce(t *testing.T) {
	t.Parallel()
	for coding := range coders {
		t.Run(coding, func(t *testing.T) {
			t.Parallel()
			reader, writer := io.Pipe()
			resp := respond(typeEvents, 0, "")
			resp.Header.Set("Content-Encoding", coding)
			resp.Body = reader
			eventCount := 0
			tap := usage.NewTap(resp, textRequest, func(time.Time) { eventCount++ })
			pieces := encode(t, coding, events("1"), events("2"), events("3"), "")
			go func() {
				for _, piece := range pieces {
					writer.Write(piece)
				}
				writer.Close()
			}()
			buffer := make([]byte, 1024)
			for i, piece := range pieces[:3] {
				if _, err := io.ReadFull(resp.Body, buffer[:len(piece)]); err != nil {
					t.Fatal(err)
				}
				if eventCount != i+1 || tap.Response().Events != i+1 {
					t.Errorf("got %d events, want %d", eventCount, i+1)
				}
			}
			resp.Body.Close() // before the end of the body
		})
	}
}

func TestTap_EstimatesUndecodableResponses(t *testing.T) {
	t.Parallel()
	half := encode(t, "gzip", `{"choices":[{"message":{"content":"Hello there`, `"}}],"usage":`+chatUsage+`}`)
	bomb := encode(t, "zstd", `{"a":"`+strings.Repeat("x", 65<<20)+`","usage":`+chatUsage+`}`)
	for _, row := range []struct {
		name, coding, body string
		want               usage.Usage
	}{
		{"an unknown coding", "snappy", "Hello there", estimated(3, 3)},
		{"too many codings", "gzip,gzip,gzip,gzip,gzip", "Hello there", estimated(3, 3)},
		{"not compressed", "gzip", "Hello there", estimated(3, 0)},
		{"truncated data", "gzip", string(half[0]), estimated(3, 2)},
		{"a decompression bomb", "zstd", string(bomb[0]), estimated(3, 0)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			resp := respond(typeJSON, 0, row.body)
			resp.Header.Set("Content-Encoding", row.coding)
			if got := pass(t, resp, textRequest, row.body, unsplit); got.Usage != row.want {
				t.Errorf("got %+v, want %+v", got.Usage, row.want)
			}
		})
	}
}

// TestTap_ReadsTheSandbox compares the usage of streams and unary responses of the
// sandbox, over real connections.
func TestTap_ReadsTheSandbox(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(sandbox.New())
	defer server.Close()
	const text = `"model":"sandbox","messages":[{"role":"user","content":"Tell me a story, please"}]`
	ask := func(t *testing.T, body string, header ...string) (*http.Response, usage.Request) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/chat/completions", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", typeJSON)
		request, replay, err := usage.ReadRequest(t.Context(), req.Method, req.URL.RequestURI(), req.Header, strings.NewReader(body), 1<<20)
		if err != nil || !request.Complete || request.Model != "sandbox" {
			t.Fatal(request, err)
		}
		req.Body, req.ContentLength = io.NopCloser(replay), int64(len(body))
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp, request
	}
	read := func(t *testing.T, resp *http.Response, request usage.Request) usage.Response {
		t.Helper()
		tap := usage.NewTap(resp, request, nil)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return tap.Response()
	}
	resp, request := ask(t, `{`+text+`}`)
	whole := read(t, resp, request)
	if whole.Usage.Estimated || whole.Usage.Output == 0 || whole.Usage.Total != whole.Usage.Input+whole.Usage.Output || whole.Model != "sandbox" {
		t.Errorf("completion: got %+v", whole)
	}
	resp, request = ask(t, `{`+text+`,"stream":true,"stream_options":{"include_usage":true}}`)
	if streamed := read(t, resp, request); streamed.Usage != whole.Usage || streamed.Events < 3 || !request.Streaming {
		t.Errorf("stream: got %+v, want the usage of the completion, %+v", streamed, whole)
	}
	resp, request = ask(t, `{`+text+`,"stream":true}`)
	unreported := read(t, resp, request).Usage
	if !unreported.Estimated || unreported.Output < whole.Usage.Output/2 || unreported.Output > whole.Usage.Output*2 || unreported.Input == 0 {
		t.Errorf("stream without usage: got %+v, want an estimate near %+v", unreported, whole.Usage)
	}
	for _, fault := range []string{"abort", "cut", "end", "malformed", "error"} {
		resp, request = ask(t, `{`+text+`,"stream":true,"stream_options":{"include_usage":true}}`, "x-sandbox-fault", fault, "x-sandbox-after", strconv.Itoa(3))
		got := read(t, resp, request)
		if fault == "malformed" {
			if got.Usage != whole.Usage {
				t.Errorf("stream with a malformed event: got %+v, want %+v", got.Usage, whole.Usage)
			}
		} else if !got.Usage.Estimated || got.Usage.Output != 2 && got.Usage.Output != 3 {
			t.Errorf("stream with the fault %s: got %+v, want an estimate", fault, got)
		}
	}
}
