package passthrough

import (
	"io"
	"net/http"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"github.com/openai-connect/openai-connect/server/request"
)

// upload is a request's body as the upstream's transport reads it, on a
// goroutine of its own.
type upload struct {
	downstream      *downstream
	expectsContinue bool
	trailer         http.Header     // announced keys at first, with values in the end; nil for a body that can't have one
	done            atomic.Bool     // the body was read to its end
	call            *request.Record // that is told what the client sends; nil for none
}

func newUpload(d *downstream) *upload {
	u := &upload{
		downstream: d,
		// Over HTTP/2 the frames of all responses are written by one goroutine,
		// and net/http can be left to answer the expectation.
		expectsContinue: d.r.ProtoMajor == 1 && d.r.Header.Get("Expect") != "",
	}
	if len(d.r.Trailer) > 0 || d.r.ContentLength < 0 { // also one that isn't announced may come
		u.trailer = make(http.Header)
	}
	for name := range d.r.Trailer {
		if httpguts.ValidTrailerHeader(name) {
			u.trailer[name] = nil
		}
	}
	return u
}

func (u *upload) Read(p []byte) (int, error) {
	if u.done.Load() {
		return 0, io.EOF // the body may not be touched after the handler's end
	}
	if u.expectsContinue {
		// net/http would say so by itself at the first Read, but without
		// regard to other interim responses that are just being written.
		u.expectsContinue = false
		u.downstream.writeInterim(http.StatusContinue, nil)
	}
	n, err := u.downstream.r.Body.Read(p)
	if u.call != nil && n > 0 {
		u.call.RecordBody(p[:n])
	}
	if err == io.EOF {
		for name, values := range u.downstream.r.Trailer {
			if u.trailer != nil && httpguts.ValidTrailerHeader(name) {
				u.trailer[name] = values
			}
		}
		u.done.Store(true)
	}
	return n, err
}
