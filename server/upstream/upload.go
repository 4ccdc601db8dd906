package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// uploadBuffer is the size of the pieces, in bytes, in which a body is sent.
const uploadBuffer = 32 << 10

var uploadBuffers = sync.Pool{New: func() any { return new([uploadBuffer]byte) }}

// upload sends a request's body on a goroutine of its own, as the answer may
// come before its end.
//
// A nil upload is that of a request whose body, if it has one, was sent before.
type upload struct {
	body     io.Reader
	framing  framing
	exchange *exchange

	expects bool
	proceed chan bool             // tells what became of the expectation
	readErr atomic.Pointer[error] // what broke reading the body
	whole   atomic.Bool           // all of it was sent
}

func newUpload(out *outgoing, req *Request, x *exchange) *upload {
	return &upload{
		body: out.rest, framing: out.framing, exchange: x,
		expects: len(req.Header["Expect"]) > 0, proceed: make(chan bool, 1),
	}
}

// decide tells an upload that waits whether the upstream expects the body.
func (u *upload) decide(proceed bool) {
	if u == nil {
		return
	}
	select {
	case u.proceed <- proceed:
	default:
	}
}

// isWhole reports whether all of the body was sent.
func (u *upload) isWhole() bool { return u == nil || u.whole.Load() }

// failure is what broke reading the body, nil if nothing did.
func (u *upload) failure() error {
	if u == nil || u.readErr.Load() == nil {
		return nil
	}
	return *u.readErr.Load()
}

// run sends the body, and then gives the answer its time.
func (u *upload) run(ctx context.Context) {
	defer func() {
		closeBody(u.body)
		u.body = nil // The exchange may be long, and the body large.
	}()
	if u.expects {
		timer := time.NewTimer(expectContinueTimeout)
		defer timer.Stop()
		select {
		case proceed := <-u.proceed:
			if !proceed {
				return
			}
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
	var err error
	if !u.framing.chunked && u.framing.length <= smallBody {
		err = u.sendLength(make([]byte, u.framing.length)) // of a slow client, of which there may be many
	} else {
		buffer := uploadBuffers.Get().(*[uploadBuffer]byte)
		defer uploadBuffers.Put(buffer)
		if u.framing.chunked {
			err = u.sendChunks(buffer[:])
		} else {
			err = u.sendLength(buffer[:])
		}
	}
	switch {
	case err == nil:
		u.exchange.startWaiting()
	case errors.Is(err, errAbandoned):
	default:
		u.readErr.Store(&err)
		_ = u.exchange.conn.Close() // or the upstream would wait for the rest
	}
}

// sendLength sends a body of known length. It reads to the body's end, as the
// end may have to be seen. The error is one of reading: whoever can't be written
// to may have answered before.
func (u *upload) sendLength(buffer []byte) error {
	for left := u.framing.length; ; {
		n, err := u.body.Read(buffer)
		if left -= int64(n); left < 0 {
			return errBodyTooLong
		}
		if n > 0 {
			if _, err := u.exchange.conn.Write(buffer[:n]); err != nil {
				return nil //nolint:nilerr // see above
			}
		}
		switch {
		case err == io.EOF && left > 0:
			return io.ErrUnexpectedEOF
		case err == io.EOF:
			u.whole.Store(true)
			return nil
		case err != nil:
			return err
		}
	}
}

// sendChunks is sendLength for a body of unknown length. Each piece is sent as
// soon as it is there.
func (u *upload) sendChunks(buffer []byte) error {
	writer := bufio.NewWriter(u.exchange.conn) // it keeps its error, for Flush
	chunks := httputil.NewChunkedWriter(writer)
	for {
		n, err := u.body.Read(buffer)
		if n > 0 {
			_, _ = chunks.Write(buffer[:n])
		}
		switch {
		case err == io.EOF:
			trailer, err := u.trailer()
			if err != nil {
				return err
			}
			_ = chunks.Close()
			_, _ = writer.Write(trailer)
			u.whole.Store(writer.Flush() == nil)
			return nil
		case err != nil:
			return err
		}
		if writer.Flush() != nil {
			return nil //nolint:nilerr // as in sendLength
		}
	}
}

// trailer is the trailer section, which is empty for most bodies.
func (u *upload) trailer() (b []byte, err error) {
	for name, values := range u.framing.trailer {
		if !httpguts.ValidTrailerHeader(name) {
			continue
		}
		if b, err = appendField(b, name, values); err != nil {
			return nil, err
		}
	}
	return append(b, "\r\n"...), nil
}

func closeBody(body io.Reader) {
	if closer, ok := body.(io.Closer); ok {
		_ = closer.Close()
	}
}
