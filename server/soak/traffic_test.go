package soak_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Reasons of expected failures.
const (
	ok          = "ok"
	cutShort    = "cut short by the upstream"
	noAnswer    = "no answer of the upstream"
	upstreamBad = "the upstream's error"
	left        = "the caller left"
	notAllowed  = "not allowed"
	unknownKey  = "unknown key"
	overLimit   = "over the limit"
)

// traffic is a kind of traffic. Run makes one request and returns the outcome, with an
// error if it is unexpected.
type traffic struct {
	kind   string
	weight int
	client string
	run    func(c *caller) (string, error)
}

// caller makes requests to one instance.
type caller struct {
	ctx    context.Context
	at     *connections
	client string
	token  string
	random *rand.Rand
	heard  func(string)  // receives error messages
	name   func() string // returns a name for a request that may not arrive
}

// connections are the clients of one instance.
type connections struct {
	front *servertest.Front
	http  *http.Client
	rpcs  []chatv1connect.ChatServiceClient
	grpc  *grpc.ClientConn
}

func connectTo(t *testing.T, front *servertest.Front) *connections {
	t.Helper()
	c := &connections{front: front, http: servertest.HTTPClient(t, false), grpc: front.GRPC(t)}
	for _, protocol := range servertest.Protocols() {
		c.rpcs = append(c.rpcs, front.Client(t, protocol))
	}
	return c
}

const chatBody = `{"model": "sandbox", "messages": [{"role": "user", "content": "Tell me a story."}]}`

// kinds returns all kinds of traffic.
func kinds() []traffic {
	return []traffic{
		{"raw answer", 20, "alice", func(c *caller) (string, error) { return c.raw(nil) }},
		{"raw stream", 10, "alice", func(c *caller) (string, error) { return c.rawStream("") }},
		{"raw stream that is cut", 3, "alice", func(c *caller) (string, error) { return c.rawStream("cut") }},
		{"raw stream that is aborted", 3, "alice", func(c *caller) (string, error) { return c.rawStream("abort") }},
		{"raw error", 3, "alice", func(c *caller) (string, error) { return c.raw(fault("status", "500")) }},
		{"raw without an answer", 3, "alice", func(c *caller) (string, error) { return c.raw(fault("fault", "close")) }},
		{"raw, client disconnects", 4, "alice", func(c *caller) (string, error) { return c.rawLeave() }},
		{"raw, client times out", 2, "alice", func(c *caller) (string, error) { return c.rawHang() }},
		{"upload", 3, "alice", func(c *caller) (string, error) { return c.upload() }},
		{"websocket", 3, "alice", func(c *caller) (string, error) { return c.webSocket() }},
		{"typed answer", 20, "bob", func(c *caller) (string, error) { return c.typed(nil) }},
		{"typed stream", 10, "bob", func(c *caller) (string, error) { return c.typedStream("") }},
		{"typed stream that is cut", 3, "bob", func(c *caller) (string, error) { return c.typedStream("cut") }},
		{"typed error", 3, "bob", func(c *caller) (string, error) { return c.typed(fault("status", "500")) }},
		{"typed without an answer", 3, "bob", func(c *caller) (string, error) { return c.typed(fault("fault", "close")) }},
		{"typed, client disconnects", 4, "bob", func(c *caller) (string, error) { return c.typedLeave() }},
		{"grpc-go stream", 8, "bob", func(c *caller) (string, error) { return c.grpcStream() }},
		{"raw over the limit", 6, "carol", func(c *caller) (string, error) { return c.raw(nil) }},
		{"typed over the limit", 6, "carol", func(c *caller) (string, error) { return c.typed(nil) }},
		{"forbidden model", 2, "dave", func(c *caller) (string, error) { return c.raw(nil) }},
		{"key that is revoked and restored", 3, "erin", func(c *caller) (string, error) { return c.raw(nil) }},
		{"unknown key", 2, "", func(c *caller) (string, error) { return c.raw(nil) }},
	}
}

