package auth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

func TestAuth_RejectsIncompleteKeyConfiguration(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]server.Config{
		"upstream key without client authentication": {UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey)},
		"client key without an upstream key":         {ClientKey: e2etest.Secret(t, servertest.Key)},
		"anonymous use without an upstream key":      {AllowAnonymous: true},
	} {
		if s, err := server.New(config); err == nil {
			s.Close()
			t.Errorf("%s: New succeeded, want an error", name)
		}
	}
}

func TestAuth_ReplacesClientKeyWithUpstreamKey(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(testing.TB, string) server.Config{"client key": e2etest.ClientKeyConfig, "anonymous": e2etest.AnonymousConfig, "clients file": e2etest.ClientsFileConfig} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, e2etest.ServeHello)
			front := e2etest.StartServer(t, config(t, upstream.URL))
			for _, client := range e2etest.LibraryClients(t, front) {
				for _, method := range e2etest.Methods {
					if got := (e2etest.ScriptedCall{Method: method}).Do(t, client); got.Err != nil {
						t.Errorf("%s %s: %v", client.Name, method, got.Err)
						continue
					}
					e2etest.CheckUpstreamKey(t, upstream)
				}
			}
			for _, field := range []string{"Authorization: Bearer ", "Api-Key: ", "Sec-Websocket-Protocol: realtime, openai-insecure-api-key."} {
				for _, http2 := range []bool{false, true} {
					name, value, _ := strings.Cut(field+servertest.Key, ": ")
					request := e2etest.HTTPRequest{Method: http.MethodPost, Path: "/v1/chat/completions", Body: e2etest.HelloBody, Header: http.Header{name: {value}}, HTTP2: http2}
					if response, body := request.Do(e2etest.Context(t), t, front); response.StatusCode != http.StatusOK {
						t.Errorf("%s: %s %s", name, response.Status, body)
						continue
					}
					e2etest.CheckUpstreamKey(t, upstream)
				}
			}
		})
	}
}

func TestAuth_RejectsTypedCallsWithoutKey(t *testing.T) {
	t.Parallel()
	for name, config := range keyedConfigs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, e2etest.ServeHello)
			checkTypedCallsAreRejected(t, e2etest.StartServer(t, config(t, upstream.URL)))
			if got := upstream.Take(); len(got) > 0 {
				t.Errorf("got %d requests at the upstream, want none", len(got))
			}
		})
	}
}

// checkTypedCallsAreRejected makes calls without a valid client key.
func checkTypedCallsAreRejected(t *testing.T, front *servertest.Front) {
	t.Helper()
	for _, kind := range e2etest.ClientKinds() {
		client := kind.Open(t, front)
		for message, value := range map[string]string{"not known": "Bearer wrong", "requires an API key": "Basic YTpi"} {
			c := e2etest.Call{Method: "CreateChatCompletion", Request: e2etest.Hello(), Metadata: http.Header{"Authorization": {value}}}
			_, unary := client.Unary(e2etest.Context(t), c, new(chatv1.ChatCompletion))
			c.Method = "StreamChatCompletion"
			_, streamed := client.Stream(e2etest.Context(t), c, func(*chatv1.ChatCompletionChunk) { t.Error("got a message") })
			for _, err := range []error{unary, streamed} {
				failed := e2etest.AsRPCError(t, err)
				if failed.Code != connect.CodeUnauthenticated || !strings.Contains(failed.Message, message) {
					t.Errorf("%s: got error %v, want unauthenticated", client.Name, failed)
				}
				if failed.Detail.GetCode() != "invalid_api_key" || failed.Detail.GetType() != "invalid_request_error" || failed.Detail.GetMessage() != failed.Message {
					t.Errorf("%s: got detail %v", client.Name, failed.Detail)
				}
			}
		}
	}
}

func TestAuth_RejectsRawRequestsWithoutKey(t *testing.T) {
	t.Parallel()
	for name, config := range keyedConfigs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, e2etest.ServeHello)
			checkAllRequestsAreRejected(t, e2etest.StartServer(t, config(t, upstream.URL)))
			if got := upstream.Take(); len(got) > 0 {
				t.Errorf("got requests at the upstream, want none: %+v", got)
			}
		})
	}
}

