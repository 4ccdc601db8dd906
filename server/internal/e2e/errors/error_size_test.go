package errors_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Every gRPC peer accepts the errors, however large the upstream's error is. The
// longest fields are truncated.
func TestErrorSize_IsAtMost4KiB(t *testing.T) {
	t.Parallel()
	const bound = 4096
	error400 := func(members string) e2etest.Script {
		return e2etest.Reply(400, `{"error":{`+members+`}}`, e2etest.JSONType)
	}
	long := func(text string) string { return strings.Repeat(text, 300_000/len(text)) }
	tests := []struct {
		name    string
		script  e2etest.Script
		message string // prefix of the message
		whole   bool   // whether that is the complete message
	}{
		{"a long message", error400(`"message":"` + long("too long. ") + `"`), "too long. too long. ", false},
		{"a long message in Greek", error400(`"message":"` + long("μεγάλο ") + `"`), "μεγάλο ", false},
		{"a long message of emoji", error400(`"message":"` + long("🦜") + `"`), "🦜🦜🦜", false},
		{"a long message of control characters", error400(`"message":"` + long(`\u0000\n`) + `"`), "\x00\n", false},
		{"a message slightly too long", error400(`"message":"` + strings.Repeat("x", 1150) + `"`), "xxxxx", false},
		{"a long type", error400(`"message":"no","type":"` + long("x") + `"`), "no", true},
		{"a long param", error400(`"message":"no","param":"` + long("é") + `"`), "no", true},
		{"a long code", error400(`"message":"no","code":"` + long("x") + `"`), "no", true},
		{"a long unknown field", error400(`"message":"no","inner":"` + long("x") + `"`), "no", true},
		{"a long request id", e2etest.Reply(400, `{"error":{"message":"no"}}`, e2etest.JSONType, "X-Request-Id: "+strings.Repeat("x", 8000)), "no", true},
		{"a long message, type, code and more", error400(`"message":"` + long("a") + `","type":"` + long("b") + `","code":"` + long("c") + `"`), "aaaa", false},
		{"a long page", e2etest.Reply(400, "<html><title>"+long("é")+"</title>", e2etest.HTMLType), "the upstream answered 400 Bad Request, with an HTML page (“ééé", false},
		{"a long error in another form", e2etest.Reply(400, `{"detail":"`+long("too long. ")+`"}`, e2etest.JSONType), "too long. too long. ", false},
		{"a long path in malformed JSON", e2etest.Reply(200, `{"`+long("x")+`":{"`+long("y")+`":`, e2etest.JSONType), "the upstream answered 200 OK, with an invalid body: ", false},
		{"a body over the read limit", e2etest.Reply(400, `{"error":{"message":"`+strings.Repeat("x", 2<<20)+`"}}`, e2etest.JSONType), "the upstream answered 400 Bad Request, with JSON, truncated", true},
	}
	scripts := make(map[string]e2etest.Script)
	for _, test := range tests {
		scripts[test.name] = test.script
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	narrow := e2etest.NewGRPCClient(t, front, grpc.WithMaxHeaderListSize(8<<10))
	narrow.Name = "gRPC with small trailers"
	clients := append(e2etest.LibraryClients(t, front), narrow)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, client := range clients {
				for _, method := range e2etest.Methods {
					if client.Name == narrow.Name && strings.Contains(test.name, "request id") {
						continue // The request ID is also metadata, in full length.
					}
					if method == e2etest.StreamMethod && strings.Contains(test.name, "malformed") {
						continue
					}
					got := e2etest.ScriptedCall{Method: method, Script: test.name}.Do(t, client).Err
					if got == nil {
						t.Fatalf("%s %s: call succeeded", client.Name, method)
					}
					if got.Code != connect.CodeInvalidArgument && got.Code != connect.CodeInternal {
						t.Errorf("%s %s: %v", client.Name, method, got)
					}
					if test.whole && got.Message != test.message || !strings.HasPrefix(got.Message, test.message) {
						t.Errorf("%s %s: got message %q", client.Name, method, got.Message)
					}
					if got.Detail.GetMessage() != got.Message || !utf8.ValidString(got.Message) {
						t.Errorf("%s %s: got detail message %q, want the error's message %q", client.Name, method, got.Detail.GetMessage(), got.Message)
					}
					if extra := got.Detail.GetExtraJson(); extra != "" && !json.Valid([]byte(extra)) {
						t.Errorf("%s %s: got invalid JSON in extra_json: %q", client.Name, method, extra)
					}
				}
			}
			size := trailerSize(t, front, test.name)
			if size > bound {
				t.Errorf("got %d bytes of grpc-message and grpc-status-details-bin, want at most %d", size, bound)
			}
			if strings.HasPrefix(test.name, "a long message") && size < bound/2 {
				t.Errorf("got %[2]d bytes, want at least half of %[1]d", bound, size)
			}
		})
	}
}

// trailerSize returns the encoded size of an error in gRPC trailers.
func trailerSize(t *testing.T, front *servertest.Front, script string) int {
	t.Helper()
	message, err := proto.Marshal(e2etest.Hello())
	if err != nil {
		t.Fatal(err)
	}
	procedure := front.URL + chatv1connect.ChatServiceCreateChatCompletionProcedure
	request, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodPost, procedure, bytes.NewReader(e2etest.Envelope(0, message)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set(e2etest.ScriptHeader, script)
	response, err := servertest.HTTPClient(t, true).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	status, details := response.Trailer.Get("Grpc-Message"), response.Trailer.Get("Grpc-Status-Details-Bin")
	if status == "" || details == "" {
		t.Fatalf("got trailer without an error: %v", response.Trailer)
	}
	return len(status) + len(details)
}
