package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// However a client is connected, it gets an event before the next one is sent,
// raw and typed.
func TestEventsComeOneByOneOnEveryConnection(t *testing.T) {
	t.Parallel()
	const events = 5
	got := make(chan string)
	url := serveScripts(t, map[string]script{"steps": func(conn *upstreamtest.Conn) {
		beginStream(conn)
		for i := range events {
			text := strings.Repeat("x", i+1)
			conn.SendChunk(chunk(0, text))
			if heard := await(t, got, "the event"); heard != text {
				t.Errorf("%q was heard, not %q", heard, text)
			}
		}
		conn.SendChunk(done)
		closeStream(conn)
	}})
	plain := startFront(t, server.Config{Upstream: url})
	secure, roots := startSecureFront(t, url)
	for _, way := range []struct {
		name   string
		front  *servertest.Front
		client *http.Client
		proto  string
	}{
		{"HTTP/1.1", plain, transportClient(t, nil, (*http.Protocols).SetHTTP1, false), "HTTP/1.1"},
		{"HTTP/1.1 without keep-alive", plain, transportClient(t, nil, (*http.Protocols).SetHTTP1, true), "HTTP/1.1"},
		{"HTTP/2 by prior knowledge", plain, transportClient(t, nil, (*http.Protocols).SetUnencryptedHTTP2, false), "HTTP/2.0"},
		{"HTTP/2 by ALPN", secure, transportClient(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, (*http.Protocols).SetHTTP2, false), "HTTP/2.0"},
		{"HTTP/1.1 by ALPN", secure, transportClient(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, (*http.Protocols).SetHTTP1, false), "HTTP/1.1"},
		{"TLS without ALPN, as behind some middleboxes", secure, noALPNClient(t, roots), "HTTP/1.1"},
	} {
		t.Run("raw over "+way.name, func(t *testing.T) {
			request, err := rawRequest(within(t), way.front.URL, "steps")
			if err != nil {
				t.Fatal(err)
			}
			response, err := way.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.Proto != way.proto || response.Header.Get("X-Accel-Buffering") != "no" || response.Header.Get("Content-Encoding") != "" {
				t.Errorf("it comes over %s with %q", response.Proto, response.Header)
			}
			hearEvents(t, response.Body, events, got)
		})
		t.Run("typed over "+way.name, func(t *testing.T) {
			client := connectClient("Connect", connect.NewClient(connecthttp.NewTransport(way.client, way.front.URL)))
			q := question{way: streaming, script: "steps", each: func(text string) { got <- text }}
			if failed := q.ask(t, client).failed; failed != nil {
				t.Error(failed)
			}
		})
	}
	t.Run("raw over HTTP/1.0", func(t *testing.T) {
		conn, err := net.Dial("tcp", plain.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, "GET /v1/x HTTP/1.0\r\n"+scriptHeader+": steps\r\n\r\n") // shows below
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.Proto != "HTTP/1.0" || response.Header.Get("X-Accel-Buffering") != "no" || len(response.TransferEncoding) > 0 {
			t.Errorf("it comes over %s with %q", response.Proto, response.Header)
		}
		hearEvents(t, response.Body, events, got)
	})
}

// hearEvents tells of each event of a raw stream as it comes.
func hearEvents(t *testing.T, body io.Reader, events int, got chan<- string) {
	t.Helper()
	reader := bufio.NewReader(body)
	for i := range events {
		want := chunk(0, strings.Repeat("x", i+1))
		event := make([]byte, len(want))
		if _, err := io.ReadFull(reader, event); err != nil || string(event) != want {
			t.Fatalf("event %d is %q, %v, want %q", i, event, err, want)
		}
		got <- strings.Repeat("x", i+1)
	}
	if rest, err := io.ReadAll(reader); err != nil || string(rest) != done {
		t.Errorf("behind the events came %q, %v", rest, err)
	}
}

// startSecureFront runs the server with TLS, and returns the roots to trust.
func startSecureFront(t *testing.T, upstream string) (*servertest.Front, *x509.CertPool) {
	t.Helper()
	return startSecureFrontWith(t, server.Config{Upstream: upstream})
}

// startSecureFrontWith is startSecureFront with a configuration of the test's own.
func startSecureFrontWith(t *testing.T, config server.Config) (*servertest.Front, *x509.CertPool) {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // it is its certificate that is wanted
	t.Cleanup(certified.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(ctx, listener, server.Listening{
			TLS:          &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12},
			DrainTimeout: patience,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	address := listener.Addr().String()
	return &servertest.Front{Server: s, Address: address, URL: "https://" + address, Stop: stop}, roots
}

// transportClient returns a client that speaks one version of HTTP.
func transportClient(t *testing.T, config *tls.Config, speak func(*http.Protocols, bool), once bool) *http.Client {
	t.Helper()
	protocols := new(http.Protocols)
	speak(protocols, true)
	transport := &http.Transport{Protocols: protocols, TLSClientConfig: config, DisableCompression: true, DisableKeepAlives: once}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// noALPNClient returns a client whose TLS handshakes name no protocol.
func noALPNClient(t *testing.T, roots *x509.CertPool) *http.Client {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true, DialTLSContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
