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
	// smallBuffer is what a piece that is waited for in Read is copied through,
	// so that a stream which waits holds no more. It is larger than most events,
	// and as large as net/http's read buffer.
	smallBuffer = 4 << 10
	// largeBuffer is what a body is copied through while it comes fast.
	largeBuffer = 32 << 10
	// shortBody is up to which length, in bytes, a body is taken to come in
	// one piece with its header. The header of a longer one, or of one whose
	// length isn't known, leaves without waiting for the body.
	shortBody = largeBuffer
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

// respond sends resp to the client, and returns an error if either side broke
// off. In that case the response must not be ended well.
func (d *downstream) respond(resp *http.Response) error {
	header := d.w.Header()
	responseHeader(header, resp, d.r.ProtoMajor)
	var announced []string
	if len(resp.Trailer) > 0 {
		announced = slices.Sorted(maps.Keys(resp.Trailer))
		header["Trailer"] = []string{strings.Join(announced, ", ")}
	}
	d.beforeHeader()
	d.w.WriteHeader(resp.StatusCode)
	if resp.ContentLength < 0 || resp.ContentLength > shortBody || d.uploading() {
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
		case httpguts.ValidTrailerHeader(name): // as net/http checks of those announced
			header[http.TrailerPrefix+name] = values
		}
	}
	return nil
}

// copyBody copies body, of a length in bytes that is negative if unknown, to
// the client. Each piece is flushed as it comes; only the last one waits, for
// the end of the response, which follows at once.
func (d *downstream) copyBody(body io.Reader, length int64) error {
	pool := smallBuffers
	if length > smallBuffer {
		pool = largeBuffers
	}
	for {
		httpx.Wait(body) // while there is no buffer yet
		n, err := d.copyPiece(body, pool)
		if err == io.EOF { //nolint:errorlint // an end that is wrapped is none
			return nil
		}
		length -= int64(n)
		if length != 0 { // else EOF is next
			if err := d.control.Flush(); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		// The next piece is taken to be like this one.
		pool = smallBuffers
		if n >= smallBuffer {
			pool = largeBuffers
		}
	}
}

// copyPiece copies what body has next, through a buffer of the pool's. It returns
// its length, and the error of either side.
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
