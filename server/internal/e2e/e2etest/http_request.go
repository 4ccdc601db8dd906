package e2etest

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

// WithClientKey returns the request with the token of [ClientKeyConfig].
func (e HTTPRequest) WithClientKey() HTTPRequest {
	e.Header = e.Header.Clone()
	if e.Header == nil {
		e.Header = make(http.Header)
	}
	e.Header.Set("Authorization", "Bearer "+servertest.Key)
	return e
}

const (
	Origin      = "https://app.example.com"
	OtherOrigin = "https://other.example"
)

// WithOrigin returns the request as a page sends it.
func (e HTTPRequest) WithOrigin(origin string) HTTPRequest {
	e.Header = e.Header.Clone()
	if e.Header == nil {
		e.Header = make(http.Header)
	}
	e.Header.Set("Origin", origin)
	return e
}

// HTTPRequest is a request as it is on the wire.
type HTTPRequest struct {
	Method, Path string
	Header       http.Header
	Body         string
	HTTP2        bool
}

// Do sends the request, and returns the answer with its body.
func (e HTTPRequest) Do(ctx context.Context, t *testing.T, front *servertest.Front) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, e.Method, front.URL+e.Path, strings.NewReader(e.Body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, e.Header)
	response, err := servertest.HTTPClient(t, e.HTTP2).Do(request)
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

// CheckHeader checks that a header has these fields and no other.
func CheckHeader(t *testing.T, got, want http.Header) {
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

// WithoutHeaders is a header without some fields, and without those that differ from
// one answer to the next.
func WithoutHeaders(header http.Header, names ...string) http.Header {
	header = header.Clone()
	for _, name := range append(names, "Date") {
		header.Del(name)
	}
	return header
}

// ConnectGET reads a completion.
var ConnectGET = HTTPRequest{
	Method: http.MethodGet,
	Path:   "/openaiconnect.chat.v1.ChatService/GetChatCompletion?connect=v1&encoding=json&message=%7B%22completion_id%22%3A%22a%22%7D",
}

// SampleRequests are requests to the typed side, in the protocols that browsers speak.
func SampleRequests(t *testing.T) map[string]HTTPRequest {
	t.Helper()
	message, err := proto.Marshal(Hello())
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"model":"m","messages":[{"role":"ROLE_USER","content":"Hello!"}]}`
	requests := make(map[string]HTTPRequest)
	for name, row := range map[string]struct{ path, media, body string }{
		"Connect":                {CreateProcedure, "application/proto", string(message)},
		"Connect JSON":           {CreateProcedure, "application/json", text},
		"Connect, a stream":      {StreamProcedure, "application/connect+proto", string(Envelope(0, message))},
		"Connect JSON, a stream": {StreamProcedure, "application/connect+json", string(Envelope(0, []byte(text)))},
		"gRPC-Web":               {CreateProcedure, "application/grpc-web", string(Envelope(0, message))},
		"gRPC-Web, a stream":     {StreamProcedure, "application/grpc-web+proto", string(Envelope(0, message))},
		"an error of its own":    {CreateProcedure, "application/json", `{"nothing":1}`},
		"a stream of its own":    {StreamProcedure, "application/grpc-web", string(Envelope(0, []byte("\xff")))},
		"too large":              {CreateProcedure, "application/json", `{"model":"` + strings.Repeat("m", 2000) + `"}`},
		"another content type":   {CreateProcedure, "text/plain", text},
		"an RPC that isn't":      {"/openaiconnect.chat.v1.ChatService/Nothing", "application/json", text},
		"a service that isn't":   {"/openaiconnect.chat.v1.Nothing/Nothing", "application/grpc-web", ""},
		"raw":                    {"/v1/chat/completions", "application/json", HelloBody},
	} {
		requests[name] = HTTPRequest{Method: http.MethodPost, Path: row.path, Header: http.Header{"Content-Type": {row.media}}, Body: row.body}
	}
	requests["Connect GET"] = ConnectGET
	requests["raw GET"] = HTTPRequest{Method: http.MethodGet, Path: "/v1/chat/completions/a"}
	return requests
}

// DoHost runs a request for another host than the server's, and returns the status
// that the protocol has for it.
func (e HTTPRequest) DoHost(ctx context.Context, t *testing.T, client *http.Client, url, host string) (response *http.Response, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, e.Method, url+e.Path, strings.NewReader(e.Body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, e.Header)
	request.Host = host
	response, err = client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}
