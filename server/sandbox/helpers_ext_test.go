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

// noon is where the clock of every server under test stands.
func noon() time.Time { return time.Unix(1_750_000_000, 0) }

// start serves a new sandbox on a socket until the test ends.
func start(tb testing.TB) *httptest.Server {
	tb.Helper()
	server := httptest.NewServer(sandbox.New(sandbox.WithClock(noon)))
	tb.Cleanup(func() {
		server.Client().CloseIdleConnections()
		server.Close()
	})
	return server
}

// connect makes the official SDK's client of a server.
func connect(server *httptest.Server) openai.Client {
	return openai.NewClient(
		option.WithBaseURL(server.URL+"/v1"),
		option.WithAPIKey("any key will do"),
		option.WithHTTPClient(server.Client()),
		option.WithMaxRetries(0),
	)
}

// A reply is a response with its whole body.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// send sends a request whose headers are given as names and values in turn.
// A body is JSON unless a header says otherwise.
func send(tb testing.TB, server *httptest.Server, method, path, body string, headers ...string) reply {
	tb.Helper()
	response, err := server.Client().Do(newRequest(tb, server, method, path, body, headers...))
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(got), err}
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

// create sends a body to the chat completions.
func create(tb testing.TB, server *httptest.Server, body string, headers ...string) reply {
	tb.Helper()
	return send(tb, server, http.MethodPost, "/v1/chat/completions", body, headers...)
}

// asking is a request body with one user message and these other members.
func asking(text string, members ...string) string {
	message, err := json.Marshal(map[string]string{"role": "user", "content": text})
	if err != nil {
		panic(err)
	}
	all := append([]string{`{"model":"gpt-5.4-mini"`, `"messages":[` + string(message) + `]`}, members...)
	return strings.Join(all, ",") + "}"
}

// events splits an event stream into the data of its events.
func events(tb testing.TB, body string) []string {
	tb.Helper()
	var result []string
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok || strings.Contains(data, "\n") {
			tb.Fatalf("%q is no event with one line of data", event)
		}
		result = append(result, data)
	}
	return result
}

// decode reads JSON into maps and lists, with the numbers as they are written.
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

// dig follows member names and list indices into decoded JSON.
func dig(tb testing.TB, value any, path ...any) any {
	tb.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			members, ok := value.(map[string]any)
			if !ok {
				tb.Fatalf("%v is no object with %q", value, step)
			}
			value = members[step]
		case int:
			items, ok := value.([]any)
			if !ok || step >= len(items) {
				tb.Fatalf("%v is no list with an item %d", value, step)
			}
			value = items[step]
		}
	}
	return value
}

// content is the text of a completion's first choice.
func content(tb testing.TB, r reply) string {
	tb.Helper()
	if r.status != http.StatusOK {
		tb.Fatalf("status %d: %s", r.status, r.body)
	}
	text, _ := dig(tb, decode(tb, r.body), "choices", 0, "message", "content").(string)
	return text
}
