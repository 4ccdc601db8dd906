package headers_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/grpc"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// headerCall makes a unary or a streaming call with one client and returns the
// response metadata.
type headerCall struct {
	name string
	grpc bool // grpc-go, which encodes and decodes binary metadata
	make func(t *testing.T, metadata http.Header) (http.Header, error)
}

func headerCalls(t *testing.T, front *servertest.Front) []headerCall {
	t.Helper()
	var calls []headerCall
	kinds := append(e2etest.ClientKinds(), e2etest.ClientKind{Name: "Connect GET", Open: func(tb testing.TB, front *servertest.Front) e2etest.Client {
		tb.Helper()
		return e2etest.NewConnectClient("Connect GET", front.Connect(tb, servertest.Protocols()[0], connecthttp.WithHTTPGet()))
	}})
	for _, kind := range kinds {
		client := kind.Open(t, front)
		isGRPC := client.Name == "grpc-go"
		unary := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello()}
		if kind.Name == "Connect GET" {
			unary = e2etest.Call{Method: "GetChatCompletion", Request: &chatv1.GetChatCompletionRequest{CompletionId: "a"}}
		}
		calls = append(calls, headerCall{kind.Name, isGRPC, func(t *testing.T, metadata http.Header) (http.Header, error) {
			t.Helper()
			c := unary
			c.Metadata = metadata
			return client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
		}})
		if kind.Name == "Connect GET" {
			continue
		}
		calls = append(calls, headerCall{kind.Name + " stream", isGRPC, func(t *testing.T, metadata http.Header) (http.Header, error) {
			t.Helper()
			c := e2etest.Call{Method: "StreamChatCompletion", Request: e2etest.Hello(), Metadata: metadata}
			return client.Stream(e2etest.Context(t), c, func(*chatv1.ChatCompletionChunk) {})
		}})
	}
	return calls
}

// serveAny is an upstream that serveAny both unary and streaming calls.
func serveAny(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") == "text/event-stream" {
		servertest.Events(e2etest.HelloChunk, "[DONE]")(w, r)
		return
	}
	servertest.JSON(http.StatusOK, e2etest.HelloCompletion)(w, r)
}

// Binary metadata is forwarded in the base64 form that the client sent, with or
// without padding.
func TestMetadata_AnyValueIsForwarded(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, serveAny)
	front := servertest.Start(t, server.Config{Upstream: upstream.URL})
	text := http.Header{
		"X-Repeated": {"one", "two", "one"},
		"X-Empty":    {""},
		"X-List":     {"a, b,c", "d"},
		"X-Quoted":   {`"a, \"b\""`},
		"X-Symbols":  {"!#$%&'*+-.^_`|~;=@/\\(){}<>?"},
	}
	foreign := http.Header{
		"X-Utf-8":  {"café", "\u6f22\u5b57"},
		"X-Latin1": {"caf\xe9"},
		"X-Tab":    {"a\tb"},
	}
	encoded := http.Header{
		"X-Key-Bin":   {"AP8gYmluYXJ5", "AA"}, // grpc-go's encoding of the bytes below
		"X-Empty-Bin": {""},
	}
	bytes := http.Header{"X-Key-Bin": {"\x00\xff binary", "\x00"}, "X-Empty-Bin": {""}}
	verbatim := http.Header{"X-Padded-Bin": {"AA==", "AP8,AP8"}}
	for _, call := range headerCalls(t, front) {
		t.Run(call.name, func(t *testing.T) {
			metadata, want := text.Clone(), text.Clone()
			maps.Copy(want, encoded)
			if call.grpc {
				maps.Copy(metadata, bytes)
			} else {
				for _, more := range []http.Header{foreign, encoded, verbatim} {
					maps.Copy(metadata, more)
					maps.Copy(want, more)
				}
			}
			if strings.Contains(call.name, "curl") { // curl omits an empty header.
				delete(metadata, "X-Empty")
				delete(metadata, "X-Empty-Bin")
				delete(want, "X-Empty")
				delete(want, "X-Empty-Bin")
			}
			if _, err := call.make(t, metadata); err != nil {
				t.Fatal(err)
			}
			got := e2etest.TakeOne(t, upstream).Header
			for _, name := range []string{"Accept", "Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "User-Agent"} {
				got.Del(name)
			}
			e2etest.CheckHeader(t, got, want)
		})
	}
}

// gRPC clients fail calls with invalid base64 in a header whose name ends in -bin.
// Other values are therefore encoded, for every client.
func TestMetadata_AnyValueIsReturned(t *testing.T) {
	t.Parallel()
	fields := []string{
		"X-Repeated: one", "X-Repeated: two", "X-Repeated: one",
		"X-Empty:",
		"X-List: a, b,c", "X-List: d",
		"X-Spaces: \t between  words \t",
		"X-UTF-8: café", "X-Latin1: caf\xe9",
		"X-Key-Bin: AP8gYmluYXJ5", "X-Key-Bin: not base64!", "X-Key-Bin: AA==", "X-Key-Bin: AP8,AP8", "X-Key-Bin:", "X-Key-Bin: \xff",
	}
	want := http.Header{
		"X-Repeated": {"one", "two", "one"},
		"X-Empty":    {""},
		"X-List":     {"a, b,c", "d"},
		"X-Spaces":   {"between  words"},
		"X-Utf-8":    {"café"},
		"X-Latin1":   {"caf\xe9"},
	}
	binary := []string{"AP8gYmluYXJ5", unpadded("not base64!"), "AA==", unpadded("AP8,AP8"), "", unpadded("\xff")}
	decoded := []string{"\x00\xff binary", "not base64!", "\x00", "AP8,AP8", "", "\xff"}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"answer": e2etest.Reply(200, e2etest.HelloCompletion, append(fields, e2etest.JSONType)...),
		"stream": e2etest.StreamWith(fields, e2etest.Event(e2etest.HelloChunk), e2etest.DoneEvent),
		"error":  e2etest.Reply(429, e2etest.RateLimitedBody, append(fields, e2etest.JSONType)...),
	})})
	for _, call := range headerCalls(t, front) {
		answer := "answer"
		if strings.HasSuffix(call.name, "stream") {
			answer = "stream"
		}
		for _, name := range []string{answer, "error"} {
			t.Run(call.name+": "+name, func(t *testing.T) {
				got, err := call.make(t, http.Header{e2etest.ScriptHeader: {name}})
				if failed := err != nil; failed != (name == "error") {
					t.Fatalf("got error %v", err)
				}
				for name, values := range want {
					if !slices.Equal(got[name], values) {
						t.Errorf("got %s %q, want %q", name, got[name], values)
					}
				}
				values := binary
				if call.grpc {
					values = decoded
				}
				if !slices.Equal(got["X-Key-Bin"], values) {
					t.Errorf("X-Key-Bin is %q, want %q", got["X-Key-Bin"], values)
				}
			})
		}
	}
}

