package passthrough

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"

	"github.com/openai-connect/openai-connect/server/internal/httpx"
)

const (
	// smallBuffer is the size of the buffer of a slow body, so that a waiting stream holds
	// little memory. It is larger than most events, and as large as net/http's read buffer.
	smallBuffer = 4 << 10
	// largeBuffer is the size of the buffer of a fast body.
	largeBuffer = 32 << 10
	// smallBody is the length up to which a body is expected to arrive together with its
	// header. The header of a longer body, or of one of unknown length, is sent without
	// waiting for the body.
	smallBody = largeBuffer
)

var (
	smallBuffers = bufferPool(smallBuffer)
	largeBuffers = bufferPool(largeBuffer)
)

func bufferPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any {
		buffer := make([]byte, size)
		return &buffer
	}}
}

// respond sends resp to the client. After an error the response is incomplete and must be
// aborted.
func (d *downstream) respond(resp *http.Response) error {
	header := d.w.Header()
	responseHeader(header, resp, d.r.ProtoMajor)
	var announced []string
	if len(resp.Trailer) > 0 {
		announced = slices.Sorted(maps.Keys(resp.Trailer))
		header["Trailer"] = []string{strings.Join(announced, ", ")}
	}
	d.closeIfUploading()
	d.w.WriteHeader(resp.StatusCode)
	if resp.ContentLength < 0 || resp.ContentLength > smallBody || d.isUploading() {
		if err := d.control.Flush(); err != nil {
			return err
		}
	}
	if err := d.copyBody(resp.Body, resp.ContentLength); err != nil {
		return err
	}
	for name, values := range resp.Trailer {
		switch {
		case slices.Contains(announced, name):
			header[name] = values
		case httpguts.ValidTrailerHeader(name): // net/http checks announced trailers itself
			header[http.TrailerPrefix+name] = values
		}
	}
	return nil
}

// copyBody copies body, whose length is negative if unknown, to the client. Each piece is
// flushed, except the last one, which the end of the response follows at once.
func (d *downstream) copyBody(body io.Reader, length int64) error {
	pool := smallBuffers
	if length > smallBuffer {
		pool = largeBuffers
	}
	for {
		httpx.Wait(body) // before a buffer is taken
		n, err := d.copyPiece(body, pool)
		if err == io.EOF { //nolint:errorlint // a wrapped io.EOF is not the end of the body
			return nil
		}
		length -= int64(n)
		if length != 0 { // otherwise EOF is next
			if err := d.control.Flush(); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		// The next piece is expected to be like this one.
		pool = smallBuffers
		if n >= smallBuffer {
			pool = largeBuffers
		}
	}
}

// copyPiece copies the next piece of body with a buffer of pool. It returns the length of the
// piece, and an error of either side.
func (d *downstream) copyPiece(body io.Reader, pool *sync.Pool) (int, error) {
	buffer := pool.Get().(*[]byte)
	defer pool.Put(buffer)
	n, err := body.Read(*buffer)
	if n > 0 {
		if _, err := d.w.Write((*buffer)[:n]); err != nil {
			return n, err
		}
	}
	return n, err
}
