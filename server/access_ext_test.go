package server_test

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
	"github.com/openai-connect/openai-connect/server/auth"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// heldKey is the upstream's key, where the server holds one.
const heldKey = "sk-held-9876543210"

// secret returns the secret that a text is.
func secret(tb testing.TB, text string) auth.Secret {
	tb.Helper()
	s, err := auth.NewSecret(text)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// guarded is the configuration of a server that holds heldKey, and whose clients
// send servertest.Key for a token, as they do without being told.
func guarded(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{Upstream: upstream, UpstreamKey: secret(tb, heldKey), ClientToken: secret(tb, servertest.Key)}
}

// anonymous is the same for everyone.
func anonymous(tb testing.TB, upstream string) server.Config {
	tb.Helper()
	return server.Config{Upstream: upstream, UpstreamKey: secret(tb, heldKey), AllowAnonymous: true}
}

func TestAKeyIsHeldForSomeoneOrNotAtAll(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]server.Config{
		"a key alone":          {UpstreamKey: secret(t, heldKey)},
		"a token alone":        {ClientToken: secret(t, servertest.Key)},
		"everyone, and no key": {AllowAnonymous: true},
	} {
		if s, err := server.New(config); err == nil {
			s.Close()
			t.Errorf("%s is taken", name)
		}
	}
}

// echo answers both sorts of calls.
func echo(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "event-stream") {
		servertest.Events(helloChunk, "[DONE]")(w, r)
		return
	}
	servertest.JSON(http.StatusOK, helloCompletion)(w, r)
}

// checkHeld checks that the upstream has received one request, with the held key
// and nothing of the client's.
func checkHeld(t *testing.T, upstream *servertest.Upstream) {
	t.Helper()
	got := take(t, upstream)
	if values := got.Header["Authorization"]; !slices.Equal(values, []string{"Bearer " + heldKey}) {
		t.Errorf("the upstream received the authorization %q", values)
	}
	if text := fmt.Sprint(got); strings.Contains(text, servertest.Key) {
		t.Errorf("the upstream received the client's token: %s", text)
	}
}

func TestTheTokenIsReplacedByTheKey(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]func(testing.TB, string) server.Config{"with a token": guarded, "for everyone": anonymous, "with keys": keyed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, echo)
			front := startFront(t, config(t, upstream.URL))
			for _, client := range libraryClients(t, front) {
				for _, way := range bothWays {
					if got := (question{way: way}).ask(t, client); got.failed != nil {
						t.Errorf("%s %s: %v", client.name, way, got.failed)
						continue
					}
					checkHeld(t, upstream)
				}
			}
			for _, field := range []string{"Authorization: Bearer ", "Api-Key: ", "Sec-Websocket-Protocol: realtime, openai-insecure-api-key."} {
				for _, http2 := range []bool{false, true} {
					name, value, _ := strings.Cut(field+servertest.Key, ": ")
					request := exchange{method: http.MethodPost, path: "/v1/chat/completions", body: helloBody, header: http.Header{name: {value}}, http2: http2}
					if response, body := request.run(within(t), t, front); response.StatusCode != http.StatusOK {
						t.Errorf("%s: %s %s", name, response.Status, body)
						continue
					}
					checkHeld(t, upstream)
				}
			}
		})
	}
}

func TestTypedCallsWithoutTheTokenAreRefused(t *testing.T) {
	t.Parallel()
	for name, config := range tokenAskers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, echo)
			checkTypedCallsAreRefused(t, startFront(t, config(t, upstream.URL)))
			if got := upstream.Take(); len(got) > 0 {
				t.Errorf("the upstream received %d requests", len(got))
			}
		})
	}
}

