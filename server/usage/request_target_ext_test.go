package usage_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/openai-connect/openai-connect/server/usage"
)

func TestRequestTarget_CountingEndpointsConsumeNoTokens(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		target string
		want   bool
	}{
		{"/v1/messages", true},
		{"/v1/messages/count_tokens", false},
		{"/v1/messages/count_tokens/", false},
		{"/v1/messages/count_tokens?beta=true", false},
		{"/anthropic/v1/messages/count_tokens", false},
		{"/tokenize", false},
		{"/v1/tokenize", false},
		{"/detokenize", false},
		{"/Tokenize", false},
		{"/apply-template", false},
		{"/extras/tokenize/count", false},
		{"/utils/token_counter", false},
		{"/v1beta/models/gemini-3:countTokens", false},
		{"/v1beta/models/gemini-3:generateContent", true},
		{"/v1/responses/input_tokens", false},
		{"/v1/responses", true},
		{"/openai/v1/responses/input_tokens", false},
		{"/openai/deployments/tokenize/chat/completions", true},
		{"/v1/tokenize/../chat/completions", true},
		{"/v1/chat/completions/x/../../../tokenize", true}, // a server that does not resolve it may find another resource
		{"/v1/chat/completions/%2e%2e/%2e%2e/tokenize", true},
		{"/v1/chat/completions%23/tokenize", true},
		{"/v1/chat/completions;/tokenize", true},
		{`/v1/chat/completions\tokenize`, true},
		{"/v1//tokenize", true},
		{"/api/chat", true},
		{"/api/generate", true},
		{"/api/embed", true},
		{"/api/show", false},
		{"/api/pull", false},
		{"/completion", true},
		{"/v1/engines/tokenize/completions", true},
		{"/v1/completions/count", true},
		{"http://example.com/v1/messages/count_tokens?x=/v1/chat", false},
	} {
		got, _, err := usage.ReadRequest(t.Context(), http.MethodPost, row.target, nil, nil, 1)
		if err != nil || got.ConsumesTokens != row.want {
			t.Errorf("POST %s: got ConsumesTokens %v, want %v; error %v", row.target, got.ConsumesTokens, row.want, err)
		}
	}
}

// textRequests are requests with the numbers of their tokens and characters.
var textRequests = []struct {
	name, target, body string
	text, characters   int64
}{
	{"a chat", chat, `{"messages":[{"role":"user","content":"Hello there"},{"role":"user","content":[{"type":"text","text":"Hello"}]}]}`, 3, 0},
	{"an escape is one character", chat, `{"messages":[{"role":"user","content":"\u4f60\u597d"}]}`, 2, 0},
	{"an image", chat, `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,` + strings.Repeat("QUJD", 1000) + `"}}]}]}`, 0, 0},
	{"a schema", chat, `{"tools":[{"function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}}]}`, 14, 0},
	{"a list of tokens", "/v1/embeddings", `{"input":[[9906,1070],[11]],"dimensions":256}`, 3, 0},
	{"speech", "/v1/audio/speech", `{"model":"tts-1","input":"H\u00e9llo \ud83d\ude00 there","voice":"alloy","instructions":"Whisper"}`, 6, 13},
	{"speech at Azure", "/openai/deployments/tts/audio/speech?api-version=1", `{"input":"你好"}`, 2, 2},
	{"not speech", chat, `{"input":"Hello"}`, 1, 0},
}

func TestRequestText_IsCounted(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": {typeJSON}}
	for _, row := range textRequests {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for name, wrap := range map[string]func(io.Reader) io.Reader{"in one piece": unsplit, "byte by byte": iotest.OneByteReader} {
				read, _, err := usage.ReadRequest(t.Context(), http.MethodPost, row.target, header, wrap(strings.NewReader(row.body)), 1<<20)
				if err != nil || read.TextTokens != row.text || read.Characters != row.characters {
					t.Errorf("%s: got %d tokens and %d characters, want %d and %d; error %v", name, read.TextTokens, read.Characters, row.text, row.characters, err)
				}
				for _, coding := range []string{"", "identity", "gzip", "deflate"} {
					metered, _, err := usage.ReadRequest(t.Context(), http.MethodPost, row.target, header, nil, 0)
					if err != nil {
						t.Fatal(err)
					}
					body := row.body
					if coders[coding] != nil {
						body = string(encode(t, coding, body)[0])
					}
					write, end := metered.MeterBody(http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {coding}})
					if _, err := io.Copy(pieces(write), onlyReader{wrap(strings.NewReader(body))}); err != nil {
						t.Fatal(err)
					}
					end()
					write([]byte(body)) // ignored after the end
					got := pass(t, respond("audio/mpeg", 0, ""), metered, "", unsplit).Usage
					if want := (usage.Usage{Input: row.text, Total: row.text, Characters: row.characters, Estimated: true}); got != want {
						t.Errorf("%s, coding %q: got metered usage %+v, want %+v", name, coding, got, want)
					}
				}
			}
		})
	}
}

// pieces is a function that implements io.Writer.
type pieces func(p []byte)

func (f pieces) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// onlyReader hides the method WriteTo of a reader.
type onlyReader struct{ io.Reader }

