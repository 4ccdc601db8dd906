package errors_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/telemetry"
)

// The access log shows a rejected request as an error, although some protocols
// report it with status 200.
func TestAccessLog_ShowsRejectionAsError(t *testing.T) {
	t.Parallel()
	log := make(e2etest.LogRecords, 100)
	observer, err := telemetry.New(telemetry.Config{Calls: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(observer.Close)
	config := e2etest.ClientsFileConfig(t, servertest.StartUpstream(t, e2etest.ServeHello).URL)
	config.Observer = observer
	front := e2etest.StartServer(t, config)
	wrong := http.Header{"Authorization": {"Bearer wrong"}}
	for _, kind := range e2etest.ClientKinds() {
		client := kind.Open(t, front)
		for _, method := range []string{"CreateChatCompletion", "StreamChatCompletion"} {
			c := e2etest.Call{Method: method, Request: e2etest.Hello(), Metadata: wrong}
			var err error
			if method == "CreateChatCompletion" {
				_, err = client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
			} else {
				_, err = client.Stream(e2etest.Context(t), c, func(*chatv1.ChatCompletionChunk) {})
			}
			if err == nil {
				t.Fatalf("%s: %s succeeded, want an error", client.Name, method)
			}
			select {
			case line := <-log:
				if !strings.Contains(line, method) || !strings.Contains(line, "code=unauthenticated rejected=invalid_api_key") {
					t.Errorf("%s: got log record %[3]s for %[2]s", client.Name, method, line)
				}
			case <-e2etest.Context(t).Done():
				t.Fatalf("%s: got no log record for %s", client.Name, method)
			}
		}
	}
}
