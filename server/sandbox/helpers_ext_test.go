package sandbox_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/sandbox"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixedTime is the time on the clock of every sandbox.
func fixedTime() time.Time { return time.Unix(1_750_000_000, 0) }

// startSandbox serves a new sandbox on a local port until the test ends.
func startSandbox(tb testing.TB) *httptest.Server {
	tb.Helper()
	server := httptest.NewServer(sandbox.New(sandbox.WithClock(fixedTime)))
	tb.Cleanup(func() {
		server.Client().CloseIdleConnections()
		server.Close()
	})
	return server
}

// newSDKClient returns a client of OpenAI's SDK.
func newSDKClient(server *httptest.Server) openai.Client {
	return openai.NewClient(
		option.WithBaseURL(server.URL+"/v1"),
		option.WithAPIKey("any key"),
		option.WithHTTPClient(server.Client()),
		option.WithMaxRetries(0),
	)
}

// A fullResponse is a response with its complete body.
type fullResponse struct {
	status int
	header http.Header
	body   string
	err    error // while reading the body
}

// send sends a request. headers holds alternating names and values. The default content
// type is JSON.
func send(tb testing.TB, server *httptest.Server, method, path, body string, headers ...string) fullResponse {
	tb.Helper()
	response, err := server.Client().Do(newRequest(tb, server, method, path, body, headers...))
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return fullResponse{response.StatusCode, response.Header, string(got), err}
}

func newRequest(tb testing.TB, server *httptest.Server, method, path, body string, headers ...string) *http.Request {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return request
}

// create creates a chat completion.
func create(tb testing.TB, server *httptest.Server, body string, headers ...string) fullResponse {
	tb.Helper()
	return send(tb, server, http.MethodPost, "/v1/chat/completions", body, headers...)
}

// userRequest returns a request body with a user message and additional fields.
func userRequest(text string, fields ...string) string {
	message, err := json.Marshal(map[string]string{"role": "user", "content": text})
	if err != nil {
		panic(err)
	}
	all := append([]string{`{"model":"gpt-5.4-mini"`, `"messages":[` + string(message) + `]`}, fields...)
	return strings.Join(all, ",") + "}"
}

// events returns the data of the events of a stream.
func events(tb testing.TB, body string) []string {
	tb.Helper()
	var result []string
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok || strings.Contains(data, "\n") {
			tb.Fatalf("invalid event %q: want one line of data", event)
		}
		result = append(result, data)
	}
	return result
}

// decode parses a JSON object, with numbers as json.Number.
func decode(tb testing.TB, text string) map[string]any {
	tb.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var result map[string]any
	if err := decoder.Decode(&result); err != nil {
		tb.Fatalf("%v in %q", err, text)
	}
	return result
}

// lookup returns the value at a path of field names and array indices.
func lookup(tb testing.TB, value any, path ...any) any {
	tb.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			members, ok := value.(map[string]any)
			if !ok {
				tb.Fatalf("%v is not an object with %q", value, step)
			}
			value = members[step]
		case int:
			items, ok := value.([]any)
			if !ok || step >= len(items) {
				tb.Fatalf("%v is not an array with an item %d", value, step)
			}
			value = items[step]
		}
	}
	return value
}

// content returns the text of a completion's first choice.
func content(tb testing.TB, r fullResponse) string {
	tb.Helper()
	if r.status != http.StatusOK {
		tb.Fatalf("status %d: %s", r.status, r.body)
	}
	text, _ := lookup(tb, decode(tb, r.body), "choices", 0, "message", "content").(string)
	return text
}
