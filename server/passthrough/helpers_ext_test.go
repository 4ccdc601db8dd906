package passthrough_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/upstream"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// listen serves handler over HTTP/1.1 and h2c until the end of the test, and returns its
// address.
func listen(tb testing.TB, handler http.Handler) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:                      handler,
		Protocols:                    protocols,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the upstream's to answer
		ErrorLog:                     log.New(testWriter{tb}, "", 0),
		ReadHeaderTimeout:            time.Minute,
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(listener) // it is always that the server was closed
	}()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-served
	})
	return listener.Addr().String()
}

// testWriter fails the test when net/http logs an error, such as a panic.
type testWriter struct{ testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.Errorf("the server logged: %s", p)
	return len(p), nil
}

// forward serves a passthrough to the upstream at url and returns its address.
func forward(tb testing.TB, url string) string {
	tb.Helper()
	return forwardWith(tb, upstream.Config{BaseURL: url}, passthrough.Options{})
}

func forwardWith(tb testing.TB, config upstream.Config, options passthrough.Options) string {
	tb.Helper()
	up, err := upstream.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(up.CloseIdleConnections)
	return listen(tb, passthrough.New(up, options))
}

// serveTLS serves handler over HTTP/2 and returns a configuration for it.
func serveTLS(tb testing.TB, handler http.HandlerFunc) upstream.Config {
	tb.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	tb.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return upstream.Config{BaseURL: server.URL, HTTP2: true, RootCAs: roots}
}

// connect opens a raw connection to a passthrough.
func connect(tb testing.TB, address string) *upstreamtest.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &upstreamtest.Conn{Conn: conn, Reader: bufio.NewReader(conn)}
}

// clients are the clients of tests that use net/http.
var clients = []struct {
	name string
	new  func(testing.TB) *http.Client
}{
	{"over HTTP/1.1", newHTTP1Client},
	{"over HTTP/2", newHTTP2Client},
}

func newHTTP1Client(tb testing.TB) *http.Client {
	tb.Helper()
	return newClient(tb, (*http.Protocols).SetHTTP1)
}

func newHTTP2Client(tb testing.TB) *http.Client {
	tb.Helper()
	return newClient(tb, (*http.Protocols).SetUnencryptedHTTP2)
}

// allClients are the clients of tests of truncated responses.
var allClients = append(slices.Clone(clients), struct {
	name string
	new  func(testing.TB) *http.Client
}{"over HTTP/1.0", newHTTP10Client})

func newHTTP10Client(testing.TB) *http.Client {
	return &http.Client{
		Transport:     upstreamtest.HTTP10{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func newClient(tb testing.TB, speak func(*http.Protocols, bool)) *http.Client {
	tb.Helper()
	protocols := new(http.Protocols)
	speak(protocols, true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true, MaxIdleConnsPerHost: 64}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fieldsOf returns headers sorted by name, ignoring case. Repeated headers keep their order.
// Headers named in without are left out.
func fieldsOf(fields []string, without ...string) []string {
	kept := make([]string, 0, len(fields))
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ":")
		name = strings.ToLower(name)
		if !slices.Contains(without, name) {
			kept = append(kept, name+":"+value)
		}
	}
	slices.SortStableFunc(kept, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	})
	return kept
}

// patience is the timeout for events that must happen at once.
const patience = 20 * time.Second

// await receives from a channel, and fails the test after a timeout.
func await[T any](tb testing.TB, from <-chan T, what string) T {
	tb.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		tb.Fatalf("timeout waiting for %s", what)
		panic("unreachable")
	}
}

// signal sends to a channel, or gives up after a timeout.
func signal[T any](to chan<- T, value T) {
	select {
	case to <- value:
	case <-time.After(patience):
	}
}

var noOptions passthrough.Options

// withInterim sends the status and Link header of each 1xx response to a channel.
func withInterim(ctx context.Context, to chan<- string) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			signal(to, strconv.Itoa(code)+" "+header.Get("Link"))
			return nil
		},
	})
}

// syncBuffer is a log buffer that is safe for concurrent use.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
