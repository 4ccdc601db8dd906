package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/telemetry/internal/observetest"
)

// logged returns the logged lines of JSON.
type logged struct {
	mu     sync.Mutex
	buffer bytes.Buffer // guarded by mu
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// lines waits until there are n, and returns them.
func (l *logged) lines(tb testing.TB, n int) []map[string]any {
	tb.Helper()
	observetest.Wait(tb, "lines in the log", func() bool { return strings.Count(l.String(), "\n") >= n })
	var lines []map[string]any
	for text := range strings.Lines(l.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			tb.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestAccessLog_Fields(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(t *testing.T, f *observetest.Front)
		want map[string]any
		more []string // that are there with whatever value
	}{
		{
			"a raw stream: who, what, how much and how fast",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				drain(t, post(t, f, streamBody, observetest.TokenHeader, "ada", "X-Client-Request-Id", "call-1"))
			},
			map[string]any{
				"msg": "request", "level": "INFO", "id": "call-1", "protocol": "raw", "method": "POST", "route": completion, "path": completion,
				"client": "ada", "peer": "127.0.0.1", "model": "m", "response_model": "sandbox", "status": 200.0, "upstream": "main", "upstream_status": 200.0,
				"attempts": 1.0, "received_bytes": float64(len(streamBody)),
			},
			[]string{"time", "sent_bytes", "headers_ms", "first_token_ms", "total_ms", "events", "input_tokens", "output_tokens", "upstream_request_id"},
		},
		{
			"an RPC that fails: its code",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				client := f.Client(t, connecthttp.WithGRPC())
				ctx, call := connect.NewClientContext(t.Context())
				call.RequestHeader().Set("X-Sandbox-Status", "503")
				if _, err := client.CreateChatCompletion(ctx, hello()); err == nil {
					t.Error("it succeeded")
				}
			},
			map[string]any{"protocol": "grpc", "route": procedure, "code": "unavailable", "status": 200.0, "upstream_status": 503.0},
			[]string{"id"},
		},
		{
			"a path without its query",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				resp, err := f.HTTP().Get(f.URL + "/v1/models/a%2Fb?secret=12345")
				if err != nil {
					t.Fatal(err)
				}
				drain(t, resp)
			},
			map[string]any{"path": "/v1/models/a%2Fb", "route": "/v1/models/{id}", "status": 404.0},
			nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := new(logged)
			f := observetest.Start(t, telemetry.Config{Calls: log.logger()}, observetest.Sandbox(t))
			test.call(t, f)
			line := log.lines(t, 1)[0]
			for name, want := range test.want {
				if line[name] != want {
					t.Errorf("%s is %v, not %v", name, line[name], want)
				}
			}
			for _, name := range test.more {
				if _, ok := line[name]; !ok {
					t.Errorf("%s isn't there", name)
				}
			}
			if t.Failed() {
				t.Log(log)
			}
			if strings.Contains(log.String(), "12345") || strings.Contains(log.String(), "Hello") {
				t.Errorf("the log has a query or a content: %s", log)
			}
		})
	}
}

func TestAccessLog_ContainsNoKeys(t *testing.T) {
	const key, known = "sk-proj-abcdefgh12345678", "hunter2-hunter2"
	hidden, err := secret.New(known)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		contents bool
	}{{"calls", false}, {"contents too", true}} {
		t.Run(test.name, func(t *testing.T) {
			log := new(logged)
			config := telemetry.Config{Calls: log.logger(), Secrets: func() []secret.Secret { return []secret.Secret{hidden} }}
			if test.contents {
				config.Contents = log.logger()
			}
			f := observetest.Start(t, config, observetest.Sandbox(t))
			for _, text := range []string{key, known} {
				body := strings.ReplaceAll(unaryBody, "Hello!", "my key is "+text)
				drain(t, post(t, f, body, "Authorization", "Bearer "+text, "X-Client-Request-Id", text))
				drain(t, post(t, f, strings.ReplaceAll(body, `"m"`, `"`+text+`"`), "Api-Key", text))
				resp, err := f.HTTP().Get(f.URL + "/v1/models/" + text + "?key=" + text)
				if err != nil {
					t.Fatal(err)
				}
				drain(t, resp)
			}
			log.lines(t, 6)
			for _, text := range []string{key, known} {
				if strings.Contains(log.String(), text) {
					t.Errorf("the log has %q:\n%s", text, log)
				}
			}
		})
	}
}

func TestContentLog_LogsBodies(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(t *testing.T, f *observetest.Front)
		want []string
	}{
		{
			"of a raw completion",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				drain(t, post(t, f, unaryBody))
			},
			[]string{`"content":"{\"model\": \"m\"`, `chat.completion`, `"status":200`},
		},
		{
			"of a typed one, as it is sent upstream",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				if _, err := f.Client(t).CreateChatCompletion(t.Context(), hello()); err != nil {
					t.Fatal(err)
				}
			},
			[]string{`Hello!`, `chat.completion`},
		},
		{
			"of a stream, to its end",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				drain(t, post(t, f, streamBody))
			},
			[]string{`data: [DONE]`},
		},
		{
			"of an upload of unknown length, up to 8 KiB",
			func(t *testing.T, f *observetest.Front) {
				t.Helper()
				resp, err := f.HTTP().Post(f.URL+"/v1/files", "text/plain", slowly{strings.NewReader(strings.Repeat("x", 100_000))})
				if err != nil {
					t.Fatal(err)
				}
				drain(t, resp)
			},
			[]string{strings.Repeat("x", telemetry.MaxContent) + `…"`, `"bytes":100000`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			log, warned := new(logged), new(logged)
			f := observetest.Start(t, telemetry.Config{Contents: log.logger(), Logger: warned.logger()}, observetest.Sandbox(t))
			test.call(t, f)
			log.lines(t, 2)
			for _, want := range test.want {
				if !strings.Contains(log.String(), want) {
					t.Errorf("the log lacks %s:\n%s", want, log)
				}
			}
			if !strings.Contains(warned.String(), `"level":"WARN"`) {
				t.Error("nobody was warned at the start")
			}
		})
	}
}

// slowly hides what a reader is, and with that its length.
type slowly struct{ reader *strings.Reader }

func (s slowly) Read(p []byte) (int, error) { return s.reader.Read(p) }

func TestContentLog_OmitsCompressedBodies(t *testing.T) {
	log := new(logged)
	upstream := observetest.Answer(t, http.Header{"Content-Encoding": {"gzip"}}, "\x1f\x8bxxxx")
	f := observetest.Start(t, telemetry.Config{Contents: log.logger()}, upstream)
	request, err := http.NewRequest(http.MethodGet, f.URL+"/v1/models", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip") // by hand, so that it isn't taken apart here
	resp, err := f.HTTP().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	drain(t, resp)
	lines := log.lines(t, 1)
	if !slices.ContainsFunc(lines, func(line map[string]any) bool { return line["encoding"] == "gzip" && line["content"] == nil }) {
		t.Errorf("%v", lines)
	}
}