// checkAllRequestsAreRejected makes requests of every kind without a client key.
func checkAllRequestsAreRejected(t *testing.T, front *servertest.Front) {
	t.Helper()
	requests := e2etest.SampleRequests(t)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		requests["raw "+method] = e2etest.HTTPRequest{Method: method, Path: "/v1/models"}
	}
	requests["other path"] = e2etest.HTTPRequest{Method: http.MethodGet, Path: "/"}
	requests["health path in another case"] = e2etest.HTTPRequest{Method: http.MethodPost, Path: "/GRPC.health.v1.Health/Check", Body: "{}"}
	requests["escaped health path"] = e2etest.HTTPRequest{Method: http.MethodPost, Path: "/grpc%2Ehealth.v1.Health/Check", Body: "{}"}
	requests["dot segments after the health service"] = e2etest.HTTPRequest{Method: http.MethodGet, Path: "/grpc.health.v1.Health/../v1/models"}
	for kind, request := range requests {
		for _, http2 := range []bool{false, true} {
			request.HTTP2 = http2
			response, body := request.Do(e2etest.Context(t), t, front)
			switch media := response.Header.Get("Content-Type"); {
			case strings.HasPrefix(media, "application/grpc-web"):
				if response.Header.Get("Grpc-Status") != "16" {
					t.Errorf("%s: %q", kind, response.Header)
				}
			case strings.HasPrefix(media, "application/connect+"):
				if !strings.Contains(body, `"code":"unauthenticated"`) {
					t.Errorf("%s: %q", kind, body)
				}
			default:
				if response.StatusCode != http.StatusUnauthorized || response.Header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s: %s %q", kind, response.Status, response.Header)
				}
				checkUnauthorized(t, kind, request, body)
			}
		}
	}
}

func checkUnauthorized(t *testing.T, kind string, request e2etest.HTTPRequest, body string) {
	t.Helper()
	if request.Method == http.MethodHead {
		return
	}
	var answer struct {
		Code  string // of Connect
		Error struct {
			Message, Type, Code string
			Param               *string
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Errorf("%s: parse the body %q: %v", kind, body, err)
	}
	raw := answer.Error.Code == "invalid_api_key" && answer.Error.Type == "invalid_request_error" && strings.Contains(answer.Error.Message, "Bearer")
	if typed := strings.HasPrefix(request.Path, "/openaiconnect.chat.v1."); typed && answer.Code != "unauthenticated" && !raw || !typed && !raw && answer.Code != "unimplemented" {
		t.Errorf("%s: got body %q, want an authentication error", kind, body)
	}
}

func TestAuth_NotRequiredForHealthAndReflection(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, e2etest.ServeHello)
	front := e2etest.StartServer(t, e2etest.ClientKeyConfig(t, upstream.URL))
	response, err := grpc_health_v1.NewHealthClient(front.GRPC(t)).Check(e2etest.Context(t), new(grpc_health_v1.HealthCheckRequest))
	if err != nil || response.GetStatus() != e2etest.Serving {
		t.Errorf("got health response %v and error %v", response, err)
	}
	for _, version := range []string{"v1", "v1alpha"} {
		listed := e2etest.OpenReflection(t, front, version)(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
		})
		if got := len(listed.GetListServicesResponse().GetService()); got != len(e2etest.ReflectedServices) {
			t.Errorf("%s lists %d services", version, got)
		}
	}
	for _, path := range []string{"/grpc.health.v1.Health/Nothing", "/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/x"} {
		request := e2etest.HTTPRequest{Method: http.MethodPost, Path: path, Body: "{}", Header: http.Header{"Content-Type": {"application/json"}}}
		if response, _ := request.Do(e2etest.Context(t), t, front); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got status %s", path, response.Status)
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("got requests at the upstream, want none: %+v", got)
	}
}

