package deploy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// clientKinds returns the kinds of clients in a load.
func clientKinds() []clientKind {
	return []clientKind{
		{"raw stream", 12, func(t *testing.T, l *load) func(context.Context, string) error {
			t.Helper()
			return rawStream(l.address, servertest.HTTPClient(t, false))
		}},
		{"raw stream over HTTP2", 6, func(t *testing.T, l *load) func(context.Context, string) error {
			t.Helper()
			return rawStream(l.address, servertest.HTTPClient(t, true))
		}},
		{"raw call", 6, rawCall},
		{"gRPC stream", 12, grpcStream},
		{"gRPC call", 4, grpcCall},
		{"Connect stream", 4, connectStream},
		{"Connect call", 4, connectCall},
		{"WebSocket", 4, webSocket},
	}
}

// postRaw posts a raw request. Nothing can retry it, because its body can be read only once.
func postRaw(ctx context.Context, client *http.Client, address, mark, body string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/v1/chat/completions", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return nil, err
	}
	request.ContentLength = int64(len(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(markHeader, mark)
	response, err := client.Do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		return nil, fmt.Errorf("%s: %.200s", response.Status, text)
	}
	return response, err
}

func rawStream(address string, client *http.Client) func(context.Context, string) error {
	return func(ctx context.Context, mark string) error {
		response, err := postRaw(ctx, client, address, mark, `{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}`)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		next, done := 0, false
		for lines.Scan() {
			switch line := lines.Text(); {
			case line == "data: [DONE]":
				done = true
			case line == "":
			case !done && strings.Contains(line, fmt.Sprintf(`"content":"%d "`, next)):
				next++
			default:
				return fmt.Errorf("got %q after %d chunks", line, next)
			}
		}
		switch {
		case lines.Err() != nil:
			return fmt.Errorf("after %d chunks: %w", next, lines.Err())
		case !done || next != streamLength(mark):
			return fmt.Errorf("%w: %d of %d chunks, [DONE]: %t", errSilentTruncation, next, streamLength(mark), done)
		}
		return nil
	}
}

func rawCall(t *testing.T, l *load) func(context.Context, string) error {
	t.Helper()
	client := servertest.HTTPClient(t, false)
	return func(ctx context.Context, mark string) error {
		response, err := postRaw(ctx, client, l.address, mark, `{"model":"m","messages":[{"role":"user","content":"Hi"}]}`)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && !strings.HasSuffix(string(body), "}") {
			err = fmt.Errorf("%w: %q", errSilentTruncation, body)
		}
		return err
	}
}