// checkTypedCallsAreRefused makes calls without the right token.
func checkTypedCallsAreRefused(t *testing.T, front *servertest.Front) {
	t.Helper()
	for _, kind := range clientKinds() {
		client := kind.open(t, front)
		for says, value := range map[string]string{"not known": "Bearer wrong", "wants a token": "Basic YTpi"} {
			c := call{method: "CreateChatCompletion", request: hello(), metadata: http.Header{"Authorization": {value}}}
			_, unary := client.unary(within(t), c, new(chatv1.ChatCompletion))
			c.method = "StreamChatCompletion"
			_, streamed := client.stream(within(t), c, func(*chatv1.ChatCompletionChunk) { t.Error("a message came") })
			for _, err := range []error{unary, streamed} {
				failed := failureOf(t, err)
				if failed.code != connect.CodeUnauthenticated || !strings.Contains(failed.message, says) {
					t.Errorf("%s: %v", client.name, failed)
				}
				if failed.detail.GetCode() != "invalid_api_key" || failed.detail.GetType() != "invalid_request_error" || failed.detail.GetMessage() != failed.message {
					t.Errorf("%s: the detail is %v", client.name, failed.detail)
				}
			}
		}
	}
}

func TestAnyRequestWithoutTheTokenIsRefused(t *testing.T) {
	t.Parallel()
	for name, config := range tokenAskers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			upstream := servertest.StartUpstream(t, echo)
			checkAnyRequestIsRefused(t, startFront(t, config(t, upstream.URL)))
			if got := upstream.Take(); len(got) > 0 {
				t.Errorf("the upstream received %+v", got)
			}
		})
	}
}

// checkAnyRequestIsRefused makes requests of every kind without a token.
func checkAnyRequestIsRefused(t *testing.T, front *servertest.Front) {
	t.Helper()
	requests := rpcRequests(t)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		requests["raw "+method] = exchange{method: method, path: "/v1/models"}
	}
	requests["another path"] = exchange{method: http.MethodGet, path: "/"}
	requests["by another case"] = exchange{method: http.MethodPost, path: "/GRPC.health.v1.Health/Check", body: "{}"}
	requests["escaped"] = exchange{method: http.MethodPost, path: "/grpc%2Ehealth.v1.Health/Check", body: "{}"}
	requests["beyond the health service"] = exchange{method: http.MethodGet, path: "/grpc.health.v1.Health/../v1/models"}
	for kind, request := range requests {
		for _, http2 := range []bool{false, true} {
			request.http2 = http2
			response, body := request.run(within(t), t, front)
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

func checkUnauthorized(t *testing.T, kind string, request exchange, body string) {
	t.Helper()
	if request.method == http.MethodHead {
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
		t.Errorf("%s: %q: %v", kind, body, err)
	}
	raw := answer.Error.Code == "invalid_api_key" && answer.Error.Type == "invalid_request_error" && strings.Contains(answer.Error.Message, "Bearer")
	if typed := strings.HasPrefix(request.path, "/openaiconnect.chat.v1."); typed && answer.Code != "unauthenticated" && !raw || !typed && !raw && answer.Code != "unimplemented" {
		t.Errorf("%s: %q", kind, body)
	}
}

func TestHealthAndReflectionAskForNoToken(t *testing.T) {
	t.Parallel()
	upstream := servertest.StartUpstream(t, echo)
	front := startFront(t, guarded(t, upstream.URL))
	response, err := grpc_health_v1.NewHealthClient(front.GRPC(t)).Check(within(t), new(grpc_health_v1.HealthCheckRequest))
	if err != nil || response.GetStatus() != serving {
		t.Errorf("got %v, %v", response, err)
	}
	for _, version := range []string{"v1", "v1alpha"} {
		listed := reflection(t, front, version)(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
		})
		if got := len(listed.GetListServicesResponse().GetService()); got != len(services) {
			t.Errorf("%s lists %d services", version, got)
		}
	}
	for _, path := range []string{"/grpc.health.v1.Health/Nothing", "/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/x"} {
		request := exchange{method: http.MethodPost, path: path, body: "{}", header: http.Header{"Content-Type": {"application/json"}}}
		if response, _ := request.run(within(t), t, front); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
	if got := upstream.Take(); len(got) > 0 {
		t.Errorf("the upstream received %+v", got)
	}
}

func TestAWebSocketOfAPageIsOpenedWithTheKey(t *testing.T) {
	t.Parallel()
	heads := make(chan upstreamtest.Head, 1)
	upstream := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if head, err := conn.ReadHead(); err == nil {
			heads <- head
			conn.Send("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Protocol: realtime\n\n")
		}
	})
	const upgrade = "GET /v1/realtime?model=m HTTP/1.1\nHost: x\nOrigin: " + page + "\nConnection: Upgrade\nUpgrade: websocket\n" +
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key."
	for name, config := range tokenAskers() {
		front := startFront(t, config(t, upstream))
		client := dialRaw(t, front)
		client.Send(upgrade + servertest.Key + ", openai-beta.realtime-v1\n\n")
		head, err := client.ReadHead()
		if err != nil || head.Line != "HTTP/1.1 101 Switching Protocols" || head.Value("Sec-WebSocket-Protocol") != "realtime" {
			t.Fatalf("%s: the answer is %q, %v", name, head, err)
		}
		got := await(t, heads, "the request")
		if !slices.Equal(got.Values("Authorization"), []string{"Bearer " + heldKey}) ||
			!slices.Equal(got.Values("Sec-WebSocket-Protocol"), []string{"realtime, openai-beta.realtime-v1"}) {
			t.Errorf("%s: the upstream received %q", name, got.Fields)
		}
		client = dialRaw(t, front)
		client.Send(upgrade + "wrong\n\n")
		if head, err := client.ReadHead(); err != nil || head.Line != "HTTP/1.1 401 Unauthorized" {
			t.Errorf("%s: to another token, the answer is %q, %v", name, head, err)
		}
	}
	client := dialRaw(t, startFront(t, anonymous(t, upstream)))
	client.Send(upgrade + "any\n\n")
	if head, err := client.ReadHead(); err != nil || head.Line != "HTTP/1.1 403 Forbidden" {
		t.Errorf("where no page may use the server, the answer is %q, %v", head, err)
	}
}

