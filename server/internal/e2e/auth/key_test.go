package auth_test

import (
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// The key that a client sends, or that the server holds, goes to the upstream and
// nowhere else: whatever goes wrong, it is in no answer and nothing that the
// process writes.
func TestNoKeyIsEverShown(t *testing.T) {
	written := captureStderr(t)
	scripts := map[string]e2etest.Script{
		"closed":     e2etest.SendRaw(""),
		"nonsense":   e2etest.SendRaw("220 mail.example ESMTP\n"),
		"refused":    e2etest.Reply(401, `{"error":{"message":"Incorrect API key provided."}}`, e2etest.JSONType),
		"page":       e2etest.Reply(502, "<html></html>", e2etest.HTMLType),
		"not JSON":   e2etest.Reply(200, "{", e2etest.JSONType),
		"cut":        e2etest.TruncatedStream(e2etest.Chunk(0, "a")),
		"unfinished": e2etest.Stream(e2etest.Chunk(0, "a")),
	}
	upstream := e2etest.ServeScripts(t, scripts)
	for _, front := range []*servertest.Front{
		e2etest.StartServer(t, server.Config{Upstream: upstream}),
		e2etest.StartServer(t, e2etest.ClientKeyConfig(t, upstream)),
		e2etest.StartServer(t, e2etest.AnonymousConfig(t, upstream)),
		e2etest.StartServer(t, e2etest.ClientsFileConfig(t, upstream)),
	} {
		showEverything(t, front, scripts)
	}
	if text := written(); strings.Contains(text, servertest.Key) || strings.Contains(text, e2etest.UpstreamKey) {
		t.Errorf("the process wrote a key:\n%s", text)
	}
}

// showEverything has a server say what it says where something goes wrong.
func showEverything(t *testing.T, front *servertest.Front, scripts map[string]e2etest.Script) {
	t.Helper()
	for name := range scripts {
		for _, client := range e2etest.LibraryClients(t, front) {
			for _, way := range e2etest.Methods {
				// ask looks at the error.
				if got := (e2etest.ScriptedCall{Method: way, Script: name}).Do(t, client); got.Err == nil {
					t.Errorf("%s %s, %s: the call succeeded", client.Name, way, name)
				}
			}
		}
	}
	for _, http2 := range []bool{false, true} {
		client := servertest.HTTPClient(t, http2)
		for name := range scripts {
			request, err := e2etest.NewRawRequest(e2etest.Context(t), front.URL, name)
			if err != nil {
				t.Fatal(err)
			}
			checkAnswerHasNoKey(t, client, request)
		}
		for _, c := range []struct{ method, path, media, body string }{
			{http.MethodPost, chatv1connect.ChatServiceCreateChatCompletionProcedure, "application/json", `{"model":`},
			{http.MethodPost, chatv1connect.ChatServiceCreateChatCompletionProcedure, "application/json", `{"authorization":"x"}`},
			{http.MethodPost, chatv1connect.ChatServiceCreateChatCompletionProcedure, "text/plain", "Hello!"},
			{http.MethodPut, chatv1connect.ChatServiceCreateChatCompletionProcedure, "application/json", "{}"},
			{http.MethodPost, "/" + chatv1connect.ChatServiceName + "/Nothing", "application/json", "{}"},
			{http.MethodPost, "/some.Service/Method", "application/grpc", ""},
		} {
			request, err := http.NewRequestWithContext(e2etest.Context(t), c.method, front.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", c.media)
			request.Header.Set("Authorization", "Bearer "+servertest.Key)
			request.Header.Set(e2etest.ScriptHeader, "refused") // where it is forwarded
			checkAnswerHasNoKey(t, client, request)
		}
	}
}

func checkAnswerHasNoKey(t *testing.T, client *http.Client, request *http.Request) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body) // some break off
	var answer strings.Builder
	_ = response.Header.Write(&answer)
	answer.Write(body)
	_ = response.Trailer.Write(&answer)
	if strings.Contains(answer.String(), servertest.Key) || strings.Contains(answer.String(), e2etest.UpstreamKey) {
		t.Errorf("the answer to %s %s has the key:\n%s", request.Method, request.URL, answer.String())
	}
}

// captureStderr returns what the process has written there since the call, also
// by the log package.
func captureStderr(t *testing.T) func() string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stderr")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	stderr, logged := os.Stderr, log.Writer()
	os.Stderr = file
	log.SetOutput(file)
	t.Cleanup(func() {
		os.Stderr = stderr
		log.SetOutput(logged)
		file.Close()
	})
	return func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}
