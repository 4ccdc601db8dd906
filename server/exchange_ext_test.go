package server_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// exchange is a request as it is on the wire.
type exchange struct {
	method, path string
	header       http.Header
	body         string
	http2        bool
}

// run sends the request, and returns the answer with its body.
func (e exchange) run(ctx context.Context, t *testing.T, front *servertest.Front) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, e.method, front.URL+e.path, strings.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, e.header)
	response, err := servertest.HTTPClient(t, e.http2).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// checkFields checks that a header has these fields and no other.
func checkFields(t *testing.T, got, want http.Header) {
	t.Helper()
	for name, values := range want {
		if !slices.Equal(got[name], values) {
			t.Errorf("%s is %q, not %q", name, got[name], values)
		}
	}
	for name, values := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("there is %s too, %q", name, values)
		}
	}
}

// without is a header without some fields, and without those that differ from
// one answer to the next.
func without(header http.Header, names ...string) http.Header {
	header = header.Clone()
	for _, name := range append(names, "Date") {
		header.Del(name)
	}
	return header
}

// connectGET reads a completion.
var connectGET = exchange{
	method: http.MethodGet,
	path:   "/openaiconnect.chat.v1.ChatService/GetChatCompletion?connect=v1&encoding=json&message=%7B%22completion_id%22%3A%22a%22%7D",
}

// rpcRequests are requests to the typed side, in the protocols that browsers speak.
func rpcRequests(t *testing.T) map[string]exchange {
	t.Helper()
	message, err := proto.Marshal(hello())
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"model":"m","messages":[{"role":"ROLE_USER","content":"Hello!"}]}`
	requests := make(map[string]exchange)
	for name, row := range map[string]struct{ path, media, body string }{
		"Connect":                {createProcedure, "application/proto", string(message)},
		"Connect JSON":           {createProcedure, "application/json", text},
		"Connect, a stream":      {streamProcedure, "application/connect+proto", string(envelope(0, message))},
		"Connect JSON, a stream": {streamProcedure, "application/connect+json", string(envelope(0, []byte(text)))},
		"gRPC-Web":               {createProcedure, "application/grpc-web", string(envelope(0, message))},
		"gRPC-Web, a stream":     {streamProcedure, "application/grpc-web+proto", string(envelope(0, message))},
		"an error of its own":    {createProcedure, "application/json", `{"nothing":1}`},
		"a stream of its own":    {streamProcedure, "application/grpc-web", string(envelope(0, []byte("\xff")))},
		"too large":              {createProcedure, "application/json", `{"model":"` + strings.Repeat("m", 2000) + `"}`},
		"another content type":   {createProcedure, "text/plain", text},
		"an RPC that isn't":      {"/openaiconnect.chat.v1.ChatService/Nothing", "application/json", text},
		"a service that isn't":   {"/openaiconnect.chat.v1.Nothing/Nothing", "application/grpc-web", ""},
		"raw":                    {"/v1/chat/completions", "application/json", helloBody},
	} {
		requests[name] = exchange{method: http.MethodPost, path: row.path, header: http.Header{"Content-Type": {row.media}}, body: row.body}
	}
	requests["Connect GET"] = connectGET
	requests["raw GET"] = exchange{method: http.MethodGet, path: "/v1/chat/completions/a"}
	return requests
}
