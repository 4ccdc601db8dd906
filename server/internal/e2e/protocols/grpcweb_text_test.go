package protocols_test

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/overload"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// textFrames decodes the frames of a response in gRPC-Web's text mode as the grpc-web
// library does: groups of four characters at a time, with padding anywhere.
type textFrames struct {
	body  io.Reader
	plain []byte
}

// next returns the flags and the content of the next frame.
func (f *textFrames) next() (flags byte, content []byte, err error) {
	for len(f.plain) < 5 || len(f.plain) < 5+int(binary.BigEndian.Uint32(f.plain[1:])) {
		group := make([]byte, 4)
		if _, err := io.ReadFull(f.body, group); err != nil {
			if errors.Is(err, io.EOF) && len(f.plain) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
		decoded, err := base64.StdEncoding.DecodeString(string(group))
		if err != nil {
			return 0, nil, err
		}
		f.plain = append(f.plain, decoded...)
	}
	end := 5 + binary.BigEndian.Uint32(f.plain[1:])
	flags, content = f.plain[0], f.plain[5:end]
	f.plain = f.plain[end:]
	return flags, content, nil
}

const trailerFrame = 0x80

// callText makes a call in gRPC-Web's text mode.
func callText(t *testing.T, client *http.Client, front *servertest.Front, method, script, key string, header ...string) *http.Response {
	t.Helper()
	message, err := proto.Marshal(e2etest.Hello())
	if err != nil {
		t.Fatal(err)
	}
	body := base64.StdEncoding.EncodeToString(e2etest.Envelope(0, message))
	request, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodPost, front.URL+"/"+chatv1connect.ChatServiceName+"/"+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc-web-text")
	request.Header.Set("Accept", "application/grpc-web-text")
	request.Header.Set("X-Grpc-Web", "1")
	request.Header.Set(e2etest.ScriptHeader, script)
	request.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

var textClients = map[string]func(t *testing.T) *http.Client{
	"HTTP/1.1": func(t *testing.T) *http.Client { t.Helper(); return servertest.HTTPClient(t, false) },
	"HTTP/2":   func(t *testing.T) *http.Client { t.Helper(); return servertest.HTTPClient(t, true) },
	"HTTP/1.0": func(t *testing.T) *http.Client { t.Helper(); return servertest.HTTP10Client() },
}

// Each event of a stream reaches a client in text mode before the upstream sends the
// next one. The trailers end the stream.
func TestGRPCWebText_StreamsEventByEvent(t *testing.T) {
	t.Parallel()
	for name, open := range textClients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goOn := make(chan struct{})
			front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{"slow": func(conn *upstreamtest.Conn) {
				e2etest.BeginStream(conn, "X-Request-Id: req_1")
				for i := range 10 {
					conn.SendChunk(e2etest.Chunk(0, strings.Repeat("x", i+1)))
					<-goOn
				}
				conn.SendChunk(e2etest.Finish(0, "stop") + e2etest.DoneEvent)
				e2etest.EndStream(conn)
			}})})
			response := callText(t, open(t), front, e2etest.StreamMethod, "slow", servertest.Key, "Origin", "https://app.example.com")
			if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/grpc-web-text+proto" &&
				response.Header.Get("Content-Type") != "application/grpc-web-text" || response.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Fatalf("got status %s and header %v", response.Status, response.Header)
			}
			frames := &textFrames{body: response.Body}
			for i := range 10 {
				flags, content, err := frames.next()
				message := new(chatv1.ChatCompletionChunk)
				if err != nil || flags != 0 || proto.Unmarshal(content, message) != nil || e2etest.ChunkText(message) != strings.Repeat("x", i+1) {
					t.Fatalf("frame %d: got flags %d, content %q, error %v", i, flags, content, err)
				}
				goOn <- struct{}{}
			}
			if flags, _, err := frames.next(); flags != 0 || err != nil {
				t.Errorf("last event: got flags %d and error %v", flags, err)
			}
			if flags, content, err := frames.next(); flags != trailerFrame || !strings.Contains(string(content), "grpc-status: 0\r\n") || err != nil {
				t.Errorf("trailers: got flags %d, content %q, error %v", flags, content, err)
			}
			if _, _, err := frames.next(); !errors.Is(err, io.EOF) || len(frames.plain) > 0 {
				t.Errorf("after the trailers: got %q and error %v", frames.plain, err)
			}
		})
	}
}

