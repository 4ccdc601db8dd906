package smuggling_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// detour is a request that tries to make the server connect to another host. The
// placeholder ELSEWHERE stands for the address of that host.
type detour struct {
	name string
	sent string // for [upstreamtest.Conn.Send]
	// target is the target of the request that the upstream receives, or empty if
	// the server rejects the request.
	target string
}

const getProcedure = "/openaiconnect.chat.v1.ChatService/GetChatCompletion"

func detours() []detour {
	const host, webSocket = "Host: x\n", "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: YQ==\n\n"
	get := func(target string) string { return "GET " + target + " HTTP/1.1\n" + host + "\n" }
	with := func(fields string) string { return "GET /v1/models HTTP/1.1\n" + fields + "\n" }
	ask := func(target string, fields ...string) string {
		return e2etest.ConnectRequestText(target, e2etest.HelloMessage, fields...)
	}
	read := func(id string) string {
		return e2etest.ConnectRequestText(getProcedure, `{"completion_id":"`+id+`"}`, "Host: x")
	}
	return []detour{
		{"an absolute target", "GET http://ELSEWHERE/v1/models HTTP/1.1\nHost: ELSEWHERE\n\n", "/v1/models"},
		{"an absolute target that contradicts Host", get("http://ELSEWHERE/v1/models"), "/v1/models"},
		{"an absolute target of https", get("https://ELSEWHERE/v1/models"), "/v1/models"},
		{"an absolute target in capitals", get("HTTP://ELSEWHERE/v1/models"), "/v1/models"},
		{"an absolute target without a path", get("http://ELSEWHERE"), "/"},
		{"an absolute target with a query only", get("http://ELSEWHERE?x=1"), "/?x=1"},
		{"an absolute target with a user", get("http://me:secret@ELSEWHERE/v1/models"), "/v1/models"},
		{"an absolute target whose user is the upstream", get("http://UPSTREAM@ELSEWHERE/v1/models"), "/v1/models"},
		{"an absolute target without a host", get("http:///ELSEWHERE/v1/models"), "/ELSEWHERE/v1/models"},
		{"an absolute target within another", get("http://x/http://ELSEWHERE/"), "/http://ELSEWHERE/"},
		{"an absolute target of ftp", get("ftp://ELSEWHERE/v1/models"), ""},
		{"an absolute target of ws", get("ws://ELSEWHERE/v1/models"), ""},
		{"an absolute target of a file", get("file:///etc/passwd"), ""},
		{"a target without slashes after the scheme", get("http:ELSEWHERE/v1/models"), ""},
		{"a target that is a user and a host", get("me@ELSEWHERE"), ""},
		{"a target that begins with an at sign", get("@ELSEWHERE/v1/models"), ""},
		{"a target that begins with a colon", get(":80@ELSEWHERE/v1/models"), ""},
		{"a target that begins with backslashes", get(`\\ELSEWHERE\v1`), ""},
		{"a target that is a host and a port", get("ELSEWHERE"), ""},
		{"CONNECT", "CONNECT ELSEWHERE HTTP/1.1\nHost: ELSEWHERE\n\n", ""},
		{"CONNECT with a path", "CONNECT /v1/models HTTP/1.1\nHost: ELSEWHERE\n\n", ""},
		{"CONNECT with an absolute target", "CONNECT http://ELSEWHERE/ HTTP/1.1\nHost: ELSEWHERE\n\n", ""},
		{"CONNECT in small letters", "connect ELSEWHERE HTTP/1.1\nHost: ELSEWHERE\n\n", ""},
		{"two slashes", get("//ELSEWHERE/v1/models"), "//ELSEWHERE/v1/models"},
		{"three slashes", get("///ELSEWHERE/v1/models"), "///ELSEWHERE/v1/models"},
		{"a slash and a backslash", get(`/\ELSEWHERE/v1`), `/\ELSEWHERE/v1`},
		{"a host after the API's path", get("/v1@ELSEWHERE/models"), "/v1@ELSEWHERE/models"},
		{"a port and a host after the API's path", get("/v1:80@ELSEWHERE/models"), "/v1:80@ELSEWHERE/models"},
		{"slashes after the API's path", get("/v1//ELSEWHERE/models"), "/v1//ELSEWHERE/models"},
		{"dot segments", get("/v1/../../ELSEWHERE/"), "/v1/../../ELSEWHERE/"},
		{"encoded dot segments", get("/v1/%2e%2e/%2E%2e//ELSEWHERE/"), "/v1/%2e%2e/%2E%2e//ELSEWHERE/"},
		{"encoded slashes", get("/%2F%2FELSEWHERE%2fv1"), "/%2F%2FELSEWHERE%2fv1"},
		{"an encoded line", get("/v1/models%0d%0aHost:%20ELSEWHERE"), "/v1/models%0d%0aHost:%20ELSEWHERE"},
		{"a fragment", get("/v1/models#@ELSEWHERE/"), "/v1/models#@ELSEWHERE/"},
		{"a query", get("/v1/models?url=http://ELSEWHERE/"), "/v1/models?url=http://ELSEWHERE/"},
		{"the asterisk", "OPTIONS * HTTP/1.1\nHost: ELSEWHERE\n\n", "*"},
		{"a foreign Host", with("Host: ELSEWHERE\n"), "/v1/models"},
		{"a Host with a user", with("Host: me@ELSEWHERE\n"), ""},
		{"two Hosts", with("Host: x\nHost: ELSEWHERE\n"), ""},
		{"no Host", with(""), ""},
		{"an empty Host", with("Host:\n"), "/v1/models"},
		{"HTTP/1.0 without a Host", "GET /v1/models HTTP/1.0\n\n", "/v1/models"},
		{"forwarding fields of a proxy", with(host + "X-Forwarded-Host: ELSEWHERE\nX-Forwarded-Server: ELSEWHERE\nX-Forwarded-Proto: ftp\nForwarded: host=ELSEWHERE\n"), "/v1/models"},
		{"fields that rewrite the target", with(host + "X-Original-URL: http://ELSEWHERE/\nX-Rewrite-URL: http://ELSEWHERE/\nX-Host: ELSEWHERE\nX-HTTP-Host-Override: ELSEWHERE\n"), "/v1/models"},
		{"Location and Refresh", with(host + "Location: http://ELSEWHERE/\nRefresh: 0; http://ELSEWHERE/\n"), "/v1/models"},
		{"a Host named in Connection", with("Host: ELSEWHERE\nConnection: Host\n"), "/v1/models"},
		{"proxy credentials", with(host + "Proxy-Authorization: Basic YTpi\nProxy-Connection: keep-alive\n"), "/v1/models"},
		{"a host after the method", "GET@ELSEWHERE /v1/models HTTP/1.1\n" + host + "\n", ""},
		{"a WebSocket of a foreign Host", "GET /v1/realtime HTTP/1.1\nHost: ELSEWHERE\n" + webSocket, "/v1/realtime"},
		{"a WebSocket of an absolute target", "GET http://ELSEWHERE/v1/realtime HTTP/1.1\n" + host + webSocket, "/v1/realtime"},
		{"a WebSocket of an absolute target of ws", "GET ws://ELSEWHERE/v1/realtime HTTP/1.1\n" + host + webSocket, ""},
		{"a WebSocket of two slashes", "GET //ELSEWHERE/v1/realtime HTTP/1.1\n" + host + webSocket, "//ELSEWHERE/v1/realtime"},
		{"a WebSocket by CONNECT", "CONNECT ELSEWHERE HTTP/1.1\nHost: ELSEWHERE\n" + webSocket, ""},
		{"an upgrade to TLS", with(host + "Connection: Upgrade\nUpgrade: TLS/1.3\n"), "/v1/models"},
		{"an upgrade to HTTP/2", with(host + "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAAQAAP__\n"), "/v1/models"},
		{"an RPC of an absolute target", ask("http://ELSEWHERE"+e2etest.CreateProcedure, "Host: ELSEWHERE"), "/v1/chat/completions"},
		{"an RPC of a foreign Host", ask(e2etest.CreateProcedure, "Host: ELSEWHERE"), "/v1/chat/completions"},
		{"an RPC of two slashes", ask("/"+e2etest.CreateProcedure, "Host: ELSEWHERE"), "/" + e2etest.CreateProcedure},
		{"an RPC with metadata of proxies", ask(e2etest.CreateProcedure, "Host: x", "X-Forwarded-Host: ELSEWHERE", "Forwarded: host=ELSEWHERE", "X-Real-IP: 127.0.0.1"), "/v1/chat/completions"},
		{"an RPC with metadata that rewrites", ask(e2etest.CreateProcedure, "Host: x", "X-Original-URL: http://ELSEWHERE/", "X-Host: ELSEWHERE", "Location: http://ELSEWHERE/"), "/v1/chat/completions"},
		{"an RPC with HTTP/2's fields", ask(e2etest.CreateProcedure, "Host: x", ":authority: ELSEWHERE"), ""},
		{"an id with dot segments", read("../../192.0.2.1"), "/v1/chat/completions/..%2F..%2F192.0.2.1"},
		{"an id that is a URL", read("http://192.0.2.1/"), "/v1/chat/completions/http:%2F%2F192.0.2.1%2F"},
		{"an id that is a user and a host", read("a@192.0.2.1?x#y"), "/v1/chat/completions/a@192.0.2.1%3Fx%23y"},
		{"an id that is a line", read(`a HTTP/1.1\r\nHost: 192.0.2.1`), "/v1/chat/completions/a%20HTTP%2F1.1%0D%0AHost:%20192.0.2.1"},
	}
}

