package server

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/grpcreflect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server/clientaddr"
	"github.com/openai-connect/openai-connect/server/clients"
	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/health"
	"github.com/openai-connect/openai-connect/server/internal/httpserver"
	"github.com/openai-connect/openai-connect/server/internal/pipeline"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/overload"
	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/policy"
	"github.com/openai-connect/openai-connect/server/ratelimit"
	"github.com/openai-connect/openai-connect/server/secret"
	"github.com/openai-connect/openai-connect/server/telemetry"
	"github.com/openai-connect/openai-connect/server/transcode"
	"github.com/openai-connect/openai-connect/server/upstream"
)

const (
	// Sandbox as [Config.Upstream] is the embedded upstream.
	Sandbox = "sandbox"

	// DefaultMaxMessageBytes is the default of [Config.MaxMessageBytes].
	DefaultMaxMessageBytes = 64 << 20

	// DefaultMaxKeptBytes is the default of [Config.MaxKeptBytes].
	DefaultMaxKeptBytes = policy.DefaultMaxBufferedBytes
)

// Config configures a server. The zero value proxies the OpenAI API.
type Config struct {
	// Upstream is the proxied host: a base URL as [upstream.ParseBaseURL] takes
	// it, or [Sandbox]. Empty means [upstream.DefaultBaseURL].
	Upstream string

	// Proxy, UpstreamRoots, UpstreamHTTP2 and NoRedirects are about the way to
	// the upstream: Proxy, RootCAs, HTTP2 and NoRedirects of [upstream.Config].
	Proxy         string
	UpstreamRoots *x509.CertPool
	UpstreamHTTP2 bool
	NoRedirects   bool

	// ConnectTimeout bounds the way to a connection with the upstream. Zero
	// means [upstream.DefaultConnectTimeout].
	ConnectTimeout time.Duration

	// ResponseHeaderTimeout bounds the wait for the upstream's response
	// headers. Zero means [upstream.DefaultResponseHeaderTimeout].
	ResponseHeaderTimeout time.Duration

	// MaxMessageBytes bounds a request message of an RPC. Zero means
	// [DefaultMaxMessageBytes].
	MaxMessageBytes int

	// MaxKeptBytes bounds what is held of all bodies together: request messages of
	// RPCs and replies to them, decompressed, and bodies of raw requests where one of
	// Clients has rights or limits by model. One of them may have up to
	// MaxMessageBytes. Package memory says how clients share it. Zero means
	// [DefaultMaxKeptBytes].
	MaxKeptBytes int64

	// MaxReplyBytes bounds the upstream's answer to a unary RPC. Zero means
	// [typed.DefaultMaxReplyBytes].
	MaxReplyBytes int

	// MaxEventBytes bounds one event of the upstream's answer to a streaming
	// RPC. Zero means [typed.DefaultMaxEventBytes].
	MaxEventBytes int

	// UpstreamKey replaces the credentials of clients in requests to the upstream. It
	// is only sent to the upstream's origin. Without one, clients bring their own
	// credentials, which reach the upstream unchanged. A server with an upstream key
	// requires ClientKey, Clients or AllowAnonymous.
	UpstreamKey secret.Secret

	// ClientKey is the API key that all clients share. Health checks, server
	// reflection and the playground's page require none.
	ClientKey secret.Secret

	// Clients, unless nil, holds the API keys of many clients, in place of ClientKey
	// and AllowAnonymous. UpstreamKey is then the key of clients without one of their
	// own. The server doesn't close the store.
	Clients *clients.Store

	// AllowAnonymous serves everyone who can reach the server with its UpstreamKey,
	// except web pages whose origin is not in CORSOrigins.
	AllowAnonymous bool

	// AllowedHosts are the host names of a server with AllowAnonymous, in addition to
	// IP addresses and localhost. [auth.NewHosts] describes their form. Requests for
	// other host names are rejected with 403. Other servers accept every host name.
	AllowedHosts []string

	// ForwardOrganization sends the OpenAI-Organization and OpenAI-Project headers of
	// clients to the upstream even if the server replaces their API keys. By default
	// they only accompany the client's own key.
	ForwardOrganization bool

	// Limiter counts the usage of Clients that have limits. Nil enforces no limits.
	// The server doesn't close it.
	Limiter ratelimit.Limiter

	// Failover, unless nil, lists the upstreams that are asked in order, in place of
	// Upstream. The server sets their Senders. Of several, all but Proxy of the fields
	// about the way to the upstream are each one's.
	Failover *failover.Config

	// Overload, unless nil, bounds the calls that are worked on at a time. Exempt,
	// Connection and Refuse are the server's own. Nil means the defaults of package overload.
	Overload *overload.Config

	// Observer, unless nil, observes what the server does. The server doesn't close
	// it.
	Observer *telemetry.Observer

	// TrustedProxies are those whose word counts for the address of a client. By
	// default a client has the address that its request came from.
	TrustedProxies clientaddr.Proxies

	// CORSOrigins are the origins whose web pages may use the server, as
	// [cors.NewPolicy] takes them. Nil means [cors.Any] without an UpstreamKey
	// and Clients: a page can do with the server what it could do without; and what
	// the upstream itself says to pages of other origins is kept. With either nil
	// means [cors.None], and the upstream has no say.
	CORSOrigins []string

	// Register, unless nil, registers further RPC services, to be served in
	// the same way. Where there is an UpstreamKey, or Clients, they see neither that
	// nor what clients send as theirs.
	Register func(*connect.Server)

	// Logger is told of failures. Nil means silence.
	Logger *slog.Logger

	// DialContext, unless nil, opens the network connections to the upstream.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Server is the front door. It is an [http.Handler] for a server of your own,
// or serves by itself with [Server.Serve].
type Server struct {
	handler     http.Handler
	http        *httpserver.Server
	overload    *overload.Limiter
	passthrough *passthrough.Handler
	health      *health.Checker
	upstreams   []*upstream.Upstream
	sandbox     *sandboxServer
	logger      *slog.Logger
}

// New returns a server. It must be closed. An error about a field of the
// configuration is a [*ConfigError].
func New(config Config) (_ *Server, err error) {
	s := &Server{logger: config.Logger}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	gate, err := newAuthenticator(config)
	if err != nil {
		return nil, err
	}
	guarded := gate.HasUpstreamKey() || config.Clients != nil
	budget := memory.New(cmp.Or(config.MaxKeptBytes, DefaultMaxKeptBytes), config.Clients != nil)
	send, err := s.newSender(config, guarded, budget)
	if err != nil {
		return nil, err
	}
	s.passthrough = passthrough.New(send, passthrough.Options{Logger: s.logger})
	rpc, err := s.newRPCServer(config, send)
	if err != nil {
		return nil, err
	}
	router := newRouter(s.passthrough, transcode.Bounds{Memory: budget, MaxMessageBytes: cmp.Or(config.MaxMessageBytes, DefaultMaxMessageBytes)})
	router.mount(rpc)
	if s.overload, err = newOverload(router, config); err != nil {
		return nil, &ConfigError{"Overload", err}
	}
	layers, err := s.handlerLayers(config, gate, router, rpc)
	if err != nil {
		return nil, err
	}
	s.handler = pipeline.Build[http.Handler](router, layers)
	s.http = httpserver.New(httpserver.Config{
		Handler:        s.handler,
		TrustedProxies: config.TrustedProxies,
		OnDrain:        s.onDrain,
		WebSockets:     s.passthrough,
		Logger:         s.logger,
	})
	if config.Observer != nil {
		s.registerCollectors(config, budget)
	}
	return s, nil
}

// newRPCServer returns the RPC services.
func (s *Server) newRPCServer(config Config, send upstream.Sender) (*connect.Server, error) {
	interceptors, err := config.Observer.Interceptors()
	if err != nil {
		return nil, err
	}
	rpc := connect.NewServer(append(interceptors, transcode.Rejections)...)
	err = transcode.Register(rpc, transcode.Config{
		Upstream:      send,
		MaxReplyBytes: config.MaxReplyBytes,
		MaxEventBytes: config.MaxEventBytes,
		Accumulators:  accumulators(),
		Logger:        s.logger,
	}, chatv1.ChatServiceREST())
	if err != nil {
		return nil, err
	}
	if config.Register != nil {
		config.Register(rpc)
	}
	s.health = health.Register(rpc)
	grpcreflect.Register(rpc)
	return rpc, nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(w, r)
}

// Close releases what the server holds. Calls that still run may fail, and
// WebSockets end.
func (s *Server) Close() error {
	var errs []error
	if s.http != nil {
		s.http.Close()
	}
	if s.passthrough != nil {
		s.passthrough.ShutdownWebSockets()
	}
	for _, up := range s.upstreams {
		up.CloseIdleConnections()
	}
	if s.sandbox != nil {
		errs = append(errs, s.sandbox.close())
	}
	return errors.Join(errs...)
}