func TestAuth_OpensBrowserWebSocketWithUpstreamKey(t *testing.T) {
	t.Parallel()
	heads := make(chan upstreamtest.Head, 1)
	upstream := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if head, err := conn.ReadHead(); err == nil {
			heads <- head
			conn.Send("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Protocol: realtime\n\n")
		}
	})
	const upgrade = "GET /v1/realtime?model=m HTTP/1.1\nHost: x\nOrigin: " + e2etest.Origin + "\nConnection: Upgrade\nUpgrade: websocket\n" +
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key."
	for name, config := range keyedConfigs() {
		front := e2etest.StartServer(t, config(t, upstream))
		client := e2etest.DialRaw(t, front)
		client.Send(upgrade + servertest.Key + ", openai-beta.realtime-v1\n\n")
		head, err := client.ReadHead()
		if err != nil || head.Line != "HTTP/1.1 101 Switching Protocols" || head.Value("Sec-WebSocket-Protocol") != "realtime" {
			t.Fatalf("%s: got response %q and error %v", name, head, err)
		}
		got := e2etest.Receive(t, heads, "the request")
		if !slices.Equal(got.Values("Authorization"), []string{"Bearer " + e2etest.UpstreamKey}) ||
			!slices.Equal(got.Values("Sec-WebSocket-Protocol"), []string{"realtime, openai-beta.realtime-v1"}) {
			t.Errorf("%s: got fields %q at the upstream", name, got.Fields)
		}
		client = e2etest.DialRaw(t, front)
		client.Send(upgrade + "wrong\n\n")
		if head, err := client.ReadHead(); err != nil || head.Line != "HTTP/1.1 401 Unauthorized" {
			t.Errorf("%s: got response %q and error %v for a wrong key", name, head, err)
		}
	}
	client := e2etest.DialRaw(t, e2etest.StartServer(t, e2etest.AnonymousConfig(t, upstream)))
	client.Send(upgrade + "any\n\n")
	if head, err := client.ReadHead(); err != nil || head.Line != "HTTP/1.1 403 Forbidden" {
		t.Errorf("got response %q and error %v for a forbidden origin", head, err)
	}
}

// Only the credentials of a request change.
func TestAuth_LeavesRestOfRequestUnchanged(t *testing.T) {
	t.Parallel()
	requests := make(chan upstreamtest.Request, 1)
	upstream := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			requests <- request
			conn.Send("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
		}
	})
	open, held, many := e2etest.StartServer(t, server.Config{Upstream: upstream}), e2etest.StartServer(t, e2etest.ClientKeyConfig(t, upstream)), e2etest.StartServer(t, e2etest.ClientsFileConfig(t, upstream))
	const auth = "Host: x\nAuthorization: Bearer " + servertest.Key + "\n"
	for name, sent := range map[string]string{
		"upload":              "POST /v1/a%2Fb?x&x=1 HTTP/1.1\n" + auth + "X-Twice: a\nX-Twice: b\nContent-Length: 5\n\nHello",
		"announced trailer":   "POST /v1/files HTTP/1.1\n" + auth + "Trailer: X-Sum\nTransfer-Encoding: chunked\n\n5\nHello\n0\nX-Sum: 1\n\n",
		"unannounced trailer": "POST /v1/files HTTP/1.1\n" + auth + "Transfer-Encoding: chunked\n\n5\nHello\n0\nX-Sum: 1\n\n",
		"cookies":             "GET /v1/files HTTP/1.1\n" + auth + "Cookie: a=b\nOpenAI-Beta: o\nX-Request-Id: x\n\n",
	} {
		var got [3]upstreamtest.Request
		for i, front := range []*servertest.Front{open, held, many} {
			client := e2etest.DialRaw(t, front)
			client.Send(sent)
			got[i] = e2etest.Receive(t, requests, "the request")
			got[i].Fields = slices.DeleteFunc(got[i].Fields, func(field string) bool { return strings.HasPrefix(field, "Via: ") })
			slices.Sort(got[i].Fields)
		}
		want := strings.ReplaceAll(fmt.Sprintf("%q", got[0]), servertest.Key, e2etest.UpstreamKey)
		for _, got := range got[1:] {
			if fmt.Sprintf("%q", got) != want {
				t.Errorf("%s: got request %q at the upstream, want %s", name, got, want)
			}
		}
	}
}
