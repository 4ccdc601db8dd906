// Package client is a client of the server for Go programs: the generated stub
// of each service over one connection pool, with the API key that every call
// needs.
package client

import (
	"context"
	"net/http"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/gen/openai/chat/v1/chatv1connect"
)

// maxMessageBytes bounds a message that is received. It is the server's own
// limit, where Connect's is 4 MiB: less than a reply with audio may have.
const maxMessageBytes = 64 << 20

// Client is a client of one server. It is safe for concurrent use.
type Client struct {
	// Chat is the generated stub of openai.chat.v1.ChatService.
	Chat chatv1connect.ChatServiceClient
}

// Protocol is an RPC protocol.
type Protocol int

// The protocols that the server speaks.
const (
	// Connect works everywhere, over HTTP/1.1 and HTTP/2.
	Connect Protocol = iota
	// GRPC needs HTTP/2 all the way to the server.
	GRPC
	// GRPCWeb is gRPC over HTTP/1.1 and HTTP/2.
	GRPCWeb
)

// Option changes what [New] makes.
type Option func(*options)

type options struct {
	key        string
	protocol   Protocol
	httpClient *http.Client
}

// WithAPIKey sends a key with every call, as `authorization: Bearer …`, unless
// the call has an authorization of its own. It is not read from the
// environment.
func WithAPIKey(key string) Option { return func(o *options) { o.key = key } }

// WithProtocol chooses the protocol. The default is [Connect].
func WithProtocol(protocol Protocol) Option { return func(o *options) { o.protocol = protocol } }

// WithHTTPClient sends requests by an HTTP client of your own. With [GRPC], it
// has to speak HTTP/2. The default has a connection pool of its own and no
// time-out: a call's context bounds it.
func WithHTTPClient(client *http.Client) Option { return func(o *options) { o.httpClient = client } }

// New returns a client of the server at baseURL, such as
// http://127.0.0.1:8080. It does not connect yet.
func New(baseURL string, opts ...Option) *Client {
	var o options
	for _, option := range opts {
		option(&o)
	}
	if o.httpClient == nil {
		o.httpClient = newHTTPClient(o.protocol)
	}
	transport := connecthttp.NewTransport(o.httpClient, strings.TrimRight(baseURL, "/"),
		append(o.protocol.options(), connecthttp.WithReadMaxBytes(maxMessageBytes))...)
	return &Client{
		Chat: chatv1connect.NewChatServiceClient(connect.NewClient(transport, o.authorize)),
	}
}

// newHTTPClient returns a client that speaks HTTP/2 without TLS too if the
// protocol can't do without.
func newHTTPClient(protocol Protocol) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol != GRPC)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(protocol == GRPC)
	return &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		Protocols:           protocols,
		MaxIdleConnsPerHost: 64, // net/http keeps 2, and connects anew for the rest
	}}
}

func (p Protocol) options() []connecthttp.Option {
	switch p {
	case GRPC:
		return []connecthttp.Option{connecthttp.WithGRPC()}
	case GRPCWeb:
		return []connecthttp.Option{connecthttp.WithGRPCWeb()}
	case Connect:
	}
	return nil
}

// authorize is an interceptor that sends the key.
func (o *options) authorize(next connect.ClientFunc) connect.ClientFunc {
	return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
		info, ok := connect.CallInfoForClientContext(ctx)
		if ok && o.key != "" && !info.RequestHeader().Has("Authorization") {
			info.RequestHeader().Set("Authorization", "Bearer "+o.key)
		}
		return next(ctx, spec)
	}
}