// Beside the credentials nothing of a request changes.
func TestTheRestOfARequestIsTheSameWithAKey(t *testing.T) {
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
	open, held, many := startFront(t, server.Config{Upstream: upstream}), startFront(t, guarded(t, upstream)), startFront(t, keyed(t, upstream))
	const auth = "Host: x\nAuthorization: Bearer " + servertest.Key + "\n"
	for name, sent := range map[string]string{
		"an upload":             "POST /v1/a%2Fb?x&x=1 HTTP/1.1\n" + auth + "X-Twice: a\nX-Twice: b\nContent-Length: 5\n\nHello",
		"with a trailer":        "POST /v1/files HTTP/1.1\n" + auth + "Trailer: X-Sum\nTransfer-Encoding: chunked\n\n5\nHello\n0\nX-Sum: 1\n\n",
		"with a hidden trailer": "POST /v1/files HTTP/1.1\n" + auth + "Transfer-Encoding: chunked\n\n5\nHello\n0\nX-Sum: 1\n\n",
		"with cookies":          "GET /v1/files HTTP/1.1\n" + auth + "Cookie: a=b\nOpenAI-Beta: o\nX-Request-Id: x\n\n",
	} {
		var got [3]upstreamtest.Request
		for i, front := range []*servertest.Front{open, held, many} {
			client := dialRaw(t, front)
			client.Send(sent)
			got[i] = await(t, requests, "the request")
			got[i].Fields = slices.DeleteFunc(got[i].Fields, func(field string) bool { return strings.HasPrefix(field, "Via: ") })
			slices.Sort(got[i].Fields)
		}
		want := strings.ReplaceAll(fmt.Sprintf("%q", got[0]), servertest.Key, heldKey)
		for _, got := range got[1:] {
			if fmt.Sprintf("%q", got) != want {
				t.Errorf("%s: the upstream received %q, not %s", name, got, want)
			}
		}
	}
}
