// Package upstreamtest provides upstreams on raw sockets, for tests that check the bytes of a
// request and respond with arbitrary bytes.
package upstreamtest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Serve listens on a loopback port and runs script for every connection on its own
// goroutine. It returns the base URL, "http://127.0.0.1:port". At the end of the test it
// closes the listener and every connection, and waits for the scripts.
func Serve(tb testing.TB, script func(conn *Conn)) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	var (
		mu      sync.Mutex
		open    = map[net.Conn]bool{}
		closing bool
		scripts sync.WaitGroup
	)
	scripts.Go(func() {
		for {
			accepted, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if closing {
				mu.Unlock()
				accepted.Close()
				return
			}
			open[accepted] = true
			mu.Unlock()
			scripts.Go(func() {
				script(&Conn{Conn: accepted, Reader: bufio.NewReader(accepted)})
				accepted.Close()
				mu.Lock()
				delete(open, accepted)
				mu.Unlock()
			})
		}
	})
	tb.Cleanup(func() {
		listener.Close()
		mu.Lock()
		closing = true
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		scripts.Wait()
	})
	return "http://" + listener.Addr().String()
}

// Conn is a connection from a client. A client on a raw socket can use it too: its methods
// for requests then read responses, whose status line is the Line.
type Conn struct {
	net.Conn

	Reader *bufio.Reader // reads from Conn
}

// Head is the received header of a request.
type Head struct {
	Line   string   // "GET /v1/models HTTP/1.1"
	Fields []string // "Accept: */*", in the order received
}

// Request is a received request.
type Request struct {
	Head

	Body    string   // without chunked framing
	Trailer []string // as Head.Fields
}

// Target returns the request-target.
func (h Head) Target() string {
	parts := strings.Split(h.Line, " ")
	if len(parts) != 3 {
		return ""
	}
	return parts[1]
}

// Values returns the values of a header, in the order received.
func (h Head) Values(name string) []string {
	var values []string
	for _, field := range h.Fields {
		if key, value, ok := strings.Cut(field, ":"); ok && strings.EqualFold(key, name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// Value returns the first value of a header, or "".
func (h Head) Value(name string) string {
	if values := h.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// ReadHead reads a request line and headers.
func (c *Conn) ReadHead() (Head, error) {
	line, err := c.readLine()
	if err != nil {
		return Head{}, err
	}
	fields, err := c.readFields()
	return Head{Line: line, Fields: fields}, err
}

// ReadRequest reads a complete request.
func (c *Conn) ReadRequest() (Request, error) {
	head, err := c.ReadHead()
	if err != nil {
		return Request{}, err
	}
	return c.ReadBody(head)
}

// ReadBody reads the body that follows head, and returns both.
func (c *Conn) ReadBody(head Head) (Request, error) {
	request := Request{Head: head}
	switch {
	case head.Value("Transfer-Encoding") == "chunked":
		var body strings.Builder
		for {
			chunk, err := c.ReadChunk()
			if err != nil {
				return request, err
			}
			if chunk == "" {
				break
			}
			body.WriteString(chunk)
		}
		request.Body = body.String()
		trailer, err := c.readFields()
		request.Trailer = trailer
		return request, err
	case head.Value("Content-Length") != "":
		length, err := strconv.Atoi(head.Value("Content-Length"))
		if err != nil {
			return request, fmt.Errorf("content length: %w", err)
		}
		body := make([]byte, length)
		_, err = io.ReadFull(c.Reader, body)
		request.Body = string(body)
		return request, err
	default:
		return request, nil
	}
}

// ReadChunk reads one chunk of a chunked body. It returns "" for the last chunk, without
// reading the trailer section.
func (c *Conn) ReadChunk() (string, error) {
	line, err := c.readLine()
	if err != nil {
		return "", err
	}
	size, err := strconv.ParseInt(line, 16, 32)
	if err != nil {
		return "", fmt.Errorf("chunk size: %w", err)
	}
	if size == 0 {
		return "", nil
	}
	chunk := make([]byte, size+2)
	_, err = io.ReadFull(c.Reader, chunk)
	return string(chunk[:size]), err
}

// Send writes text. "\n" is sent as "\r\n".
func (c *Conn) Send(text string) {
	// The peer notices an error.
	_, _ = io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
}

// SendChunk writes one chunk of a chunked body. An empty chunk ends the body.
func (c *Conn) SendChunk(data string) {
	_, _ = fmt.Fprintf(c, "%x\r\n%s\r\n", len(data), data)
}

// WaitEnd returns when the client has closed or reset the connection. It discards received
// data.
func (c *Conn) WaitEnd() {
	_, _ = io.Copy(io.Discard, c.Reader)
}

func (c *Conn) readLine() (string, error) {
	line, err := c.Reader.ReadString('\n')
	return strings.TrimSuffix(line, "\r\n"), err
}

func (c *Conn) readFields() ([]string, error) {
	var fields []string
	for {
		line, err := c.readLine()
		if err != nil || line == "" {
			return fields, err
		}
		fields = append(fields, line)
	}
}
