package passthrough_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// deadlines is a connection that records its read and write deadlines.
type deadlines struct {
	net.Conn

	mu          sync.Mutex
	read, write time.Time     // guarded by mu
	set         chan struct{} // gets something, if it is empty, when a read deadline is set
}

func (c *deadlines) SetDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.write = deadline, deadline
	return c.Conn.SetDeadline(deadline)
}

func (c *deadlines) SetReadDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = deadline
	select {
	case c.set <- struct{}{}:
	default:
	}
	return c.Conn.SetReadDeadline(deadline)
}

func (c *deadlines) SetWriteDeadline(deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = deadline
	return c.Conn.SetWriteDeadline(deadline)
}

func (c *deadlines) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

func (c *deadlines) get() (read, write time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read, c.write
}

// deadlineListener sends accepted connections to a channel.
type deadlineListener struct {
	net.Listener

	accepted chan<- *deadlines
}

func (l *deadlineListener) Accept() (net.Conn, error) {
	network, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &deadlines{Conn: network, set: make(chan struct{}, 1)}
	l.accepted <- conn
	return conn, nil
}

// An established WebSocket has no time limits, neither of the server nor of the upstream's
// client. Deadlines set for the request are removed.
func TestWebSocket_HasNoIdleDeadline(t *testing.T) {
	t.Parallel()
	accepted, dialed := make(chan *deadlines, 1), make(chan *deadlines, 1)
	up, err := upstream.New(upstream.Config{
		BaseURL:               serveWebSocket(t, nil, echo),
		ResponseHeaderTimeout: time.Second,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			watched := &deadlines{Conn: conn, set: make(chan struct{}, 1)}
			dialed <- watched
			return watched, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.CloseIdleConnections)
	front := httptest.NewUnstartedServer(passthrough.New(up, noOptions))
	front.Listener = &deadlineListener{front.Listener, accepted}
	front.Config.ReadHeaderTimeout = time.Minute
	front.Config.ReadTimeout = time.Minute
	front.Config.WriteTimeout = time.Minute
	front.Config.IdleTimeout = time.Minute
	front.Start()
	t.Cleanup(front.Close)
	conn, _ := dialWebSocket(t, front.Listener.Addr().String(), nil)
	exchangeMessage(t, conn, []byte("both directions are open"))
	for _, side := range []struct {
		name string
		conn *deadlines
	}{{"client", await(t, accepted, "the client")}, {"upstream", await(t, dialed, "the dialer")}} {
		read, write := side.conn.get()
		for !read.IsZero() && read.Before(time.Now().Add(2*time.Second)) {
			await(t, side.conn.set, "another deadline")
			read, write = side.conn.get()
		}
		if !read.IsZero() || !write.IsZero() {
			t.Errorf("the %s has a read deadline of %v and a write deadline of %v, want none", side.name, read, write)
		}
	}
	exchangeMessage(t, conn, []byte("both directions are open still"))
}

// WebSockets over HTTP/2 (RFC 8441) are not offered, so that browsers and libraries use
// HTTP/1.1. An attempt is rejected, and the connection stays open.
func TestWebSocket_IsNotOfferedOverHTTP2(t *testing.T) {
	t.Parallel()
	address := forward(t, "http://"+listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			t.Error("the upstream received a WebSocket request")
		}
		w.WriteHeader(http.StatusUpgradeRequired)
	})))
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	ask := func(stream uint32, fields ...string) string {
		var block strings.Builder
		encoder := hpack.NewEncoder(&block)
		// Pseudo-header fields come first (RFC 9113 §8.3).
		for _, field := range append([]string{":scheme http", ":authority front", ":path /v1/realtime"}, fields...) {
			name, value, _ := strings.Cut(field, " ")
			if err := encoder.WriteField(hpack.HeaderField{Name: name, Value: value}); err != nil {
				t.Fatal(err)
			}
		}
		err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true})
		if err != nil {
			t.Fatal(err)
		}
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch frame := frame.(type) {
			case *http2.SettingsFrame:
				if offered, ok := frame.Value(http2.SettingEnableConnectProtocol); ok && offered != 0 {
					t.Error("the server offers WebSockets over HTTP/2")
				}
			case *http2.RSTStreamFrame:
				return frame.ErrCode.String()
			case *http2.MetaHeadersFrame:
				return frame.PseudoValue("status")
			}
		}
	}
	for i, test := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"extended CONNECT", []string{":method CONNECT", ":protocol websocket", "sec-websocket-version 13"}, "PROTOCOL_ERROR"},
		{"an Upgrade, which HTTP/2 doesn't have", []string{":method GET", "connection upgrade", "upgrade websocket"}, "400"},
		{"a GET without an upgrade", []string{":method GET"}, "426"}, // the upstream's response
	} {
		if got := ask(uint32(2*i+1), test.fields...); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}
