package smuggling_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// A target of 16 KiB is accepted. A longer one is rejected with status 414 in the
// form of each protocol.
func TestTarget_IsBounded(t *testing.T) {
	t.Parallel()
	const limit = 16 << 10
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{}`))
	fronts := map[string]*servertest.Front{
		"plain": e2etest.StartServer(t, server.Config{Upstream: upstream.URL}),
		"token": e2etest.StartServer(t, e2etest.ClientKeyConfig(t, upstream.URL)),
		"keys":  e2etest.StartServer(t, e2etest.ClientsFileConfig(t, upstream.URL)),
	}
	secure, roots := e2etest.StartTLSServer(t, upstream.URL)
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	ways := []struct {
		name   string
		front  *servertest.Front
		client *http.Client
	}{
		{"HTTP/1.1", fronts["plain"], servertest.HTTPClient(t, false)},
		{"h2c", fronts["plain"], servertest.HTTPClient(t, true)},
		{"h2", secure, e2etest.NewTransportClient(t, config, (*http.Protocols).SetHTTP2, false)},
		{"HTTP/1.1 with a client key", fronts["token"], servertest.HTTPClient(t, false)},
		{"h2c with a client key", fronts["token"], servertest.HTTPClient(t, true)},
		{"HTTP/1.1 with a clients file", fronts["keys"], servertest.HTTPClient(t, false)},
		{"h2c with a clients file", fronts["keys"], servertest.HTTPClient(t, true)},
	}
	isOpenAIError := func(t *testing.T, resp *http.Response, body []byte) {
		t.Helper()
		var answer struct {
			Error struct{ Code, Type, Message string }
		}
		if err := json.Unmarshal(body, &answer); err != nil || answer.Error.Code != "uri_too_long" || answer.Error.Type != "invalid_request_error" ||
			!strings.Contains(answer.Error.Message, "16384") {
			t.Errorf("got body %q, error %v", body, err)
		}
		if resp.StatusCode != http.StatusRequestURITooLong {
			t.Errorf("got status %d", resp.StatusCode)
		}
	}
	isConnectError := func(t *testing.T, resp *http.Response, body []byte) {
		t.Helper()
		var answer struct{ Code, Message string }
		if err := json.Unmarshal(body, &answer); err != nil || answer.Code != "resource_exhausted" || !strings.Contains(answer.Message, "16384") {
			t.Errorf("got body %q, error %v", body, err)
		}
		if resp.StatusCode != http.StatusRequestURITooLong {
			t.Errorf("got status %d", resp.StatusCode)
		}
	}
	isGRPCError := func(t *testing.T, resp *http.Response, _ []byte) {
		t.Helper()
		status, message := resp.Header.Get("Grpc-Status")+resp.Trailer.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")+resp.Trailer.Get("Grpc-Message")
		if resp.StatusCode != http.StatusOK || status != "8" || !strings.Contains(message, "16384") {
			t.Errorf("got status %d, grpc-status %q, message %q", resp.StatusCode, status, message)
		}
	}
	for _, method := range ways {
		for _, kind := range []struct {
			name, method, path, contentType string
			is                              func(*testing.T, *http.Response, []byte)
		}{
			{"raw GET", http.MethodGet, "/v1/models/", "", isOpenAIError},
			{"raw GET with a query", http.MethodGet, "/v1/models?after=", "", isOpenAIError},
			{"raw POST", http.MethodPost, "/v1/chat/completions?x=", "application/json", isOpenAIError},
			{"raw DELETE with nested encodings", http.MethodDelete, "/v1/files/%25", "", isOpenAIError},
			{"Connect GET", http.MethodGet, "/openaiconnect.chat.v1.ChatService/GetChatCompletion?connect=v1&encoding=json&message=", "", isConnectError},
			{"Connect POST", http.MethodPost, e2etest.CreateProcedure + "?x=", "application/json", isConnectError},
			{"Connect stream", http.MethodPost, "/openaiconnect.chat.v1.ChatService/StreamChatCompletion?x=", "application/connect+json", nil},
			{"gRPC", http.MethodPost, e2etest.CreateProcedure + "?x=", "application/grpc+proto", isGRPCError},
			{"gRPC-Web", http.MethodPost, e2etest.CreateProcedure + "?x=", "application/grpc-web+proto", isGRPCError},
		} {
			t.Run(kind.name+" over "+method.name, func(t *testing.T) {
				send := func(length int) (*http.Response, []byte) {
					target := kind.path + strings.Repeat("5", length-len(kind.path))
					request, err := http.NewRequestWithContext(e2etest.Context(t), kind.method, method.front.URL+target, nil)
					if err != nil {
						t.Fatal(err)
					}
					request.Header.Set("Authorization", "Bearer "+servertest.Key)
					if kind.contentType != "" {
						request.Header.Set("Content-Type", kind.contentType)
					}
					resp, err := method.client.Do(request)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					if err != nil {
						t.Fatal(err)
					}
					return resp, body
				}
				if resp, body := send(limit); resp.StatusCode == http.StatusRequestURITooLong {
					t.Errorf("target of %d bytes was rejected: %s", limit, body)
				}
				resp, body := send(limit + 1)
				if kind.is == nil {
					if !strings.Contains(string(body), `"code":"resource_exhausted"`) {
						t.Errorf("got stream %q", body)
					}
					return
				}
				kind.is(t, resp, body)
			})
		}
	}
	t.Run("raw over HTTP/1.0", func(t *testing.T) {
		conn, err := net.Dial("tcp", fronts["plain"].Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /"+strings.Repeat("%25", limit/3+1)+" HTTP/1.0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		isOpenAIError(t, resp, body)
	})
}

// A long ID in a typed call would become a long path upstream.
func TestTarget_OfTypedCallIsBounded(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{}`))
	front := e2etest.StartServer(t, server.Config{Upstream: upstream.URL})
	for _, protocol := range servertest.Protocols() {
		client := front.Client(t, protocol)
		_, err := client.GetChatCompletion(e2etest.Context(t), &chatv1.GetChatCompletionRequest{CompletionId: strings.Repeat("%", 100_000)})
		if connect.CodeOf(err) != connect.CodeResourceExhausted {
			t.Errorf("%s: got error %v", protocol.Name, err)
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("upstream received %d requests", len(got))
	}
}
