package streams_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// On every kind of connection, clients receive an event before the next one is sent.
func TestEventDelivery_OneByOneOnEveryConnection(t *testing.T) {
	t.Parallel()
	const events = 5
	got := make(chan string)
	url := e2etest.ServeScripts(t, map[string]e2etest.Script{"steps": func(conn *upstreamtest.Conn) {
		e2etest.BeginStream(conn)
		for i := range events {
			text := strings.Repeat("x", i+1)
			conn.SendChunk(e2etest.Chunk(0, text))
			if heard := e2etest.Receive(t, got, "the event"); heard != text {
				t.Errorf("got event %q, want %q", heard, text)
			}
		}
		conn.SendChunk(e2etest.DoneEvent)
		e2etest.EndStream(conn)
	}})
	plain := e2etest.StartServer(t, server.Config{Upstream: url})
	secure, roots := e2etest.StartTLSServer(t, url)
	for _, method := range []struct {
		name   string
		front  *servertest.Front
		client *http.Client
		proto  string
	}{
		{"HTTP/1.1", plain, e2etest.NewTransportClient(t, nil, (*http.Protocols).SetHTTP1, false), "HTTP/1.1"},
		{"HTTP/1.1 without keep-alive", plain, e2etest.NewTransportClient(t, nil, (*http.Protocols).SetHTTP1, true), "HTTP/1.1"},
		{"HTTP/2 by prior knowledge", plain, e2etest.NewTransportClient(t, nil, (*http.Protocols).SetUnencryptedHTTP2, false), "HTTP/2.0"},
		{"HTTP/2 by ALPN", secure, e2etest.NewTransportClient(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, (*http.Protocols).SetHTTP2, false), "HTTP/2.0"},
		{"HTTP/1.1 by ALPN", secure, e2etest.NewTransportClient(t, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, (*http.Protocols).SetHTTP1, false), "HTTP/1.1"},
		{"TLS without ALPN", secure, noALPNClient(t, roots), "HTTP/1.1"},
	} {
		t.Run("raw over "+method.name, func(t *testing.T) {
			request, err := e2etest.NewRawRequest(e2etest.Context(t), method.front.URL, "steps")
			if err != nil {
				t.Fatal(err)
			}
			response, err := method.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.Proto != method.proto || response.Header.Get("X-Accel-Buffering") != "no" || response.Header.Get("Content-Encoding") != "" {
				t.Errorf("got protocol %s and header %q", response.Proto, response.Header)
			}
			readEvents(t, response.Body, events, got)
		})
		t.Run("typed over "+method.name, func(t *testing.T) {
			client := e2etest.NewConnectClient("Connect", connect.NewClient(connecthttp.NewTransport(method.client, method.front.URL)))
			q := e2etest.ScriptedCall{Method: e2etest.StreamMethod, Script: "steps", Each: func(text string) { got <- text }}
			if failed := q.Do(t, client).Err; failed != nil {
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
		_ = conn.SetDeadline(time.Now().Add(e2etest.Timeout))
		io.WriteString(conn, "GET /v1/x HTTP/1.0\r\n"+e2etest.ScriptHeader+": steps\r\n\r\n") // fails below
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.Proto != "HTTP/1.0" || response.Header.Get("X-Accel-Buffering") != "no" || len(response.TransferEncoding) > 0 {
			t.Errorf("got protocol %s and header %q", response.Proto, response.Header)
		}
		readEvents(t, response.Body, events, got)
	})
}

// readEvents sends each event of a raw stream to got as it arrives.
func readEvents(t *testing.T, body io.Reader, events int, got chan<- string) {
	t.Helper()
	reader := bufio.NewReader(body)
	for i := range events {
		want := e2etest.Chunk(0, strings.Repeat("x", i+1))
		event := make([]byte, len(want))
		if _, err := io.ReadFull(reader, event); err != nil || string(event) != want {
			t.Fatalf("event %d: got %q and error %v, want %q", i, event, err, want)
		}
		got <- strings.Repeat("x", i+1)
	}
	if rest, err := io.ReadAll(reader); err != nil || string(rest) != e2etest.DoneEvent {
		t.Errorf("after the events: got %q and error %v", rest, err)
	}
}

// noALPNClient returns a client that sends no ALPN.
func noALPNClient(t *testing.T, roots *x509.CertPool) *http.Client {
	t.Helper()
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true, DialTLSContext: dialer.DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