func unpadded(text string) string { return base64.RawStdEncoding.EncodeToString([]byte(text)) }

// The test uses one value over the limit of many servers, and one over the limit
// of nearly all servers.
func TestMetadata_LargeHeaders(t *testing.T) {
	t.Parallel()
	for _, size := range []int{8 << 10, 60 << 10} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			large := strings.Repeat("x", size)
			upstream := servertest.StartUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Large", r.Header.Get("X-Large"))
				if r.Header.Get("X-Fail") != "" {
					servertest.JSON(http.StatusTooManyRequests, e2etest.RateLimitedBody)(w, r)
					return
				}
				serveAny(w, r)
			})
			front := servertest.Start(t, server.Config{Upstream: upstream.URL})
			for _, call := range headerCalls(t, front) {
				for _, fail := range []string{"", "1"} {
					t.Run(call.name+" "+fail, func(t *testing.T) {
						got, err := call.make(t, http.Header{"X-Large": {large}, "X-Fail": {fail}})
						if failed := err != nil; failed != (fail != "") {
							t.Fatalf("got error %v", err)
						}
						if fail != "" {
							if failed := e2etest.AsRPCError(t, err); failed.Message != "Slow down." || failed.Detail == nil {
								t.Errorf("got error %v", failed)
							}
						}
						if got.Get("X-Large") != large {
							t.Errorf("got %d bytes in the header", len(got.Get("X-Large")))
						}
					})
				}
			}
		})
	}
}

// The test sends more than 1 MiB of headers in each direction.
func TestMetadata_HeadersOverLimit(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1<<20)
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"large": func(conn *upstreamtest.Conn) {
			e2etest.Reply(200, e2etest.HelloCompletion, e2etest.JSONType, "X-Large: "+large)(conn)
			conn.Close()
		},
	})})
	for _, call := range headerCalls(t, front) {
		t.Run("response: "+call.name, func(t *testing.T) {
			_, err := call.make(t, http.Header{e2etest.ScriptHeader: {"large"}})
			failed := e2etest.AsRPCError(t, err)
			if failed.Code.String() != "internal" || !strings.Contains(failed.Message, "headers are too large: the limit is 1048576 bytes") {
				t.Errorf("got error %v", failed)
			}
		})
		if strings.Contains(call.name, "curl") {
			continue // The client rejects these headers itself.
		}
		// The server announces its limit at the start of an HTTP/2 connection, and
		// serveAny 431 over HTTP/1.1. The error is the client's.
		t.Run("request: "+call.name, func(t *testing.T) {
			_, err := call.make(t, http.Header{"X-Large": {large + large}})
			says := func(text string) bool { return err != nil && strings.Contains(err.Error(), text) }
			if !says("431 Request Header Fields Too Large") && !says("larger than peer's advertised limit") &&
				!says("violates the maximum size (131392 bytes) set by server") {
				t.Errorf("got error %v", err)
			}
		})
	}
	t.Run("raw response", func(t *testing.T) {
		response, body := e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: http.Header{e2etest.ScriptHeader: {"large"}}}.Do(e2etest.Context(t), t, front)
		if response.StatusCode != http.StatusBadGateway || !strings.Contains(body, "headers are too large: the limit is 1048576 bytes") {
			t.Errorf("got status %s and body %s", response.Status, body)
		}
	})
	t.Run("raw request", func(t *testing.T) {
		response, _ := e2etest.HTTPRequest{Method: http.MethodGet, Path: "/v1/models", Header: http.Header{"X-Large": {large + large}}}.Do(e2etest.Context(t), t, front)
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("got status %s", response.Status)
		}
	})
}

// A gRPC client with a lower limit announces it and fails only the larger response.
func TestMetadata_LimitOfGRPCClient(t *testing.T) {
	t.Parallel()
	part := strings.Repeat("x", 10<<10)
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"large": e2etest.Reply(200, e2etest.HelloCompletion, e2etest.JSONType, "X-A: "+part, "X-B: "+part),
		"small": e2etest.Reply(200, e2etest.HelloCompletion, e2etest.JSONType, "X-A: "+part),
	})})
	client := e2etest.NewGRPCClient(t, front, grpc.WithMaxHeaderListSize(16<<10))
	for script, says := range map[string]string{"large": "header list size exceeded limit", "small": ""} {
		c := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello(), Metadata: http.Header{e2etest.ScriptHeader: {script}}}
		_, err := client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s headers: got error %v", script, err)
		}
	}
}
