package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/openai-connect/openai-connect/server/benchmark/fixture"
)

// servePlain serves HTTP/1.1 without net/http, which would use more CPU time than the
// fastest proxies.
func servePlain(listener net.Listener, finish *atomic.Bool) error {
	unary, streamed := heads()
	unary += fixture.Completion
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			reader := bufio.NewReaderSize(conn, 4<<10)
			for {
				request, err := read(reader)
				if err != nil {
					return // The client has disconnected, or the request is invalid.
				}
				if !request.stream {
					if _, err := io.WriteString(conn, unary); err != nil {
						return
					}
					continue
				}
				if _, err := io.WriteString(conn, streamed); err != nil {
					return
				}
				var chunk []byte
				err = stream(request.interval, finish, func(event []byte, last bool) error {
					chunk = strconv.AppendInt(chunk[:0], int64(len(event)), 16)
					chunk = append(chunk, "\r\n"...)
					chunk = append(chunk, event...)
					chunk = append(chunk, "\r\n"...)
					if last {
						chunk = append(chunk, "0\r\n\r\n"...)
					}
					_, err := conn.Write(chunk)
					return err
				})
				if err != nil {
					return
				}
			}
		}()
	}
}

// heads returns the response headers of a unary response and of a stream.
func heads() (unary, streamed string) {
	common := []byte("HTTP/1.1 200 OK\r\n")
	for _, field := range fixture.Header() {
		common = fmt.Appendf(common, "%s: %s\r\n", field[0], field[1])
	}
	fields := string(common)
	return fmt.Sprintf("%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", fields, len(fixture.Completion)),
		fields + "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
}

// request holds the relevant properties of a request.
type request struct {
	stream   bool
	interval time.Duration
}

// read reads a request including its body.
func read(reader *bufio.Reader) (request, error) {
	var read request
	var length int64
	chunked := false
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return read, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.ParseInt(string(value), 10, 64)
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte(fixture.IntervalHeader)):
			read.interval, err = time.ParseDuration(string(value))
		}
		if err != nil {
			return read, err
		}
	}

	var body []byte
	var err error
	if chunked {
		body, err = io.ReadAll(httputil.NewChunkedReader(reader))
		if err == nil { // The reader does not read the empty line after the last chunk.
			_, err = reader.ReadSlice('\n')
		}
	} else {
		body = make([]byte, length)
		_, err = io.ReadFull(reader, body)
	}
	read.stream = bytes.Contains(body, []byte(`"stream":true`))
	if err == nil && read.stream && read.interval <= 0 {
		err = errors.New("missing or invalid interval of a stream")
	}
	return read, err
}
