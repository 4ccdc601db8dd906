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

// The client's key and the upstream key are sent to the upstream only. No
// response and no output of the process contains them, whatever fails.
func TestAuth_NeverLeaksKeys(t *testing.T) {
	written := captureStderr(t)
	scripts := map[string]e2etest.Script{
		"closed":         e2etest.SendRaw(""),
		"not HTTP":       e2etest.SendRaw("220 mail.example ESMTP\n"),
		"rejected":       e2etest.Reply(401, `{"error":{"message":"Incorrect API key provided."}}`, e2etest.JSONType),
		"HTML":           e2etest.Reply(502, "<html></html>", e2etest.HTMLType),
		"not JSON":       e2etest.Reply(200, "{", e2etest.JSONType),
		"truncated":      e2etest.TruncatedStream(e2etest.Chunk(0, "a")),
		"without an end": e2etest.Stream(e2etest.Chunk(0, "a")),
	}
	upstream := e2etest.ServeScripts(t, scripts)
	for _, front := range []*servertest.Front{
		e2etest.StartServer(t, server.Config{Upstream: upstream}),
		e2etest.StartServer(t, e2etest.ClientKeyConfig(t, upstream)),
		e2etest.StartServer(t, e2etest.AnonymousConfig(t, upstream)),
		e2etest.StartServer(t, e2etest.ClientsFileConfig(t, upstream)),
	} {
		provokeErrors(t, front, scripts)
	}
	if text := written(); strings.Contains(text, servertest.Key) || strings.Contains(text, e2etest.UpstreamKey) {
		t.Errorf("process output contains a key:\n%s", text)
	}
}

// provokeErrors makes the server return and log errors of every kind.
func provokeErrors(t *testing.T, front *servertest.Front, scripts map[string]e2etest.Script) {
	t.Helper()
	for name := range scripts {
		for _, client := range e2etest.LibraryClients(t, front) {
			for _, method := range e2etest.Methods {
				// Do checks the error for keys.
				if got := (e2etest.ScriptedCall{Method: method, Script: name}).Do(t, client); got.Err == nil {
					t.Errorf("%s %s, %s: call succeeded, want an error", client.Name, method, name)
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
			checkResponseHasNoKey(t, client, request)
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
			request.Header.Set(e2etest.ScriptHeader, "rejected") // for requests that are forwarded
			checkResponseHasNoKey(t, client, request)
		}
	}
}

func checkResponseHasNoKey(t *testing.T, client *http.Client, request *http.Request) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body) // some are truncated
	var answer strings.Builder
	_ = response.Header.Write(&answer)
	answer.Write(body)
	_ = response.Trailer.Write(&answer)
	if strings.Contains(answer.String(), servertest.Key) || strings.Contains(answer.String(), e2etest.UpstreamKey) {
		t.Errorf("response to %s %s contains a key:\n%s", request.Method, request.URL, answer.String())
	}
}

// captureStderr redirects standard error and the log package, and returns a
// function that returns what has been written.
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