// fault returns a header that makes the upstream fail.
func fault(control, value string) http.Header {
	return http.Header{"X-Sandbox-" + strings.ToUpper(control[:1]) + control[1:]: {value}}
}

// post sends a raw POST request.
func (c *caller) post(ctx context.Context, path string, body io.Reader, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.at.front.URL+path, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(request.Header, header)
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set(clientField, c.client)
	if request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return c.at.http.Do(request)
}

// raw makes a request with a unary response.
func (c *caller) raw(header http.Header) (string, error) {
	response, err := c.post(c.ctx, "/v1/chat/completions", strings.NewReader(chatBody), header)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	return c.judge(response, string(text), header)
}

// judge classifies a response. The header is the one that requested a fault.
func (c *caller) judge(response *http.Response, text string, header http.Header) (string, error) {
	if response.StatusCode >= http.StatusBadRequest {
		c.heard(fmt.Sprint(response.Header, text))
		if !strings.Contains(text, `"error"`) {
			return "", fmt.Errorf("%s without an error in OpenAI's form: %s", response.Status, text)
		}
	}
	asked := header.Get("X-Sandbox-Status") + header.Get("X-Sandbox-Fault")
	switch status := response.StatusCode; {
	case status == http.StatusOK && asked == "" && strings.Contains(text, `"usage"`):
		return ok, nil
	case status == http.StatusInternalServerError && asked == "500":
		return upstreamBad, nil
	case status == http.StatusBadGateway && asked == "close":
		return noAnswer, nil
	case status == http.StatusTooManyRequests && c.client == "carol":
		if response.Header.Get("Retry-After") == "" || response.Header.Get("X-Ratelimit-Limit-Requests") == "" {
			return "", fmt.Errorf("rejection without a retry delay: %v", response.Header)
		}
		return overLimit, nil
	case status == http.StatusUnauthorized && (c.client == "" || c.client == "erin"):
		return unknownKey, nil
	case status == http.StatusForbidden && c.client == "dave":
		return notAllowed, nil
	}
	return "", fmt.Errorf("%s: %s", response.Status, text)
}

func streamHeader(fault string) http.Header {
	header := http.Header{"X-Sandbox-Tokens": {"30"}, "X-Sandbox-Chunk-Delay": {"2ms"}}
	if fault != "" {
		header.Set("X-Sandbox-Fault", fault)
		header.Set("X-Sandbox-After", "5")
	}
	return header
}

const streamBody = `{"model": "sandbox", "stream": true, "messages": [{"role": "user", "content": "Tell me a story."}]}`

// rawStream reads a stream to its end. A truncated stream must not look complete.
func (c *caller) rawStream(fault string) (string, error) {
	response, err := c.post(c.ctx, "/v1/chat/completions", strings.NewReader(streamBody), streamHeader(fault))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	done := bytes.HasSuffix(bytes.TrimSpace(text), []byte("data: [DONE]"))
	switch {
	case fault == "" && err == nil && done && response.StatusCode == http.StatusOK:
		return ok, nil
	case fault != "" && errors.Is(err, io.ErrUnexpectedEOF) && !done:
		return cutShort, nil
	}
	return "", fmt.Errorf("got status %s, end %w, [DONE] %t: %.300s", response.Status, err, done, text)
}

// rawLeave disconnects within a stream.
func (c *caller) rawLeave() (string, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	response, err := c.post(ctx, "/v1/chat/completions", strings.NewReader(streamBody), streamHeader("stall"))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "data: ") {
		return "", fmt.Errorf("%s: %q, %w", response.Status, line, err)
	}
	return left, nil
}

