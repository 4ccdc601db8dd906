package passthrough

import (
	"io"
	"net/http"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"github.com/openai-connect/openai-connect/server/request"
)

// upload is a request's body. The upstream's client reads it on another goroutine.
type upload struct {
	downstream      *downstream
	expectsContinue bool
	trailer         http.Header     // announced keys, with values after the end of the body; nil for a body without trailers
	done            atomic.Bool     // the body was read to its end
	record          *request.Record // records the body; set before the body is read
}

func newUpload(d *downstream) *upload {
	u := &upload{
		downstream: d,
		// Over HTTP/2 one goroutine writes the frames of all responses, so that net/http can
		// send the 100 itself.
		expectsContinue: d.r.ProtoMajor == 1 && d.r.Header.Get("Expect") != "",
	}
	if len(d.r.Trailer) > 0 || d.r.ContentLength < 0 { // unannounced trailers are possible
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
		return 0, io.EOF // the body must not be used after the handler has returned
	}
	if u.expectsContinue {
		// net/http would send it at the first Read, but not synchronized with other
		// interim responses.
		u.expectsContinue = false
		u.downstream.writeInterim(http.StatusContinue, nil)
	}
	n, err := u.downstream.r.Body.Read(p)
	if n > 0 {
		u.record.RecordBody(p[:n])
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
