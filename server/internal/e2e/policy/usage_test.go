package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// watch configures an access log and returns a function that waits for its next
// record. Counts returns the metrics of a scrape.
func watch(t *testing.T, config *server.Config) (next func() map[string]any, counts func() string) {
	t.Helper()
	log := make(e2etest.LogRecords, 100)
	observer, err := telemetry.New(telemetry.Config{Calls: slog.New(slog.NewJSONHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observer.Close)
	config.Observer = observer
	next = func() map[string]any {
		t.Helper()
		var line map[string]any
		select {
		case text := <-log:
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
		case <-e2etest.Context(t).Done():
			t.Fatal("got no access log record")
		}
		return line
	}
	counts = func() string {
		t.Helper()
		recorder := httptest.NewRecorder()
		observer.MetricsHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return recorder.Body.String()
	}
	return next, counts
}

// usageCase is a request that uses 2,500 tokens, or that many by estimation.
type usageCase struct {
	name, path, contentType, body string // of the request; a chat by default
	answerType, answer            string
	leaves                        bool // the client disconnects after the response
	estimated                     bool
	coding                        string // of the request's body
}

const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

func eventStream(data ...string) string { return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n" }

// prose is about 2,500 tokens of English, and hanzi of escaped Chinese.
var (
	prose = strings.Repeat("The quick brown fox jumps over the lazy dog while the farmer watches from the porch. ", 147)
	hanzi = strings.Repeat(`\u4eca\u5929\u5929\u6c14\u5f88\u597d\uff0c\u6211\u4eec\u6253\u7b97\u4e0b\u5348\u53bb\u516c\u56ed\u6563\u6b65\u3002`, 128)
)

// deltas returns chunks whose deltas hold parts of text and the given fields.
func deltas(text, name, members string) []string {
	var list []string
	for len(text) > 0 {
		n := min(len(text), 9)
		list = append(list, fmt.Sprintf(`{"model":"m","choices":[{"index":0,"delta":{%q:%q}}]%s}`, name, text[:n], members))
		text = text[n:]
	}
	return list
}

func usageCases() []usageCase {
	const (
		used  = `"usage":{"prompt_tokens":2000,"completion_tokens":500,"total_tokens":2500}`
		zeros = `"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`
		start = `{"type":"message_start","message":{"model":"m","usage":{"input_tokens":10,"output_tokens":1}}}`
		form  = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n" +
			"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nRIFF\r\n--x--\r\n"
		formType = "multipart/form-data; boundary=x"
	)
	hello := deltas("Hello", "content", "")[0]
	thoughts := deltas(prose, "reasoning", "")
	for i := range thoughts {
		_, text, _ := strings.Cut(thoughts[i], `"reasoning":`)
		text, _, _ = strings.Cut(text, `}`)
		thoughts[i] = strings.Replace(thoughts[i], `{"reasoning":`, `{"reasoning_content":`+text+`,"reasoning":`, 1)
	}
	return []usageCase{
		{name: "chat", answerType: typeJSON, answer: `{"model":"m","choices":[],` + used + `}`},
		{name: "chat stream", answerType: typeEvents, answer: eventStream(hello, `{"choices":[],`+used+`}`, "[DONE]")},
		{name: "vendor field", answerType: typeEvents, answer: eventStream(hello, `{"choices":[],"x_groq":{`+used+`}}`, "[DONE]")},
		{name: "choice field", answerType: typeEvents, answer: eventStream(hello, `{"choices":[{"delta":{},`+used+`}]}`, "[DONE]")},
		{name: "message", path: "/v1/messages", answerType: typeJSON, answer: `{"type":"message","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":2000,"cache_creation_input_tokens":480,"output_tokens":10}}`},
		{
			name: "message stream", path: "/v1/messages", answerType: typeEvents,
			answer: eventStream(`{"type":"message_start","message":{"usage":{"input_tokens":2000,"output_tokens":1}}}`, `{"type":"message_delta","delta":{},"usage":{"output_tokens":500}}`, `{"type":"message_stop"}`),
		},
		{name: "usage followed by zeros", answerType: typeEvents, answer: eventStream(hello, `{"choices":[],`+used+`}`, `{"choices":[],"usage":{}}`, `{"choices":[],`+zeros+`}`, "[DONE]")},
		{name: "zeros in each chunk", answerType: typeEvents, answer: eventStream(deltas(prose, "content", ","+zeros)...), estimated: true},
		{name: "no usage", answerType: typeEvents, answer: eventStream(deltas(prose, "content", "")...), estimated: true},
		{name: "reasoning in two fields", answerType: typeEvents, answer: eventStream(thoughts...), estimated: true},
		{name: "client that disconnects after an early usage", path: "/v1/messages", answerType: typeEvents, answer: eventStream(append([]string{start}, deltas(prose, "content", "")...)...), leaves: true, estimated: true},
		{name: "Ollama chat", path: "/api/chat", answerType: "application/x-ndjson", answer: `{"model":"m","message":{"content":"Hello"},"done":false}` + "\n" + `{"model":"m","message":{"content":""},"done":true,"prompt_eval_count":2000,"eval_count":500}` + "\n"},
		{name: "an event stream as JSON", answerType: typeJSON, answer: eventStream(hello, `{"choices":[],`+used+`}`, "[DONE]")},
		{name: "an event stream as bytes", answerType: "application/octet-stream", answer: eventStream(hello, `{"choices":[],`+used+`}`, "[DONE]")},
		{name: "numbers as strings", answerType: typeJSON, answer: `{"usage":{"prompt_tokens":"2000","completion_tokens":"500"}}`},
		{name: "total only", answerType: typeJSON, answer: `{"usage":{"total_tokens":2500}}`},
		{name: "embeddings without a usage", path: "/v1/embeddings", body: `{"input":"` + prose + `"}`, answerType: typeJSON, answer: `{"data":[{"embedding":[1]}],` + zeros + `}`, estimated: true},
		{name: "a compressed request", path: "/v1/embeddings", body: e2etest.Gzip(`{"input":"` + prose + `"}`), coding: "gzip", answerType: typeJSON, answer: `{"data":[{"embedding":[1]}]}`, estimated: true},
		{name: "Chinese in escapes", body: `{"messages":[{"role":"user","content":"` + hanzi + `"}]}`, answerType: typeJSON, answer: `{"choices":[]}`, estimated: true},
		{name: "speech", path: "/v1/audio/speech", body: `{"model":"tts-1","input":"` + prose + `","voice":"alloy"}`, answerType: "audio/mpeg", answer: "\xff\xfb", estimated: true},
		{name: "transcription with a duration in usage", path: "/v1/audio/transcriptions", contentType: formType, body: form, answerType: typeJSON, answer: `{"text":"Hello","usage":{"type":"duration","seconds":250}}`, estimated: true},
		{name: "transcription with a duration", path: "/v1/audio/transcriptions", contentType: formType, body: form, answerType: typeJSON, answer: `{"task":"transcribe","duration":250.5,"text":"Hello"}`, estimated: true},
	}
}

// send makes the request and returns the status.
func (s usageCase) send(t *testing.T, front *servertest.Front, http2 bool) int {
	t.Helper()
	path, contentType, body := s.path, s.contentType, s.body
	if path == "" {
		path = "/v1/chat/completions"
	}
	if contentType == "" {
		contentType = typeJSON
	}
	if body == "" {
		body = `{"model":"m","messages":[]}`
	}
	ctx, cancel := context.WithCancel(e2etest.Context(t))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	if s.coding != "" {
		request.Header.Set("Content-Encoding", s.coding)
	}
	request.Header.Set("Authorization", "Bearer "+servertest.Key)
	response, err := servertest.HTTPClient(t, http2).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.StatusCode
	}
	got, err := io.ReadAll(io.LimitReader(response.Body, int64(len(s.answer))))
	if err != nil || string(got) != s.answer {
		t.Fatalf("%s: got response %q and error %v", s.name, got, err)
	}
	if !s.leaves {
		if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
			t.Fatalf("%s: got trailing data %q and error %v", s.name, rest, err)
		}
	}
	return response.StatusCode
}

// serve flushes the response, and ends it unless the client disconnects.
func (s usageCase) serve(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", s.answerType)
	_, _ = io.WriteString(w, s.answer)
	_ = http.NewResponseController(w).Flush()
	if s.leaves {
		<-r.Context().Done()
	}
}

func TestBudget_AdmitsExactlyOneCall(t *testing.T) {
	t.Parallel()
	for _, row := range usageCases() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, http2 := range []bool{false, true} {
				upstream := servertest.StartUpstream(t, row.serve)
				config := e2etest.PolicyConfig(t, upstream.URL, "limits: {tokens_per_minute: 100}")
				next, _ := watch(t, &config)
				front := e2etest.StartServer(t, config)
				for call := range 3 {
					want := http.StatusOK
					if call > 0 {
						want = http.StatusTooManyRequests
					}
					if got := row.send(t, front, http2); got != want {
						t.Errorf("call %d: got status %d, want %d", call+1, got, want)
					}
					line := next()
					if call > 0 {
						continue
					}
					if estimated := line["estimated"] == true; estimated != row.estimated {
						t.Errorf("got log record %v", line)
					}
					seconds, _ := line["audio_seconds"].(float64)
					tokens, _ := line["total_tokens"].(float64)
					if tokens += 10 * seconds; tokens < 2500*0.65 || tokens > 2500*1.35 || !row.estimated && tokens != 2500 {
						t.Errorf("got %v tokens, want 2500: %v", tokens, line)
					}
				}
				if got := len(upstream.Take()); got != 1 {
					t.Errorf("upstream received %d requests, want 1", got)
				}
			}
		})
	}
}

