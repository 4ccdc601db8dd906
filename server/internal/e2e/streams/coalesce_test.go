package streams_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"golang.org/x/net/http2"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// recorder is a listener that records the writes to its connections.
type recorder struct {
	net.Listener

	mu     sync.Mutex
	writes [][]byte // guarded by mu
}

func (r *recorder) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	return &recorded{conn, r}, err
}

// take returns the writes since the last call.
func (r *recorder) take() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	writes := r.writes
	r.writes = nil
	return writes
}

type recorded struct {
	net.Conn

	recorder *recorder
}

func (r *recorded) Write(p []byte) (int, error) {
	r.recorder.mu.Lock()
	r.recorder.writes = append(r.recorder.writes, slices.Clone(p))
	r.recorder.mu.Unlock()
	return r.Conn.Write(p)
}

// startRecorded runs a server and records its writes. With secure it uses TLS 1.2,
// whose record types are visible.
func startRecorded(t *testing.T, secure bool) (front *servertest.Front, writes *recorder, trust *tls.Config, ended <-chan error) {
	t.Helper()
	upstream := servertest.StartUpstream(t, servertest.JSON(http.StatusOK, e2etest.BenchCompletion))
	s, err := server.New(server.Config{Upstream: upstream.URL})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	writes = &recorder{Listener: listener}
	listening := server.ServeConfig{DrainTimeout: e2etest.Timeout}
	url := "http://" + listener.Addr().String()
	if secure {
		certified := httptest.NewTLSServer(nil) // only for its certificate
		t.Cleanup(certified.Close)
		roots := x509.NewCertPool()
		roots.AddCert(certified.Certificate())
		trust = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12}
		listening.TLS = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
		url = "https://" + listener.Addr().String()
	}
	ctx, stop := context.WithCancel(context.Background())
	served, left := make(chan error, 1), make(chan struct{})
	go func() {
		served <- s.Serve(ctx, writes, listening)
		close(left)
	}()
	t.Cleanup(func() {
		stop()
		<-left
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &servertest.Front{Server: s, Address: listener.Addr().String(), URL: url, Stop: stop}, writes, trust, served
}

// The frames of a response are written together over HTTP/2. Over HTTP/1.1, a
// response is one write.
func TestCoalesce_FramesOfResponse(t *testing.T) {
	t.Parallel()
	const calls = 200
	const frames = 3 * calls // at least a header, a message and a trailer per call
	for _, row := range []struct {
		name        string
		secure      bool
		speak       func(*http.Protocols, bool)
		rpc         []connecthttp.Option
		least, most int
	}{
		{"gRPC", false, (*http.Protocols).SetUnencryptedHTTP2, []connecthttp.Option{connecthttp.WithGRPC()}, calls, frames - 1},
		{"gRPC over TLS", true, (*http.Protocols).SetHTTP2, []connecthttp.Option{connecthttp.WithGRPC()}, calls, frames - 1},
		{"Connect over HTTP/1.1", false, (*http.Protocols).SetHTTP1, nil, calls, calls},
		{"Connect over HTTP/1.1 and TLS", true, (*http.Protocols).SetHTTP1, nil, calls, calls},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			front, writes, trust, _ := startRecorded(t, row.secure)
			client := chatv1connect.NewChatServiceClient(connect.NewClient(
				connecthttp.NewTransport(e2etest.NewTransportClient(t, trust, row.speak, false), front.URL, row.rpc...)))
			for i := range calls + 1 {
				if _, err := client.CreateChatCompletion(e2etest.Context(t), e2etest.BenchRequest()); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					writes.take() // handshakes and the first response
				}
			}
			count := len(writes.take())
			t.Logf("%d writes for %d calls", count, calls)
			if count < row.least || count > row.most {
				t.Errorf("got %d writes, want %d to %d", count, row.least, row.most)
			}
		})
	}
}

// At a shutdown the server sends GOAWAY over HTTP/2. The close_notify of TLS is the
// last write.
func TestCoalesce_GoAwayIsWrittenAtShutdown(t *testing.T) {
	t.Parallel()
	const alert = 21 // record type (RFC 5246 section 6.2.1)
	for _, secure := range []bool{false, true} {
		front, writes, trust, ended := startRecorded(t, secure)
		network, err := net.Dial("tcp", front.Address)
		if err != nil {
			t.Fatal(err)
		}
		if secure {
			trust.ServerName = "127.0.0.1"
			trust.NextProtos = []string{"h2"}
			network = tls.Client(network, trust)
		}
		client := e2etest.NewHTTP2Conn(t, network)
		if err := client.Send(1, e2etest.RequestFields(http.MethodGet, "/v1/models")); err != nil {
			t.Fatal(err)
		}
		if outcome := client.Outcome(1); outcome != "200" {
			t.Fatalf("got outcome %s", outcome)
		}
		front.Stop()
		var last http2.FrameHeader
		for err == nil {
			var frame http2.Frame
			if frame, err = client.ReadFrame(); err == nil {
				last = frame.Header()
			}
		}
		if last.Type != http2.FrameGoAway || !errors.Is(err, io.EOF) {
			t.Errorf("TLS %v: got last frame %v and error %v", secure, last, err)
		}
		if err := e2etest.Receive(t, ended, "the server to shut down"); err != nil {
			t.Errorf("Serve returned %v", err)
		}
		var record []byte
		for rest := slices.Concat(writes.take()...); secure && len(rest) > 0; {
			length := 5 + int(rest[3])<<8 + int(rest[4])
			record, rest = rest[:length], rest[length:]
		}
		if secure && record[0] != alert {
			t.Errorf("got last record of type %d, want an alert", record[0])
		}
	}
}
