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
	// Sandbox is the [Config.Upstream] that runs an OpenAI API inside the process.
	Sandbox = "sandbox"

	// DefaultMaxMessageBytes is the default of [Config.MaxMessageBytes].
	DefaultMaxMessageBytes = 64 << 20

	// DefaultMaxBufferedBytes is the default of [Config.MaxBufferedBytes].
	DefaultMaxBufferedBytes = policy.DefaultMaxBufferedBytes
)

// Config configures a server. The zero value proxies the OpenAI API.
type Config struct {
	// Upstream is the base URL of the upstream, as [upstream.ParseBaseURL] accepts it, or
	// [Sandbox]. Empty means [upstream.DefaultBaseURL].
	Upstream string

	// Proxy, UpstreamRoots, UpstreamHTTP2 and NoRedirects are the fields Proxy, RootCAs,
	// HTTP2 and NoRedirects of [upstream.Config].
	Proxy         string
	UpstreamRoots *x509.CertPool
	UpstreamHTTP2 bool
	NoRedirects   bool

	// ResponseHeaderTimeout limits the wait for the upstream's response header. Zero means [upstream.DefaultResponseHeaderTimeout].
	ResponseHeaderTimeout time.Duration

	// MaxMessageBytes limits a request message of an RPC, and a request body that is
	// buffered. Zero means [DefaultMaxMessageBytes].
	MaxMessageBytes int

	// MaxBufferedBytes limits the total memory for buffered bodies: request messages of
	// RPCs and replies to them, decompressed, and bodies of raw requests if the client has
	// rules or limits by model. Package memory describes how clients share it. Zero means
	// [DefaultMaxBufferedBytes].
	MaxBufferedBytes int64

	// MaxReplyBytes limits the upstream's response to a unary RPC. Zero means
	// [transcode.DefaultMaxReplyBytes].
	MaxReplyBytes int

	// MaxEventBytes limits one event of the upstream's response to a streaming RPC. Zero
	// means [transcode.DefaultMaxEventBytes].
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

	// Failover, unless nil, lists the upstreams in order of preference, in place of
	// Upstream. The server sets their Senders. Each upstream uses the settings above,
	// except Proxy, separately.
	Failover *failover.Config

	// Overload, unless nil, limits the requests in progress. The server sets Connection and
	// Reject. Nil means the defaults of package overload.
	Overload *overload.Config

	// Observer, unless nil, records metrics, traces and the access log. The server doesn't
	// close it.
	Observer *telemetry.Observer

	// TrustedProxies are the proxies that may report the address of a client. By default,
	// the address of a client is the address that its connection comes from.
	TrustedProxies clientaddr.Proxies

	// CORSOrigins are the origins whose web pages may use the server, as [cors.NewPolicy]
	// accepts them. Without UpstreamKey and Clients, nil means [cors.Any], because the
	// server gives a page nothing that it could not get elsewhere; CORS headers of the
	// upstream are kept. With UpstreamKey or Clients, nil means [cors.None], and CORS
	// headers of the upstream are removed.
	CORSOrigins []string

	// Register, unless nil, registers further RPC services. With UpstreamKey or Clients,
	// their handlers see neither the upstream key nor the credentials of clients.
	Register func(*connect.Server)

	// Logger logs events and failures. Nil disables logging.
	Logger *slog.Logger

	// DialContext, unless nil, opens network connections to the upstream.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Server is a front door to the OpenAI API. It is an [http.Handler] for use in another
// [http.Server], and it can serve listeners with [Server.Serve].
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
	authPolicy, err := newAuthPolicy(config)
	if err != nil {
		return nil, err
	}
	budget := memory.New(cmp.Or(config.MaxBufferedBytes, DefaultMaxBufferedBytes), config.Clients != nil)
	send, err := s.newSender(config, authPolicy, budget)
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
	layers, err := s.handlerLayers(config, authPolicy, router, rpc)
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

// newRPCServer returns the server of the RPC services.
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

// Close releases the server's resources. Requests in progress may fail, and WebSockets
// end.
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