func TestBudget_ExcludesTokenCounting(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v1/messages/count_tokens", "/tokenize", "/v1/detokenize", "/v1/responses/input_tokens", "/v1beta/models/g:countTokens"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			row := usageCase{path: path, body: `{"model":"m","prompt":"` + prose + `"}`, answerType: typeJSON, answer: `{"input_tokens":2500,"count":2500,"usage":{"total_tokens":2500},"tokens":[1,2,3],"text":"` + prose + `"}`}
			config := e2etest.PolicyConfig(t, servertest.StartUpstream(t, row.serve).URL, "limits: {tokens_per_minute: 100}")
			next, counts := watch(t, &config)
			front := e2etest.StartServer(t, config)
			for call := range 4 {
				if got := row.send(t, front, false); got != http.StatusOK {
					t.Errorf("call %d: got status %d", call+1, got)
				}
				if line := next(); line["total_tokens"] != nil {
					t.Errorf("got log record %v", line)
				}
			}
			if strings.Contains(counts(), "openai_connect_tokens_total{") {
				t.Error("got a token count in the metrics, want none")
			}
		})
	}
}

func TestUsage_InAccessLogAndMetrics(t *testing.T) {
	t.Parallel()
	for _, row := range usageCases() {
		shown := map[string]any{}
		var samples []string
		switch row.name {
		case "total only":
			shown["total_tokens"] = 2500.0
			samples = []string{`openai_connect_tokens_total{client="alice",estimated="false",kind="total",model=""} 2500`}
		case "speech":
			shown["characters"] = float64(len(prose))
			samples = []string{fmt.Sprintf(`openai_connect_speech_characters_total{client="alice",model=""} %d`, len(prose))}
		case "transcription with a duration in usage":
			shown["audio_seconds"] = 250.0
			samples = []string{`openai_connect_audio_seconds_total{client="alice",model=""} 250`}
		case "transcription with a duration":
			shown["audio_seconds"] = 250.5
			samples = []string{`openai_connect_audio_seconds_total{client="alice",model=""} 250.5`}
		default:
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, rules := range []string{"limits: {tokens_per_day: 100000}", `models: ["*"]`} {
				config := e2etest.PolicyConfig(t, servertest.StartUpstream(t, row.serve).URL, rules)
				next, counts := watch(t, &config)
				front := e2etest.StartServer(t, config)
				if got := row.send(t, front, false); got != http.StatusOK {
					t.Fatalf("got status %d", got)
				}
				line := next()
				for name, want := range shown {
					if line[name] != want {
						t.Errorf("got %s %v, want %v", name, line[name], want)
					}
				}
				for _, sample := range samples {
					if !strings.Contains(counts(), sample+"\n") {
						t.Errorf("metrics lack %s", sample)
					}
				}
			}
		})
	}
}

