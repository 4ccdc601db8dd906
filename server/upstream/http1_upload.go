package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http/httputil"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// upload sends a request's body on its own goroutine, because the response may arrive
// before the end of the body. A nil upload stands for a body that was sent with the header.
type upload struct {
	body     io.Reader
	framing  framing
	exchange *exchange

	expects  bool
	proceed  chan bool             // resolves the expectation
	readErr  atomic.Pointer[error] // the error of reading the body
	complete atomic.Bool           // all of the body was sent
}

func newUpload(out *wireRequest, req *Request, x *exchange) *upload {
	return &upload{
		body: out.body, framing: out.framing, exchange: x,
		expects: len(req.Header["Expect"]) > 0, proceed: make(chan bool, 1),
	}
}

// resolveExpectation resolves a pending expectation: whether the upstream wants the body.
func (u *upload) resolveExpectation(proceed bool) {
	if u == nil {
		return
	}
	select {
	case u.proceed <- proceed:
	default:
	}
}

// isComplete reports whether all of the body was sent.
func (u *upload) isComplete() bool { return u == nil || u.complete.Load() }

// readError returns the error of reading the body, if any.
func (u *upload) readError() error {
	if u == nil || u.readErr.Load() == nil {
		return nil
	}
	return *u.readErr.Load()
}

// run sends the body, after which the exchange waits for the response.
func (u *upload) run(ctx context.Context) {
	defer func() {
		closeBody(u.body)
		u.body = nil // the exchange may be long, and the body large
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
	err := u.send()
	switch {
	case err == nil:
		u.exchange.wait()
	case errors.Is(err, errBodyCanceled):
	default:
		u.readErr.Store(&err)
		_ = u.exchange.conn.Close() // the upstream would wait for the rest
	}
}

// send sends the body. It returns errors of reading only: after a write error the response
// may still be read.
func (u *upload) send() error {
	conn := u.exchange.conn
	if !u.framing.chunked {
		complete, err := u.framing.copyBody(u.body, func(piece []byte) bool {
			_, err := conn.Write(piece)
			return err == nil
		})
		u.complete.Store(complete)
		return err
	}
	writer := bufio.NewWriter(conn) // its error is sticky and returned by Flush
	chunks := httputil.NewChunkedWriter(writer)
	complete, err := u.framing.copyBody(u.body, func(piece []byte) bool {
		_, _ = chunks.Write(piece)
		return writer.Flush() == nil
	})
	if err != nil || !complete {
		return err
	}
	trailer, err := u.trailer()
	if err != nil {
		return err
	}
	_ = chunks.Close()
	_, _ = writer.Write(trailer)
	u.complete.Store(writer.Flush() == nil)
	return nil
}

// trailer returns the trailer section, which is empty for most bodies.
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
