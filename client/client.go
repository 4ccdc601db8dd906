// Package client makes calls of the server short to write in Go.
//
// [New] returns a client whose methods retry, fail with an [*Error], and give
// streams and lists as iterators. What they take and return are the generated
// messages of package chatv1; [User], [Image] and their like make those that a
// conversation needs, [NewTool] makes a tool of a Go function, and [CreateAs]
// reads an answer into a Go type.
//
// An optional field is set by new: `Temperature: new(0.2)`.
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

// maxMessageBytes bounds a message that is received. It is the server's own
// limit, where Connect's is 4 MiB: less than a reply with audio may have.
const maxMessageBytes = 64 << 20

// Client is a client of one server. It is safe for concurrent use.
type Client struct {
	// Chat makes the calls of openaiconnect.chat.v1.ChatService.
	Chat *ChatService
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
	headers    http.Header
	protocol   Protocol
	httpClient *http.Client
	maxRetries int
	maxRounds  int
}

// WithAPIKey sends a key with every call, as `authorization: Bearer …`, unless
// the call has an authorization of its own. It is not read from the
// environment.
func WithAPIKey(key string) Option {
	return func(o *options) {
		o.headers.Del("Authorization")
		if key != "" {
			o.headers.Set("Authorization", "Bearer "+key)
		}
	}
}

// WithHeader sends a header with every call, such as OpenAI-Organization, unless
// the call has one of that name itself: [connect.NewClientContext] gives a call
// headers of its own. Given again, the name has several values.
func WithHeader(name, value string) Option {
	return func(o *options) { o.headers.Add(name, value) }
}

// WithProtocol chooses the protocol. The default is [Connect].
func WithProtocol(protocol Protocol) Option { return func(o *options) { o.protocol = protocol } }

// WithHTTPClient sends requests by an HTTP client of your own. With [GRPC], it
// has to speak HTTP/2. The default has a connection pool of its own and no
// time-out: a call's context bounds it.
//
// Redirects are followed within the server's origin only, which is its scheme,
// host and port, whatever the client does. A redirect to another origin is an
// error. The client itself is not modified.
func WithHTTPClient(client *http.Client) Option { return func(o *options) { o.httpClient = client } }

// WithMaxRetries sets how often a call that failed is made again, where that can
// help; 0 is never. The default is 2, as in OpenAI's own clients.
//
// A call is made again when the server or its upstream could not be reached, and
// after the HTTP statuses 408, 409, 429 and 5xx, unless the upstream's
// x-should-retry says otherwise. It waits as long as the upstream's retry-after
// asks for, if that is at most 2 minutes, or else half a second, then twice as
// long each time up to 8 seconds, less up to a quarter at random. It is never
// made again once a stream has begun, or when the wait would outlast the
// context. The upstream sees one idempotency-key for all tries of a call that it
// gets as POST.
func WithMaxRetries(retries int) Option {
	return func(o *options) { o.maxRetries = max(retries, 0) }
}

// WithMaxToolRounds bounds how often [ChatService.RunTools] asks the model. The
// default is 10.
func WithMaxToolRounds(rounds int) Option {
	return func(o *options) { o.maxRounds = max(rounds, 1) }
}

// The defaults of [New].
const (
	defaultMaxRetries    = 2
	defaultMaxToolRounds = 10
)

// New returns a client of the server at baseURL, such as
// http://127.0.0.1:8080. It does not connect yet.
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

// addHeaders is an interceptor that sends the client's headers.
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