// A client may disconnect after the last event of a stream. The end of the body can
// follow much later.
func TestAborted_NotLoggedAfterLastEvent(t *testing.T) {
	t.Parallel()
	first := eventStream(`{"model":"m","choices":[{"delta":{"content":"Hello"}}]}`)
	for _, row := range []struct {
		name, answer string
		whole        bool
	}{
		{"complete chat", first + "data: [DONE]\n\n", true},
		{"complete response", first + "event: response.completed\n" + eventStream(`{"type":"response.completed","response":{"usage":{"input_tokens":1,"output_tokens":1}}}`), true},
		{"failed response", first + eventStream(`{"type":"response.failed","response":{}}`), true},
		{"incomplete response", first + eventStream(`{"type":"response.incomplete","response":{}}`), true},
		{"complete message", first + "event: message_stop\n" + eventStream(`{"type":"message_stop"}`), true},
		{"chat before its end", first, false},
		{"chat within its last event", first + "data: [DONE]\n", false},
		{"response before its end", first + eventStream(`{"type":"response.output_text.done","text":"response.completed"}`), false},
		{"message before its end", first + eventStream(`{"type":"message_delta","delta":{},"usage":{"output_tokens":5}}`), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, http2 := range []bool{false, true} {
				call := usageCase{answerType: typeEvents, answer: row.answer, leaves: true}
				config := e2etest.PolicyConfig(t, servertest.StartUpstream(t, call.serve).URL)
				next, counts := watch(t, &config)
				front := e2etest.StartServer(t, config)
				call.send(t, front, http2)
				line := next()
				if cut := line["aborted"] == true; cut == row.whole || line["status"] != 200.0 {
					t.Errorf("HTTP/2 %t: got log record %v", http2, line)
				}
				code := "aborted"
				if row.whole {
					code = "200"
				}
				if !strings.Contains(counts(), `openai_connect_requests_total{client="alice",code="`+code+`",`) {
					t.Errorf("HTTP/2 %t: metrics lack code %s", http2, code)
				}
			}
		})
	}
}