// rawHang disconnects before the response. On a busy machine the server may not have
// received the request yet, so the request has a name that the log shows.
func (c *caller) rawHang() (string, error) {
	ctx, cancel := context.WithTimeout(c.ctx, 200*time.Millisecond)
	defer cancel()
	header := fault("fault", "hang")
	header.Set("X-Client-Request-Id", c.name())
	response, err := c.post(ctx, "/v1/chat/completions", strings.NewReader(chatBody), header)
	if err == nil {
		defer response.Body.Close()
		return "", fmt.Errorf("got status %s, want no response", response.Status)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return "", err
	}
	return left, nil
}

// upload sends a form and checks the digest in the response.
func (c *caller) upload() (string, error) {
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	part, err := writer.CreateFormFile("file", "story.bin")
	if err != nil {
		return "", err
	}
	content := make([]byte, 1+c.random.IntN(2<<20))
	for i := range content {
		content[i] = byte(i)
	}
	if _, err := part.Write(content); err != nil {
		return "", err
	}
	if err := writer.Close(); err != nil {
		return "", err
	}
	digest := sha256.Sum256(form.Bytes())
	var body io.Reader = &form
	if c.random.IntN(2) == 0 {
		body = struct{ io.Reader }{&form} // of unknown length
	}
	response, err := c.post(c.ctx, "/v1/files", body, http.Header{"Content-Type": {writer.FormDataContentType()}})
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(text), hex.EncodeToString(digest[:])) {
		return "", fmt.Errorf("%s: %s, %w", response.Status, text, err)
	}
	return ok, nil
}

// webSocket sends messages and checks their echoes.
func (c *caller) webSocket() (string, error) {
	conn, response, err := websocket.Dial(c.ctx, "ws://"+c.at.front.Address+"/v1/realtime?model=sandbox", &websocket.DialOptions{
		HTTPClient: c.at.http,
		HTTPHeader: http.Header{"Authorization": {"Bearer " + c.token}, clientField: {c.client}},
	})
	if err != nil {
		return "", fmt.Errorf("%v: %w", response, err)
	}
	defer conn.CloseNow()
	for i := range 1 + c.random.IntN(20) {
		said := fmt.Sprintf(`{"type": "conversation.item.create", "event_id": "%d"}`, i)
		if err := conn.Write(c.ctx, websocket.MessageText, []byte(said)); err != nil {
			return "", err
		}
		if _, heard, err := conn.Read(c.ctx); err != nil || string(heard) != said {
			return "", fmt.Errorf("got echo %[2]q of %[1]q: %[3]w", said, heard, err)
		}
	}
	return ok, conn.Close(websocket.StatusNormalClosure, "")
}

// rpc returns a client for some protocol, and the context of a call.
func (c *caller) rpc(ctx context.Context, header http.Header) (chatv1connect.ChatServiceClient, context.Context) {
	ctx, info := connect.NewClientContext(ctx)
	for name, values := range header {
		info.RequestHeader().SetValues(name, values)
	}
	info.RequestHeader().Set("Authorization", "Bearer "+c.token)
	info.RequestHeader().Set(clientField, c.client)
	return c.at.rpcs[c.random.IntN(len(c.at.rpcs))], ctx
}

func message() *chatv1.CreateChatCompletionRequest {
	return &chatv1.CreateChatCompletionRequest{
		Model:    "sandbox",
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Tell me a story.")}},
	}
}

// typed makes a unary call.
func (c *caller) typed(header http.Header) (string, error) {
	client, ctx := c.rpc(c.ctx, header)
	answer, err := client.CreateChatCompletion(ctx, message())
	if err == nil && header == nil && answer.GetUsage() != nil {
		return ok, nil
	}
	return c.judgeRPC(err, header)
}

