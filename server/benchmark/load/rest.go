package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

// key is the Authorization header. It is not checked.
const key = "Bearer sk-benchmark"

// newREST returns a client of OpenAI's REST API.
func newREST(address string, calls int) *Client {
	read := new(atomic.Int64)
	host := &fasthttp.HostClient{
		Addr: address, MaxConns: calls, NoDefaultUserAgentHeader: true,
		DisablePathNormalizing: true, MaxIdleConnDuration: time.Hour,
	}
	requests := sync.Pool{New: func() any {
		request := new(fasthttp.Request)
		request.Header.SetMethod(http.MethodPost)
		request.SetRequestURI("http://" + address + fixture.Path)
		request.Header.SetContentType("application/json")
		request.Header.Set("Accept", "application/json")
		request.Header.Set("Authorization", key)
		request.Header.Set("User-Agent", "benchmark")
		request.SetBodyRaw([]byte(fixture.Request))
		return request
	}}
	return &Client{
		Call: func(context.Context) error {
			request := requests.Get().(*fasthttp.Request)
			defer requests.Put(request)
			response := fasthttp.AcquireResponse()
			defer fasthttp.ReleaseResponse(response)
			if err := host.DoTimeout(request, response, responseTimeout); err != nil {
				return err
			}
			if code, body := response.StatusCode(), response.Body(); code != http.StatusOK || len(body) != len(fixture.Completion) {
				return fmt.Errorf("unexpected response: status %d: %.200q", code, body)
			}
			return nil
		},
		Open: func(ctx context.Context, interval time.Duration) (Stream, error) {
			return openEvents(ctx, dialer{read}, address, interval)
		},
		Close: host.CloseIdleConnections,
		Read:  read,
	}
}

// openEvents opens a stream of Server-Sent Events on a new connection.
func openEvents(ctx context.Context, dialer dialer, address string, interval time.Duration) (Stream, error) {
	conn, err := dialer.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	stream, err := requestEvents(conn, address, interval)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return stream, nil
}

func requestEvents(conn net.Conn, host string, interval time.Duration) (*events, error) {
	var request strings.Builder
	fmt.Fprintf(&request, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: benchmark\r\n", fixture.Path, host)
	fmt.Fprintf(&request, "Accept: text/event-stream\r\nAuthorization: %s\r\n%s: %s\r\n", key, fixture.IntervalHeader, interval)
	fmt.Fprintf(&request, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(fixture.StreamRequest), fixture.StreamRequest)
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return nil, err
	}
	return readEvents(conn)
}

// readEvents reads the response header of a stream.
func readEvents(conn net.Conn) (*events, error) {
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 2<<10), nil) //nolint:bodyclose // closed with the connection
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200)) // only for the error message
		return nil, fmt.Errorf("unexpected response: %s: %q", response.Status, text)
	}
	return &events{conn: conn, body: bufio.NewReaderSize(response.Body, 1<<10)}, nil
}

// events is a stream of Server-Sent Events.
type events struct {
	conn net.Conn
	body *bufio.Reader
	last bool // the event with the finish_reason was received
	done bool // [DONE] was received
}

var dataField = []byte("data: ")

// Next returns the next event. A complete stream has a finish_reason, followed by [DONE]
// and a regular end of the body.
func (e *events) Next() (fixture.Event, error) {
	for {
		line, err := e.body.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && e.done && len(line) == 0:
			return fixture.Event{}, io.EOF
		case errors.Is(err, io.EOF):
			return fixture.Event{}, fmt.Errorf("incomplete stream: %w", io.ErrUnexpectedEOF)
		case err != nil:
			return fixture.Event{}, err
		}
		data, found := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), dataField)
		switch {
		case !found && len(line) <= len("\r\n"):
			continue
		case !found:
			return fixture.Event{}, fmt.Errorf("invalid line of an event stream: %.80q", line)
		case e.done:
			return fixture.Event{}, errors.New("event after [DONE]")
		case string(data) == "[DONE]":
			if !e.last {
				return fixture.Event{}, errors.New("[DONE] before the finish_reason")
			}
			e.done = true
			continue
		}
		event, err := fixture.ParseEvent(data)
		e.last = e.last || event.Last
		return event, err
	}
}

// Close closes the connection.
func (e *events) Close() error { return e.conn.Close() }