// A stream truncated by the upstream is logged as aborted.
func TestAborted_LoggedForTruncatedUpstream(t *testing.T) {
	t.Parallel()
	call := usageCase{answerType: typeEvents, answer: eventStream("[DONE]")}
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		call.serve(w, r)
		panic(http.ErrAbortHandler)
	})
	config := e2etest.PolicyConfig(t, upstream.URL)
	next, _ := watch(t, &config)
	front := e2etest.StartServer(t, config)
	request, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(e2etest.HelloBody))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+servertest.Key)
	response, err := servertest.HTTPClient(t, false).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Error("got a complete stream, want an error")
	}
	if line := next(); line["aborted"] != true {
		t.Errorf("got log record %v", line)
	}
}

// The messages of a WebSocket name the models.
func TestUsage_OfWebSocketByModel(t *testing.T) {
	t.Parallel()
	response := func(model string, input, output int) []string {
		return []string{
			fmt.Sprintf(`{"type":"response.created","response":{"model":%q,"usage":null}}`, model),
			`{"type":"response.output_text.delta","delta":"Hello"}`,
			fmt.Sprintf(`{"type":"response.completed","response":{"model":%q,"usage":{"input_tokens":%d,"output_tokens":%d,"total_tokens":%d}}}`, model, input, output, input+output),
		}
	}
	for _, row := range []struct {
		name, path string
		messages   []string
		samples    map[string]int // by model and kind
		model      string
	}{
		{"responses", "/v1/responses", append(response("gpt-a", 10, 20), response("gpt-a", 1, 2)...), map[string]int{"gpt-a input": 11, "gpt-a output": 22, "gpt-a total": 33}, "gpt-a"},
		{"responses of two models", "/v1/responses", append(response("gpt-a", 10, 20), response("gpt-b", 1, 2)...), map[string]int{"gpt-a input": 10, "gpt-a output": 20, "gpt-b input": 1, "gpt-b output": 2}, "gpt-a"},
		{
			"a session", "/v1/realtime?model=gpt-r",
			[]string{`{"type":"session.created","session":{"model":"gpt-r-2"}}`, `{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":4}}}`},
			map[string]int{"gpt-r-2 input": 3, "gpt-r-2 output": 4},
			"gpt-r-2",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := websocket.Accept(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for _, message := range row.messages {
					if err := conn.Write(r.Context(), websocket.MessageText, []byte(message)); err != nil {
						t.Error(err)
					}
				}
				_ = conn.Close(websocket.StatusNormalClosure, "")
			}))
			defer upstream.Close()
			config := e2etest.PolicyConfig(t, upstream.URL)
			next, counts := watch(t, &config)
			front := e2etest.StartServer(t, config)
			conn, _, err := websocket.Dial(e2etest.Context(t), front.URL+row.path, &websocket.DialOptions{
				HTTPClient: servertest.HTTPClient(t, false), HTTPHeader: http.Header{"Authorization": {"Bearer " + servertest.Key}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			for range row.messages {
				if _, _, err := conn.Read(e2etest.Context(t)); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := conn.Read(e2etest.Context(t)); websocket.CloseStatus(err) != websocket.StatusNormalClosure && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			line := next()
			if model := line["response_model"]; model != row.model && line["model"] != row.model {
				t.Errorf("got log record %v", line)
			}
			scraped := counts()
			for what, tokens := range row.samples {
				model, kind, _ := strings.Cut(what, " ")
				sample := fmt.Sprintf(`openai_connect_tokens_total{client="alice",estimated="false",kind=%q,model=%q} %d`, kind, model, tokens)
				if !strings.Contains(scraped, sample+"\n") {
					t.Errorf("metrics lack %s", sample)
				}
			}
		})
	}
}