func grpcConnection(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func grpcStream(t *testing.T, l *load) func(context.Context, string) error {
	t.Helper()
	conn := grpcConnection(t, l.address)
	return func(ctx context.Context, mark string) error {
		stream, err := conn.NewStream(metadata.AppendToOutgoingContext(ctx, markHeader, mark), &grpc.StreamDesc{ServerStreams: true}, chatv1connect.ChatServiceStreamChatCompletionProcedure)
		if err != nil {
			return err
		}
		if err := errors.Join(stream.SendMsg(hello()), stream.CloseSend()); err != nil {
			return err
		}
		return checkChunks(mark, func() (*chatv1.ChatCompletionChunk, error) {
			chunk := new(chatv1.ChatCompletionChunk)
			return chunk, stream.RecvMsg(chunk)
		})
	}
}

func grpcCall(t *testing.T, l *load) func(context.Context, string) error {
	t.Helper()
	conn := grpcConnection(t, l.address)
	return func(ctx context.Context, mark string) error {
		completion := new(chatv1.ChatCompletion)
		if err := conn.Invoke(metadata.AppendToOutgoingContext(ctx, markHeader, mark), chatv1connect.ChatServiceCreateChatCompletionProcedure, hello(), completion); err != nil {
			return err
		}
		return checkCompletion(completion)
	}
}

// markTransport adds the mark in a request's context to its headers.
type markTransport struct{ http.RoundTripper }

type markKey struct{}

// RoundTrip implements [http.RoundTripper].
func (m markTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set(markHeader, request.Context().Value(markKey{}).(string))
	return m.RoundTripper.RoundTrip(request)
}

// CloseIdleConnections implements [http.Client.CloseIdleConnections].
func (m markTransport) CloseIdleConnections() {
	m.RoundTripper.(*http.Transport).CloseIdleConnections()
}

func connectClient(t *testing.T, address string) chatv1connect.ChatServiceClient {
	t.Helper()
	client := servertest.HTTPClient(t, false)
	client.Transport = markTransport{client.Transport}
	return chatv1connect.NewChatServiceClient(connect.NewClient(connecthttp.NewTransport(client, "http://"+address)))
}

func connectStream(t *testing.T, l *load) func(context.Context, string) error {
	t.Helper()
	client := connectClient(t, l.address)
	return func(ctx context.Context, mark string) error {
		stream, err := client.StreamChatCompletion(context.WithValue(ctx, markKey{}, mark), hello())
		if err != nil {
			return err
		}
		defer func() { _ = stream.Close() }()
		return checkChunks(mark, stream.Receive)
	}
}

func connectCall(t *testing.T, l *load) func(context.Context, string) error {
	t.Helper()
	client := connectClient(t, l.address)
	return func(ctx context.Context, mark string) error {
		completion, err := client.CreateChatCompletion(context.WithValue(ctx, markKey{}, mark), hello())
		if err != nil {
			return err
		}
		return checkCompletion(completion)
	}
}

func hello() *chatv1.CreateChatCompletionRequest {
	text := "Hi"
	return &chatv1.CreateChatCompletionRequest{Model: "m", Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: &text}}}
}

// checkChunks reads a typed stream and checks that it is complete.
func checkChunks(mark string, receive func() (*chatv1.ChatCompletionChunk, error)) error {
	for next := 0; ; next++ {
		chunk, err := receive()
		if errors.Is(err, io.EOF) {
			if next != streamLength(mark) {
				return fmt.Errorf("%w: %d of %d chunks", errSilentTruncation, next, streamLength(mark))
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d chunks: %w", next, err)
		}
		if got := chunk.GetChoices()[0].GetDelta().GetContent(); got != fmt.Sprintf("%d ", next) {
			return fmt.Errorf("got %q after %d chunks", got, next)
		}
	}
}

func checkCompletion(completion *chatv1.ChatCompletion) error {
	if got := completion.GetChoices()[0].GetMessage().GetContent(); got != "Hello!" {
		return fmt.Errorf("got content %q, want Hello! from the upstream", got)
	}
	return nil
}

// webSocket exchanges messages until the server closes the connection or the load ends.
func webSocket(t *testing.T, l *load) func(context.Context, string) error {
	t.Helper()
	client := servertest.HTTPClient(t, false)
	return func(ctx context.Context, mark string) error {
		conn, _, err := websocket.Dial(ctx, "ws://"+l.address+"/v1/realtime", &websocket.DialOptions{
			HTTPClient: client, HTTPHeader: http.Header{markHeader: {mark}},
		})
		if err != nil {
			return err
		}
		defer func() { _ = conn.CloseNow() }()
		pause := time.NewTicker(50 * time.Millisecond)
		defer pause.Stop()
		for n := 0; ; n++ {
			sent := fmt.Sprintf("%s, message %d", mark, n)
			_ = conn.Write(ctx, websocket.MessageText, []byte(sent)) // Read reports the failure
			_, got, err := conn.Read(ctx)
			switch {
			case websocket.CloseStatus(err) == websocket.StatusGoingAway:
				return errGoingAway
			case err != nil:
				return fmt.Errorf("after %d messages: %w", n, err)
			case string(got) != sent:
				return fmt.Errorf("got message %q, want %q", got, sent)
			}
			select {
			case <-l.ending:
				return conn.Close(websocket.StatusNormalClosure, "")
			case <-pause.C:
			}
		}
	}
}
