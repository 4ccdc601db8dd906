// Package tasks_test implements the commonest tasks of applications with this
// repository's Go client and with OpenAI's, and prints both side by side in the
// client's README.
package tasks_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
)

// A task calls the server at a URL and returns a result.
type task func(ctx context.Context, url string) (string, error)

// results holds the tasks in README order with the expected results.
var results = []struct{ name, result string }{
	{"Hello", `This is the sandbox: no model, no key, no network. You said: "Hello!"`},
	{"Streaming", `This is the sandbox: no model, no key, no network. You said: "Tell me a story."`},
	{"A conversation", `This is the sandbox: no model, no key, no network. You said: "Who are you?"` + "\n" +
		`This is the sandbox: no model, no key, no network. You said: "And who am I?"` + "\n"},
	{"An image", `This is the sandbox: no model, no key, no network. You said: "What is in this image?" With it came 1 image.`},
	{"Tools", `This is the sandbox: no model, no key, no network. The tool answered: "Clear in sample city"`},
	{"Structured output", `sample name on sample day`},
	{"Errors and retries", "401 invalid_request_error invalid_api_key: The sandbox was asked to fail with status 401."},
	{"Cancelling", "This is the sandbox: no"},
	{"Stored completions, in pages", "Ann Bob Eve "},
	{"A parameter newer than the client", `{"playfulness":0.5}`},
}

func TestTasks_RunWithBothClients(t *testing.T) {
	url := startSandbox(t)
	for by, tasks := range map[string]map[string]task{"this client": withConnect(), "OpenAI's": withOpenAI()} {
		if len(tasks) != len(results) {
			t.Errorf("%s: got %d tasks, want %d", by, len(tasks), len(results))
		}
		for _, row := range results {
			t.Run(row.name+" by "+by, func(t *testing.T) {
				got, err := tasks[row.name](t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				if got != row.result {
					t.Errorf("got result %q, want %q", got, row.result)
				}
			})
		}
	}
}

// startSandbox starts a server on the embedded upstream, with the completions of
// three people stored, until the test ends.
func startSandbox(t *testing.T) (url string) {
	t.Helper()
	front, err := server.New(server.Config{Upstream: server.Sandbox})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- front.Serve(ctx, listener, server.ServeConfig{DrainTimeout: 10 * time.Second}) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := front.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections() // of OpenAI's client
	})
	url = "http://" + listener.Addr().String()
	for _, name := range []string{"Ann", "Bob", "Eve"} {
		if _, err := client.New(url).Chat.Create(t.Context(), &chatv1.CreateChatCompletionRequest{
			Model:    "sandbox",
			Messages: []*chatv1.Message{client.User("I am " + name + ".")},
			Metadata: map[string]string{"name": name},
			Store:    new(true),
		}); err != nil {
			t.Fatal(err)
		}
	}
	return url
}
