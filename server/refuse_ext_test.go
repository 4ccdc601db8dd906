package server_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// logLines takes a log, a line at a time.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// What this server refuses is no success to the operator, though some protocols
// say so with a status of 200, and the reason in the body.
func TestARefusalIsLoggedAsWhatItIs(t *testing.T) {
	t.Parallel()
	log := make(logLines, 100)
	observer, err := telemetry.New(telemetry.Config{Calls: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observer.Close)
	config := keyed(t, servertest.StartUpstream(t, echo).URL)
	config.Observer = observer
	front := startFront(t, config)
	wrong := http.Header{"Authorization": {"Bearer wrong"}}
	for _, kind := range clientKinds() {
		client := kind.open(t, front)
		for _, method := range []string{"CreateChatCompletion", "StreamChatCompletion"} {
			c := call{method: method, request: hello(), metadata: wrong}
			var err error
			if method == "CreateChatCompletion" {
				_, err = client.unary(within(t), c, new(chatv1.ChatCompletion))
			} else {
				_, err = client.stream(within(t), c, func(*chatv1.ChatCompletionChunk) {})
			}
			if err == nil {
				t.Fatalf("%s: %s was let through", client.name, method)
			}
			select {
			case line := <-log:
				if !strings.Contains(line, method) || !strings.Contains(line, "code=unauthenticated rejected=invalid_api_key") {
					t.Errorf("%s: %s is logged as %s", client.name, method, line)
				}
			case <-within(t).Done():
				t.Fatalf("%s: %s isn't logged", client.name, method)
			}
		}
	}
}
