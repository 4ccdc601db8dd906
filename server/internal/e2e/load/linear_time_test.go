package load_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/lineartest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// serve has a server handle a request, and recovers from an aborted response.
func serve(s http.Handler, request *http.Request) {
	defer func() {
		if failure := recover(); failure != nil && failure != http.ErrAbortHandler { //nolint:errorlint // it is never wrapped
			panic(failure)
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), request)
}

// The server parses long header values: lists, parameters, and quoted strings.
func TestLinearTime_Headers(t *testing.T) {
	upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		servertest.JSON(http.StatusOK, `{}`)(w, r)
	})
	config := e2etest.ClientsFileConfig(t, upstream.URL)
	config.CORSOrigins = []string{"https://app.example.com", "https://example.org"}
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	kinds := []struct{ method, path, contentType, body string }{
		{http.MethodPost, "/v1/chat/completions", "application/json", `{"model":"m"}`},
		{http.MethodPost, e2etest.CreateProcedure, "application/json", `{"model":"m","messages":[{"role":"ROLE_USER","content":"x"}]}`},
		{http.MethodPost, e2etest.CreateProcedure, "application/grpc", "\x00\x00\x00\x00\x00"},
		{http.MethodGet, "/v1/models", "", ""},
		{http.MethodOptions, "/v1/models", "", ""},
	}
	names := []string{
		"Accept", "Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method", "Authorization", "Baggage",
		"Connect-Accept-Encoding", "Connect-Timeout-Ms", "Connection", "Content-Encoding", "Content-Type", "Cookie", "Expect", "Forwarded",
		"Grpc-Accept-Encoding", "Grpc-Encoding", "Grpc-Timeout", "Keep-Alive", "Origin", "Sec-Websocket-Protocol", "Te",
		"Traceparent", "Tracestate", "Trailer", "Upgrade", "User-Agent", "Via", "X-Api-Key", "X-Forwarded-For", "X-Request-Id", "X-Trace-Bin",
	}
	pieces := []string{",", "a,", "a;q=1,", " ", `"`, `\`, "%25", "1", "for=\"[::1]:1\";", "a=b; ", "gzip, ", "https://a.example.com", "é"}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			for j, piece := range pieces {
				kind := kinds[(i+j)%len(kinds)]
				lineartest.Check(t, 128<<10, func(size int) func() {
					values := []string{strings.Repeat(piece, size/len(piece))}
					if j%2 == 1 { // the same number of fields
						values = make([]string, size/(len(piece)+len(name)))
						for i := range values {
							values[i] = piece
						}
					}
					return func() {
						request := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), kind.method, kind.path, strings.NewReader(kind.body))
						request.Header.Set("Content-Type", kind.contentType)
						request.Header.Set("Authorization", "Bearer "+servertest.Key)
						request.Header[name] = values
						serve(s, request)
					}
				})
			}
		})
	}
}

// The server parses paths and queries of the maximum length.
func TestLinearTime_Target(t *testing.T) {
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, `{}`))
	s, err := server.New(e2etest.ClientsFileConfig(t, upstream.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, beginning := range []string{
		"/", "/v1/chat/", "/v1/chat/completions/", "/v1/models?", "/v1/models?after=", "/v1/realtime?model=", "/openai/deployments/",
		"/openaiconnect.chat.v1.ChatService/GetChatCompletion?connect=v1&encoding=json&message=", "/openaiconnect.chat.v1.ChatService/", "/playground/",
	} {
		for _, piece := range []string{"%25", "25", "/", "/a", "../", "%2e%2e/", "a=b&", "&", "=", ";", "+", "%7b", "{", "model=m&", "[", "%ff"} {
			lineartest.Check(t, 16<<10, func(size int) func() {
				size -= len(beginning)
				target := beginning + strings.Repeat(piece, size/len(piece))
				return func() {
					request := httptest.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "/", nil)
					request.RequestURI = target
					path, query, _ := strings.Cut(target, "?")
					request.URL.Path, request.URL.RawPath, request.URL.RawQuery = strings.ReplaceAll(path, "%", "%25"), path, query
					request.Header.Set("Authorization", "Bearer "+servertest.Key)
					serve(s, request)
				}
			})
		}
	}
}
