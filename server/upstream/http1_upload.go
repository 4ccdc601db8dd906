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
// before all of the body is sent. A nil upload means that the body was sent with the header.
type upload struct {
	body     io.Reader
	framing  framing
	exchange *exchange

	expectsContinue bool      // the request has an Expect header (RFC 9110 §10.1.1)
	proceed         chan bool // receives whether to send the body that Expect holds back

	readErr  atomic.Pointer[error] // an error from reading the body
	complete atomic.Bool           // all of the body was sent
}

func newUpload(out *wireRequest, req *Request, x *exchange) *upload {
	return &upload{
		body: out.body, framing: out.framing, exchange: x,
		expectsContinue: len(req.Header["Expect"]) > 0, proceed: make(chan bool, 1),
	}
}

// resolveExpectContinue starts an upload that waits for 100 (Continue) if proceed is true, and
// cancels it otherwise. It has no effect on any other upload.
func (u *upload) resolveExpectContinue(proceed bool) {
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

// readError returns the error from reading the body, if any.
func (u *upload) readError() error {
	if u == nil || u.readErr.Load() == nil {
		return nil
	}
	return *u.readErr.Load()
}

// run sends the body and then starts the timeout for the response header.
func (u *upload) run(ctx context.Context) {
	defer func() {
		closeBody(u.body)
		u.body = nil // frees a large body during a long exchange
	}()
	if u.expectsContinue {
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
		u.exchange.startWaiting()
	case errors.Is(err, errBodyCanceled):
	default:
		u.readErr.Store(&err)
		_ = u.exchange.conn.Close() // otherwise the upstream waits for the rest
	}
}

// send sends the body. It returns only read errors: after a write error the response may
// still be readable.
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
	writer := bufio.NewWriter(conn) // Flush returns the error of an earlier Write
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

// trailer returns the encoded trailer section. Most bodies have no trailer fields.
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
