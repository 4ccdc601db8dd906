package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

// Concurrent calls over HTTP/2 share connections.
const (
	callsPerConnection = 100
	fewConnections     = 4
)

// newTyped returns a client of the typed API that uses the generated stub.
func newTyped(protocol Protocol, address string, calls int) (*Client, error) {
	clientProtocol, pools := client.Connect, 1
	switch protocol {
	case GRPC:
		clientProtocol, pools = client.GRPC, connectionCount(calls)
	case GRPCWeb:
		clientProtocol = client.GRPCWeb
	case Connect, REST, Vanguard:
	}
	read := new(atomic.Int64)
	var stubs []chatv1connect.ChatServiceClient
	var transports []*http.Transport
	for range pools {
		transport := newTransport(dialer{read}, clientProtocol == client.GRPC, calls)
		transports = append(transports, transport)
		stubs = append(stubs, client.New("http://"+address, client.WithProtocol(clientProtocol),
			client.WithHTTPClient(&http.Client{Transport: transport})).Chat.Stub())
	}
	request := &chatv1.CreateChatCompletionRequest{
		Model:    fixture.Model,
		Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: proto.String(fixture.Prompt)}},
	}
	var next atomic.Int64
	begin := func(ctx context.Context) (context.Context, *connect.CallInfo, chatv1connect.ChatServiceClient) {
		ctx, info := connect.NewClientContext(ctx)
		info.RequestHeader().Set("Authorization", key)
		return ctx, info, stubs[next.Add(1)%int64(len(stubs))]
	}
	call := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, responseTimeout)
		defer cancel()
		ctx, _, stub := begin(ctx)
		completion, err := stub.CreateChatCompletion(ctx, request)
		if err != nil {
			return err
		}
		if len(completion.GetChoices()) != 1 || completion.GetChoices()[0].GetMessage().GetContent() == "" {
			return fmt.Errorf("unexpected response: %v", completion)
		}
		return nil
	}
	return &Client{
		Call: call,
		Open: func(ctx context.Context, interval time.Duration) (Stream, error) {
			ctx, info, stub := begin(ctx)
			info.RequestHeader().Set(fixture.IntervalHeader, interval.String())
			stream, err := stub.StreamChatCompletion(ctx, request)
			if err != nil {
				return nil, err
			}
			return &typedEvents{stream: stream}, nil
		},
		Close: closeAll(transports),
		Read:  read,
	}, callEachConnection(call, pools)
}

// connectionCount returns the number of HTTP/2 connections for concurrent calls.
func connectionCount(calls int) int {
	return max((calls+callsPerConnection-1)/callsPerConnection, min(calls, fewConnections))
}

// callEachConnection makes a call on each connection, so that concurrent calls do not dial
// it twice.
func callEachConnection(call Call, connectionCount int) error {
	for range connectionCount {
		if err := call(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

func closeAll(transports []*http.Transport) func() {
	return func() {
		for _, transport := range transports {
			transport.CloseIdleConnections()
		}
	}
}

func newTransport(dialer dialer, http2 bool, calls int) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Transport{
		Protocols: protocols, MaxIdleConnsPerHost: calls, DisableCompression: true,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return dialer.dial(ctx, address) },
	}
}

// typedEvents is a typed stream.
type typedEvents struct {
	stream chatv1connect.ChatServiceStreamChatCompletionClientStream
	last   bool // the event with the finish_reason has come
}

func (e *typedEvents) Next() (fixture.Event, error) {
	chunk, err := e.stream.Receive()
	if errors.Is(err, io.EOF) && !e.last {
		return fixture.Event{}, fmt.Errorf("the stream ended without its finish_reason: %w", io.ErrUnexpectedEOF)
	} else if err != nil {
		return fixture.Event{}, err
	}
	if len(chunk.GetChoices()) != 1 {
		return fixture.Event{}, fmt.Errorf("an event of %d choices", len(chunk.GetChoices()))
	}
	choice := chunk.GetChoices()[0]
	event, err := fixture.ParseContent(choice.GetDelta().GetContent())
	event.Last = choice.GetFinishReason() != chatv1.FinishReason_FINISH_REASON_UNSPECIFIED
	e.last = e.last || event.Last
	return event, err
}

func (e *typedEvents) Close() error { return e.stream.Close() }