// Unary responses, errors of all kinds, and truncated streams use the text mode too.
func TestGRPCWebText_EncodesEveryResponse(t *testing.T) {
	t.Parallel()
	scripts := e2etest.ServeScripts(t, map[string]e2etest.Script{
		"a reply":         e2etest.Reply(200, e2etest.Completion("hi"), e2etest.JSONType),
		"an error":        e2etest.Reply(429, `{"error":{"message":"slow down","type":"tokens","code":"rate_limit_exceeded"}}`, e2etest.JSONType),
		"a broken stream": e2etest.TruncatedStream(e2etest.Chunk(0, "a")),
		"nothing":         func(conn *upstreamtest.Conn) { conn.Close() },
	})
	token := "token-token-token-token"
	open := e2etest.StartServer(t, server.Config{Upstream: scripts})
	guarded := e2etest.StartServer(t, server.Config{Upstream: scripts, UpstreamKey: e2etest.Secret(t, e2etest.UpstreamKey), ClientKey: e2etest.Secret(t, token)})
	for name, client := range textClients {
		full := e2etest.StartServer(t, server.Config{Upstream: scripts, Overload: &overload.Config{MaxCalls: 1}})
		for _, row := range []struct {
			script, method string
			front          *servertest.Front
			key            string
			messages       int
			status         string
			says           string
		}{
			{"a reply", e2etest.UnaryMethod, open, servertest.Key, 1, "0", ""},
			{"a reply", e2etest.UnaryMethod, guarded, token, 1, "0", ""},
			{"a reply", "Nope", open, servertest.Key, 0, "12", "no RPC"},
			{"an error", e2etest.UnaryMethod, open, servertest.Key, 0, "8", "slow down"},
			{"an error", e2etest.StreamMethod, open, servertest.Key, 0, "8", "slow down"},
			{"nothing", e2etest.UnaryMethod, open, servertest.Key, 0, "14", ""},
			{"a broken stream", e2etest.StreamMethod, open, servertest.Key, 1, "14", "after 1 event"},
			{"a reply", e2etest.UnaryMethod, guarded, "an-unknown-client-key-000", 0, "16", ""},
			{"a reply", e2etest.StreamMethod, guarded, "an-unknown-client-key-000", 0, "16", ""},
			{"a reply", e2etest.UnaryMethod, full, servertest.Key, 1, "0", ""},
		} {
			t.Run(fmt.Sprintf("%s to %s over %s, %s", row.script, row.method, name, row.status), func(t *testing.T) {
				t.Parallel()
				response := callText(t, client(t), row.front, row.method, row.script, row.key)
				if media := response.Header.Get("Content-Type"); !strings.HasPrefix(media, "application/grpc-web-text") {
					t.Errorf("got Content-Type %q", media)
				}
				var messages int
				frames := &textFrames{body: response.Body}
				status, says := response.Header.Get("Grpc-Status"), response.Header.Get("Grpc-Message")
				for {
					flags, content, err := frames.next()
					if err != nil {
						if !errors.Is(err, io.EOF) {
							t.Errorf("got end of response %v", err)
						}
						break
					}
					if flags == 0 {
						messages++
						continue
					}
					for line := range strings.SplitSeq(string(content), "\r\n") {
						switch name, value, _ := strings.Cut(line, ":"); strings.ToLower(name) {
						case "grpc-status":
							status = strings.TrimSpace(value)
						case "grpc-message":
							says = strings.TrimSpace(value)
						}
					}
				}
				if messages != row.messages || status != row.status || !strings.Contains(strings.ReplaceAll(says, "%20", " "), row.says) {
					t.Errorf("got %d messages, status %q, and message %q", messages, status, says)
				}
			})
		}
	}
}

// The error of an overloaded server and the error for an undecodable request use the
// text mode too.
func TestGRPCWebText_EncodesRejections(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	front := e2etest.StartServer(t, server.Config{Overload: &overload.Config{MaxCalls: 1}, Upstream: e2etest.ServeScripts(t, map[string]e2etest.Script{
		"held": func(conn *upstreamtest.Conn) {
			arrived <- struct{}{}
			<-release
			e2etest.Stream(e2etest.Finish(0, "stop"), e2etest.DoneEvent)(conn)
		},
	})})
	client := servertest.HTTPClient(t, false)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		response := callText(t, client, front, e2etest.StreamMethod, "held", servertest.Key)
		_, _ = io.Copy(io.Discard, response.Body)
	}()
	e2etest.Receive(t, arrived, "the first call")
	response := callText(t, client, front, e2etest.StreamMethod, "held", servertest.Key)
	flags, content, err := (&textFrames{body: response.Body}).next()
	if response.Header.Get("Grpc-Status") != "14" && (err != nil || flags != trailerFrame || !strings.Contains(string(content), "grpc-status: 14")) {
		t.Errorf("got header %v, flags %d, content %q, error %v", response.Header, flags, content, err)
	}
	if media := response.Header.Get("Content-Type"); !strings.HasPrefix(media, "application/grpc-web-text") {
		t.Errorf("got Content-Type %q", media)
	}
	close(release)
	e2etest.Receive(t, ended, "the end of the first call")

	request, err := http.NewRequestWithContext(e2etest.Context(t), http.MethodPost, front.URL+e2etest.CreateProcedure, strings.NewReader("AAAAAAA*"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc-web-text+proto")
	response, err = client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header; got.Get("Grpc-Status") != "3" || !strings.Contains(got.Get("Grpc-Message"), "base64") ||
		got.Get("Content-Type") != "application/grpc-web-text+proto" {
		t.Errorf("got header %v for invalid base64", got)
	}
}
