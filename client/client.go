// Package client is the Go client of an openai-connect server.
//
// [New] returns a client. Its methods retry transient failures, return an
// [*Error] on failure, and return streams and lists as iterators. Requests and
// responses are the generated messages of package chatv1. [User], [Image] and
// similar functions build the messages of a conversation, [NewTool] turns a Go
// function into a tool, and [CreateAs] decodes a response into a Go type.
//
// Set optional fields with the builtin new: `Temperature: new(0.2)`.
package client

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
)

// maxMessageBytes is the maximum size of a received message, and the server's
// default limit. Connect's default of 4 MiB is too small for audio.
const maxMessageBytes = 64 << 20

// Client calls one server. It is safe for concurrent use.
type Client struct {
	// Chat calls openaiconnect.chat.v1.ChatService.
	Chat *ChatService
}

// Protocol is an RPC protocol.
type Protocol int

// The protocols of the server.
const (
	// Connect works everywhere, over HTTP/1.1 and HTTP/2.
	Connect Protocol = iota
	// GRPC requires HTTP/2 on every hop to the server.
	GRPC
	// GRPCWeb is gRPC over HTTP/1.1 and HTTP/2.
	GRPCWeb
)

// Option configures a [Client].
type Option func(*options)

type options struct {
	headers    http.Header
	protocol   Protocol
	httpClient *http.Client
	maxRetries int
	maxRounds  int
}

// WithAPIKey sends an API key with every call, as `Authorization: Bearer KEY`.
// A call's own Authorization header takes precedence. The key is never read from
// the environment.
func WithAPIKey(key string) Option {
	return func(o *options) {
		o.headers.Del("Authorization")
		if key != "" {
			o.headers.Set("Authorization", "Bearer "+key)
		}
	}
}

// WithHeader sends a header field with every call, such as OpenAI-Organization.
// Repeating the option with one name adds values. A field that the call sets
// itself, with [connect.NewClientContext], takes precedence.
func WithHeader(name, value string) Option {
	return func(o *options) { o.headers.Add(name, value) }
}

// WithProtocol selects the protocol. The default is [Connect].
func WithProtocol(protocol Protocol) Option { return func(o *options) { o.protocol = protocol } }

// WithHTTPClient sends requests with the given HTTP client, which must support
// HTTP/2 for [GRPC]. The default client has a separate connection pool and no
// timeout: use the context of a call to bound it.
//
// Redirects are followed only within the server's origin (scheme, host and
// port), regardless of the client's CheckRedirect. A redirect to another origin
// is an error. The given client is not modified.
func WithHTTPClient(client *http.Client) Option { return func(o *options) { o.httpClient = client } }

// WithMaxRetries sets the maximum number of retries of a failed call. The default
// is 2, as in OpenAI's SDKs; 0 disables retries.
//
// A call is retried if the server or its upstream could not be reached, and after
// the HTTP statuses 408, 409, 429 and 5xx, unless the upstream's X-Should-Retry
// header decides otherwise. The delay is the upstream's Retry-After, up to 2
// minutes. Without one it starts at half a second and doubles up to 8 seconds,
// minus a random part of up to a quarter. A stream is not retried after its first
// message, and no call is retried if the delay would exceed its deadline. All
// attempts of a POST carry the same Idempotency-Key.
func WithMaxRetries(retries int) Option {
	return func(o *options) { o.maxRetries = max(retries, 0) }
}

// WithMaxToolRounds sets the maximum number of requests that
// [ChatService.RunTools] sends to the model. The default is 10.
func WithMaxToolRounds(rounds int) Option {
	return func(o *options) { o.maxRounds = max(rounds, 1) }
}

// Defaults of [New].
const (
	defaultMaxRetries    = 2
	defaultMaxToolRounds = 10
)

// New returns a client of the server at baseURL, such as http://127.0.0.1:8080.
// It opens no connection.
func New(baseURL string, opts ...Option) *Client {
	o := options{headers: make(http.Header), maxRetries: defaultMaxRetries, maxRounds: defaultMaxToolRounds}
	for _, option := range opts {
		option(&o)
	}
	if o.httpClient == nil {
		o.httpClient = newHTTPClient(o.protocol)
	}
	transport := connecthttp.NewTransport(sameOriginClient{o.httpClient}, strings.TrimRight(baseURL, "/"),
		append(o.protocol.options(), connecthttp.WithReadMaxBytes(maxMessageBytes))...)
	return &Client{Chat: &ChatService{
		stub:       chatv1connect.NewChatServiceClient(connect.NewClient(transport, o.addHeaders)),
		maxRetries: o.maxRetries,
		maxRounds:  o.maxRounds,
	}}
}

// newHTTPClient returns the default HTTP client of a protocol. gRPC uses HTTP/2
// without TLS as well.
func newHTTPClient(protocol Protocol) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(protocol != GRPC)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(protocol == GRPC)
	return &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		Protocols:           protocols,
		MaxIdleConnsPerHost: 64, // net/http's default of 2 reconnects under parallel calls
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

// addHeaders is an interceptor that adds the client's headers to a call.
func (o *options) addHeaders(next connect.ClientFunc) connect.ClientFunc {
	return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
		info, ok := connect.CallInfoForClientContext(ctx)
		for name, values := range o.headers {
			if ok && !info.RequestHeader().Has(name) {
				info.RequestHeader().SetValues(name, slices.Clone(values))
			}
		}
		return next(ctx, spec)
	}
}
