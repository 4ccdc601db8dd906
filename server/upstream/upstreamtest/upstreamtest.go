// Package upstreamtest is an upstream on a raw socket, for tests that compare
// what is sent to it byte by byte, and answer with bytes of their own.
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

// Serve listens on a loopback port and runs script for every connection, each
// on its own goroutine. It returns the base URL, "http://127.0.0.1:port". When
// the test ends it closes the listener and every connection, and waits for the
// scripts.
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

// Conn is a connection from a client. It serves the other way round too, for a
// client on a raw socket: what is said of requests holds for responses, whose
// status line is then the Line.
type Conn struct {
	net.Conn

	Reader *bufio.Reader // what Conn received
}

// Head is the head of a request as it was received.
type Head struct {
	Line   string   // "GET /v1/models HTTP/1.1"
	Fields []string // "Accept: */*", in the order received
}

// Request is a request as it was received.
type Request struct {
	Head

	Body    string   // without chunked framing
	Trailer []string // as Head.Fields
}

// Target is the request-target of the request line.
func (h Head) Target() string {
	parts := strings.Split(h.Line, " ")
	if len(parts) != 3 {
		return ""
	}
	return parts[1]
}

// Values are the values of the fields called name, in the order received.
func (h Head) Values(name string) []string {
	var values []string
	for _, field := range h.Fields {
		if key, value, ok := strings.Cut(field, ":"); ok && strings.EqualFold(key, name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// Value is the first of Values, or "".
func (h Head) Value(name string) string {
	if values := h.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// ReadHead reads a request line and the fields behind it.
func (c *Conn) ReadHead() (Head, error) {
	line, err := c.readLine()
	if err != nil {
		return Head{}, err
	}
	fields, err := c.readFields()
	return Head{Line: line, Fields: fields}, err
}

// ReadRequest reads a whole request.
func (c *Conn) ReadRequest() (Request, error) {
	head, err := c.ReadHead()
	if err != nil {
		return Request{}, err
	}
	return c.ReadBody(head)
}

// ReadBody reads what follows head, and returns both.
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

// ReadChunk reads one chunk of a chunked body. The last one is empty; the
// trailer and the empty line behind it are left unread.
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

// Send writes text, in which "\n" ends a line; it is sent as "\r\n".
func (c *Conn) Send(text string) {
	// A failure shows at the other end.
	_, _ = io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n"))
}

// SendChunk writes one chunk of a chunked body; an empty one ends the body.
func (c *Conn) SendChunk(data string) {
	_, _ = fmt.Fprintf(c, "%x\r\n%s\r\n", len(data), data)
}

// WaitEnd returns when the client has closed or reset the connection. What it
// still sends is dropped.
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
