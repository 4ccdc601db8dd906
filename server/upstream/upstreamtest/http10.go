package upstreamtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// HTTP10 is a client for HTTP/1.0, which net/http doesn't support: without chunks and
// with one connection per request, like nginx by default. It reads the request's body
// before it sends anything. The zero value is ready to use.
type HTTP10 struct {
	// Dial, unless nil, connects to the host of the URL.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// RoundTrip implements [http.RoundTripper].
func (t HTTP10) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	dial := t.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(r.Context(), "tcp", r.URL.Host)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(r.Context(), func() { _ = conn.Close() })
	end := func() {
		stop()
		_ = conn.Close()
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s HTTP/1.0\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.URL.Host)
	_ = r.Header.Write(&text) // to a buffer
	if len(body) > 0 || r.Method == http.MethodPost {
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(body))
	}
	text.WriteString("\r\n")
	text.Write(body)
	_, _ = conn.Write(text.Bytes()) // the response may have arrived before
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		end()
		if r.Context().Err() != nil {
			err = r.Context().Err()
		}
		return nil, err
	}
	response.Body = &http10Body{Reader: response.Body, ctx: r.Context(), end: end}
	return response, nil
}

// http10Body is the body of a response, with its connection.
type http10Body struct {
	io.Reader

	ctx context.Context //nolint:containedctx // the request's
	end func()
}

func (b *http10Body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil { //nolint:errorlint // a wrapped io.EOF is not the end of the body
		err = b.ctx.Err()
	}
	return n, err
}

func (b *http10Body) Close() error {
	b.end()
	return nil
}