func TestSSRF_HTTP1(t *testing.T) {
	t.Parallel()
	for _, d := range detours() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			out := startWatchedServer(t)
			client := e2etest.DialRaw(t, out.front)
			client.Send(out.in(d.sent))
			head, err := client.ReadHead()
			if err != nil {
				t.Fatal(err)
			}
			if refused := strings.HasPrefix(head.Line, "HTTP/1.1 4"); refused != (d.target == "") {
				t.Errorf("got status line %q", head.Line)
			}
			out.check(t, d.target)
		})
	}
}

// watchedServer is a server whose outgoing connections are recorded.
type watchedServer struct {
	front     *servertest.Front
	upstream  string // HOST:PORT
	elsewhere string // HOST:PORT, where no connection may arrive

	mu       sync.Mutex
	dialled  []string
	received []upstreamtest.Head
}

func startWatchedServer(t *testing.T) *watchedServer {
	t.Helper()
	p := new(watchedServer)
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		for {
			request, err := conn.ReadRequest()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.received = append(p.received, request.Head)
			p.mu.Unlock()
			conn.Send("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
		}
	})
	p.upstream = strings.TrimPrefix(url, "http://")
	p.elsewhere = strings.TrimPrefix(upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		t.Errorf("got a connection from %s", conn.RemoteAddr())
	}), "http://")
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		p.mu.Lock()
		p.dialled = append(p.dialled, network+" "+address)
		p.mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	p.front = servertest.Start(t, server.Config{Upstream: url, DialContext: dial})
	return p
}

// in replaces the placeholders in text.
func (p *watchedServer) in(text string) string {
	return strings.NewReplacer("ELSEWHERE", p.elsewhere, "UPSTREAM", p.upstream).Replace(text)
}

// check checks that the server connected to the upstream only, and that the upstream
// received a request for the target with its own Host; or nothing, if target is empty.
func (p *watchedServer) check(t *testing.T, target string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if target == "" {
		if len(p.dialled) > 0 || len(p.received) > 0 {
			t.Errorf("got connections to %q and requests %q, want none", p.dialled, p.received)
		}
		return
	}
	if want := []string{"tcp " + p.upstream}; !slices.Equal(p.dialled, want) {
		t.Errorf("got connections to %q, want %q", p.dialled, want)
	}
	if len(p.received) != 1 {
		t.Fatalf("upstream received %q", p.received)
	}
	got := p.received[0]
	if got.Target() != p.in(target) {
		t.Errorf("got request %q at the upstream, want target %q", got.Line, p.in(target))
	}
	if hosts := got.Values("Host"); !slices.Equal(hosts, []string{p.upstream}) {
		t.Errorf("got Host %q at the upstream", hosts)
	}
}