func TestRequestText_UsesEstimateForOtherBodies(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, contentType, coding, body string
		follows                         bool
	}{
		{"broken JSON", typeJSON, "", `{"input":"Hello"]`, true},
		{"an empty body", typeJSON, "", "", true},
		{"JSON that is not compressed", typeJSON, "gzip", "Hello", true},
		{"JSON with another coding", typeJSON, "zstd", "", false},
		{"JSON with two codings", typeJSON, "gzip, gzip", "", false},
		{"another type", "application/octet-stream", "", "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			request := usage.Request{ConsumesTokens: true, TextTokens: 7, Characters: 5}
			write, end := request.MeterBody(http.Header{"Content-Type": {row.contentType}, "Content-Encoding": {row.coding}})
			if follows := write != nil; follows != row.follows {
				t.Errorf("got metering %v, want %v", follows, row.follows)
			}
			if row.body != "" {
				write([]byte(row.body))
			}
			if end != nil {
				end()
			}
			want := estimated(7, 0)
			want.Characters = 5
			if got := pass(t, respond("audio/mpeg", 0, ""), request, "", unsplit).Usage; got != want {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Only the beginning of a compressed request is read.
func TestRequestText_BoundsCompressedBody(t *testing.T) {
	t.Parallel()
	request := usage.Request{ConsumesTokens: true, TextTokens: 7}
	write, end := request.MeterBody(http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {"gzip"}})
	defer end()
	write(encode(t, "gzip", `{"input":"`+strings.Repeat("Hello ", 8<<20/6)+`"}`)[0])
	if got := pass(t, respond("audio/mpeg", 0, ""), request, "", unsplit).Usage; got.Input < 1<<20/6*9/10 || got.Input > 1<<20/6*11/10 {
		t.Errorf("got %+v", got)
	}
}

func TestTap_ReadsSecondsOfTranscription(t *testing.T) {
	t.Parallel()
	request, _, err := usage.ReadRequest(t.Context(), http.MethodPost, "/v1/audio/transcriptions", nil, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	request.TextTokens = 3
	seconds := func(seconds float64, output int64) usage.Usage {
		return usage.Usage{Input: 3, Output: output, Total: 3 + output, Seconds: seconds, Estimated: true}
	}
	for _, row := range []struct {
		name, contentType, body string
		want                    usage.Usage
	}{
		{"a usage of seconds", typeJSON, `{"text":"Hello there","usage":{"type":"duration","seconds":250}}`, seconds(250, 2)},
		{"seconds as a string", typeJSON, `{"text":"Hello there","usage":{"type":"duration","seconds":"12.5"}}`, seconds(12.5, 2)},
		{"a duration", typeJSON, `{"task":"transcribe","duration":8.47,"text":"Hello there","segments":[]}`, seconds(8.47, 2)},
		{"a duration as a string", typeJSON, `{"duration":"8.470000267028809","text":"Hello there"}`, seconds(8.47, 2)},
		{"both", typeJSON, `{"text":"Hello there","duration":8.47,"usage":{"type":"duration","seconds":9}}`, seconds(9, 2)},
		{"a stream", typeEvents, events(`{"type":"transcript.text.delta","delta":"Hello there"}`, `{"type":"transcript.text.done","text":"Hello there","usage":{"type":"duration","seconds":9}}`), seconds(9, 2)},
		{"tokens", typeJSON, `{"text":"Hello there","usage":{"type":"tokens","input_tokens":14,"output_tokens":4,"total_tokens":18}}`, usage.Usage{Input: 14, Output: 4, Total: 18}},
		{"plain text", "text/plain", "Hello there", estimated(3, 2)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, wrap := range []func(io.Reader) io.Reader{unsplit, iotest.OneByteReader} {
				got := pass(t, respond(row.contentType, 0, row.body), request, row.body, wrap).Usage
				if got != row.want {
					t.Errorf("got %+v, want %+v", got, row.want)
				}
				if charge := got.Total + int64(10*got.Seconds); got.Charge() != charge {
					t.Errorf("Charge() = %d, want %d", got.Charge(), charge)
				}
			}
		})
	}
	t.Run("a duration in another response", func(t *testing.T) {
		t.Parallel()
		body := `{"choices":[{"message":{"content":"Hello there"}}],"duration":5000}`
		if got := pass(t, respond(typeJSON, 0, body), textRequest, body, unsplit).Usage; got != estimated(3, 2) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestTap_BytesToLastEvent(t *testing.T) {
	t.Parallel()
	text := events(`{"choices":[{"delta":{"content":"Hello"}}]}`)
	for _, row := range []struct {
		name, contentType, before, last string
	}{
		{"a chat", typeEvents, text, "data: [DONE]\n\n"},
		{"a completed response", typeEvents, text, events(`{"type":"response.completed","response":{}}`)},
		{"a failed response", typeEvents, text, events(`{"type":"response.failed","response":{}}`)},
		{"an incomplete response", typeEvents, text, "event: response.incomplete\n" + events(`{"response":{},"type":"response.incomplete"}`)},
		{"a message", typeEvents, text, "event: message_stop\n" + events(`{"type":"message_stop"}`)},
		{"a transcription", typeEvents, text, events(`{"type":"transcript.text.done","text":"Hello"}`)},
		{"Ollama", "application/x-ndjson", `{"done":false}` + "\n", `{"done":true}`},
		{"a stream without a last event", typeEvents, text + events(`{"type":"response.output_text.done"}`, `{"type":"content_block_stop"}`, "[DONE] ") + "data: [DONE]\n", ""},
		{"a last event in the text of a model", typeEvents, events(`{"choices":[{"delta":{"content":"[DONE]","type":"message_stop","done":true}}]}`), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			body := row.before + row.last
			want := int64(len(body))
			if row.last == "" {
				want = 0
			}
			for _, rest := range []string{"", ": bye\n\n"} {
				if rest != "" && (row.contentType != typeEvents || row.last == "") {
					continue
				}
				resp := respond(row.contentType, 0, body+rest)
				tap := usage.NewTap(resp, textRequest, nil)
				if _, err := io.Copy(io.Discard, iotest.OneByteReader(resp.Body)); err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got := tap.BytesToLastEvent(); got != want {
					t.Errorf("followed by %q: BytesToLastEvent() = %d, want %d", rest, got, want)
				}
			}
		})
	}
}
