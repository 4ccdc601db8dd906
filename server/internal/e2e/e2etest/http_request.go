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

// WithClientKey returns the request with the client key of [ClientKeyConfig].
func (e HTTPRequest) WithClientKey() HTTPRequest {
	e.Header = e.Header.Clone()
	if e.Header == nil {
		e.Header = make(http.Header)
	}
	e.Header.Set("Authorization", "Bearer "+servertest.Key)
	return e
}

// Origins of web pages.
const (
	Origin      = "https://app.example.com"
	OtherOrigin = "https://other.example"
)

// WithOrigin returns the request as a page of this origin sends it.
func (e HTTPRequest) WithOrigin(origin string) HTTPRequest {
	e.Header = e.Header.Clone()
	if e.Header == nil {
		e.Header = make(http.Header)
	}
	e.Header.Set("Origin", origin)
	return e
}

// HTTPRequest is a request over HTTP/1.1 or HTTP/2.
type HTTPRequest struct {
	Method, Path string
	Header       http.Header
	Body         string
	HTTP2        bool
}

// Do sends the request and returns the response and its body.
func (e HTTPRequest) Do(ctx context.Context, t *testing.T, front *servertest.Front) (*http.Response, string) {
	t.Helper()
	return e.DoHost(ctx, t, servertest.HTTPClient(t, e.HTTP2), front.URL, "")
}

// CheckHeader checks that a header has the fields in want and no others.
func CheckHeader(t *testing.T, got, want http.Header) {
	t.Helper()
	for name, values := range want {
		if !slices.Equal(got[name], values) {
			t.Errorf("got %s %q, want %q", name, got[name], values)
		}
	}
	for name, values := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("got unexpected %s: %q", name, values)
		}
	}
}

// WithoutHeaders returns a header without the named fields and without Date.
func WithoutHeaders(header http.Header, names ...string) http.Header {
	header = header.Clone()
	for _, name := range append(names, "Date") {
		header.Del(name)
	}
	return header
}

// ConnectGET is a Connect GET request for a stored completion.
var ConnectGET = HTTPRequest{
	Method: http.MethodGet,
	Path:   "/openaiconnect.chat.v1.ChatService/GetChatCompletion?connect=v1&encoding=json&message=%7B%22completion_id%22%3A%22a%22%7D",
}

// SampleRequests returns requests of every kind that browsers send: typed, in
// each protocol, and raw.
func SampleRequests(t *testing.T) map[string]HTTPRequest {
	t.Helper()
	message, err := proto.Marshal(Hello())
	if err != nil {
		t.Fatal(err)
	}
	const text = HelloMessage
	requests := make(map[string]HTTPRequest)
	for name, row := range map[string]struct{ path, media, body string }{
		"Connect":                            {CreateProcedure, "application/proto", string(message)},
		"Connect JSON":                       {CreateProcedure, "application/json", text},
		"Connect stream":                     {StreamProcedure, "application/connect+proto", string(Envelope(0, message))},
		"Connect JSON stream":                {StreamProcedure, "application/connect+json", string(Envelope(0, []byte(text)))},
		"gRPC-Web":                           {CreateProcedure, "application/grpc-web", string(Envelope(0, message))},
		"gRPC-Web stream":                    {StreamProcedure, "application/grpc-web+proto", string(Envelope(0, message))},
		"unary call with an invalid message": {CreateProcedure, "application/json", `{"nothing":1}`},
		"stream with an invalid message":     {StreamProcedure, "application/grpc-web", string(Envelope(0, []byte("\xff")))},
		"message that is too large":          {CreateProcedure, "application/json", `{"model":"` + strings.Repeat("m", 2000) + `"}`},
		"unsupported content type":           {CreateProcedure, "text/plain", text},
		"unknown RPC":                        {"/openaiconnect.chat.v1.ChatService/Nothing", "application/json", text},
		"unknown service":                    {"/openaiconnect.chat.v1.Nothing/Nothing", "application/grpc-web", ""},
		"raw":                                {"/v1/chat/completions", "application/json", HelloBody},
	} {
		requests[name] = HTTPRequest{Method: http.MethodPost, Path: row.path, Header: http.Header{"Content-Type": {row.media}}, Body: row.body}
	}
	requests["Connect GET"] = ConnectGET
	requests["raw GET"] = HTTPRequest{Method: http.MethodGet, Path: "/v1/chat/completions/a"}
	return requests
}

// DoHost is like Do, with a client and the base URL of the server. The Host is
// the URL's if host is empty.
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
