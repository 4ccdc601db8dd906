package transcode

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// A request of megabytes is held twice, as the message and as the REST body. Neither needs
// more memory temporarily.
func TestMemory_LargeRequestIsNotCopied(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	const size = 5 << 20
	wire, err := proto.Marshal(&chatv1.CreateChatCompletionRequest{Model: "m", Messages: []*chatv1.Message{{
		Role: chatv1.Role_ROLE_USER,
		ContentParts: []*chatv1.ContentPart{{Part: &chatv1.ContentPart_InputAudio{InputAudio: &chatv1.InputAudio{
			Data: make([]byte, size), Format: chatv1.InputAudioFormat_INPUT_AUDIO_FORMAT_WAV,
		}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	op := &chatv1.ChatServiceREST()[0]
	request := op.NewRequest()
	allocated := allocatedBy(func() { err = Codecs()[0].UnmarshalRead(t.Context(), bytes.NewBuffer(wire), request) })
	if err != nil || allocated > size+size/8 {
		t.Errorf("reading %d bytes of audio took %d bytes, %v", size, allocated, err)
	}
	allocated = allocatedBy(func() { _, err = newRequest(&operation{Operation: op}, request, len(wire)) })
	if base64 := uint64(size * 4 / 3); err != nil || allocated > base64+base64/8 {
		t.Errorf("writing %d bytes of base64 took %d bytes, %v", base64, allocated, err)
	}
}

// allocatedBy returns the number of allocated bytes.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A stream may last for minutes, and its request may contain an image.
func TestMemory_StreamDoesNotRetainItsRequest(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
		if _, err := conn.ReadRequest(); err != nil {
			return
		}
		conn.Send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n")
		conn.SendChunk("data: {}\n\n")
		<-ended
	})
	defer close(ended)
	up, err := upstream.New(upstream.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.CloseIdleConnections)
	operations := chatv1.ChatServiceREST()
	op := &operations[slices.IndexFunc(operations, func(op restjson.Operation) bool { return op.Stream != nil })]
	requests := make(chan weak.Pointer[chatv1.CreateChatCompletionRequest], 1)
	op.NewRequest = func() proto.Message {
		request := new(chatv1.CreateChatCompletionRequest)
		requests <- weak.Make(request)
		return request
	}
	rpc := connect.NewServer()
	if err := Register(rpc, Config{Upstream: up}, operations); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	connecthttp.Mount(mux, rpc, connecthttp.WithCodecs(Codecs()...))
	server := httptest.NewServer(Bounds{}.Wrap(mux))
	defer server.Close()

	message, err := proto.Marshal(&chatv1.CreateChatCompletionRequest{Model: "m", Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER}}})
	if err != nil {
		t.Fatal(err)
	}
	call, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		server.URL+chatv1connect.ChatServiceStreamChatCompletionProcedure, bytes.NewReader(append([]byte{0, 0, 0, 0, byte(len(message))}, message...)))
	if err != nil {
		t.Fatal(err)
	}
	call.Header.Set("Content-Type", "application/connect+proto")
	response, err := server.Client().Do(call)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	envelope := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, envelope); err != nil || envelope[0] != 0 {
		t.Fatalf("got %q, %v, and no message", envelope, err)
	}
	request := <-requests
	for waited := time.Now(); request.Value() != nil; runtime.GC() {
		if time.Since(waited) > patience {
			t.Fatal("while it is open the request stays in memory")
		}
	}
}