// judgeRPC classifies the error of a call.
func (c *caller) judgeRPC(err error, header http.Header) (string, error) {
	if err == nil {
		return "", errors.New("call succeeded, want an error")
	}
	if failure, ok := errors.AsType[*connect.Error](err); ok {
		c.heard(fmt.Sprint(failure.Message(), failure.Details()))
	}
	asked := header.Get("X-Sandbox-Status") + header.Get("X-Sandbox-Fault")
	switch code := connect.CodeOf(err); {
	case code == connect.CodeInternal && asked == "500":
		return upstreamBad, nil
	case code == connect.CodeUnavailable && asked == "close":
		return noAnswer, nil
	case code == connect.CodeUnavailable && asked == "cut":
		return cutShort, nil
	case code == connect.CodeResourceExhausted && c.client == "carol":
		return overLimit, nil
	}
	return "", fmt.Errorf("with fault %q: %w", asked, err)
}

// typedStream reads a stream to its end.
func (c *caller) typedStream(fault string) (string, error) {
	header := streamHeader(fault)
	client, ctx := c.rpc(c.ctx, header)
	stream, err := client.StreamChatCompletion(ctx, message())
	if err != nil {
		return c.judgeRPC(err, header)
	}
	defer stream.Close()
	received := 0
	for {
		_, err := stream.Receive()
		switch {
		case errors.Is(err, io.EOF) && fault == "" && received > 30:
			return ok, nil
		case err != nil:
			return c.judgeRPC(err, header)
		}
		received++
	}
}

// typedLeave disconnects within a stream.
func (c *caller) typedLeave() (string, error) {
	leaving, leave := context.WithCancel(c.ctx)
	defer leave()
	client, ctx := c.rpc(leaving, streamHeader("stall"))
	stream, err := client.StreamChatCompletion(ctx, message())
	if err != nil {
		return "", err
	}
	defer stream.Close()
	if _, err := stream.Receive(); err != nil {
		return "", err
	}
	leave()
	for {
		if _, err := stream.Receive(); connect.CodeOf(err) == connect.CodeCanceled {
			return left, nil
		} else if err != nil {
			return "", err
		}
	}
}

// grpcStream reads a stream with grpc-go.
func (c *caller) grpcStream() (string, error) {
	ctx := metadata.AppendToOutgoingContext(c.ctx,
		"authorization", "Bearer "+c.token, strings.ToLower(clientField), c.client,
		"x-sandbox-tokens", "30", "x-sandbox-chunk-delay", "2ms")
	stream, err := c.at.grpc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/openaiconnect.chat.v1.ChatService/StreamChatCompletion")
	if err != nil {
		return "", err
	}
	if err := errors.Join(stream.SendMsg(message()), stream.CloseSend()); err != nil {
		return "", err
	}
	for received := 0; ; received++ {
		err := stream.RecvMsg(new(chatv1.ChatCompletionChunk))
		switch {
		case errors.Is(err, io.EOF) && received > 30:
			return ok, nil
		case err != nil:
			return "", fmt.Errorf("after %d messages: %w (%v)", received, err, status.Code(err) == codes.Unavailable)
		}
	}
}

// generator keeps callers busy until it is paused.
type generator struct {
	ledger      *ledger
	instances   []*connections
	tokens      map[string]string // by client
	heard       func(string)
	concurrency int
}

// run makes requests until ctx is done, and returns when all of them have ended.
func (g *generator) run(ctx context.Context, seed uint64) {
	all := kinds()
	var lots []traffic
	for _, kind := range all {
		for range kind.weight {
			lots = append(lots, kind)
		}
	}
	var callers sync.WaitGroup
	for n := range g.concurrency {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(n)))
			for ctx.Err() == nil {
				g.one(lots[random.IntN(len(lots))], random)
			}
		})
	}
	callers.Wait()
}

// one makes one request. It outlives the end of the test's context.
func (g *generator) one(kind traffic, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	g.ledger.begin()
	reason, err := kind.run(&caller{
		ctx: ctx, at: g.instances[random.IntN(len(g.instances))],
		client: kind.client, token: g.tokens[kind.client], random: random, heard: g.heard, name: g.ledger.name,
	})
	g.ledger.end(kind.kind, reason, err)
}
