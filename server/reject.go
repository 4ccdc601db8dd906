package server

import (
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/request"
)

// reject writes an error in the protocol of the request.
func (m *router) reject(w http.ResponseWriter, r *http.Request, e *apierror.Error) {
	record := request.FromContext(r.Context())
	record.RejectedBy = e.Code
	if !record.Kind.IsRPC() {
		e.WriteTo(w)
		return
	}
	failure := e.Connect()
	record.Code = failure.Code().String() // a streaming response only has it at its end
	_ = m.errors.Write(errorWriter{w, e}, r, failure)
}

// errorWriter writes the status and the header of an error, where Connect derives the
// status from its code. The status 200 of gRPC and of streams is kept.
type errorWriter struct {
	http.ResponseWriter

	err *apierror.Error
}

func (w errorWriter) WriteHeader(status int) {
	w.err.SetHeader(w.Header())
	if status == http.StatusOK {
		w.Header().Del("WWW-Authenticate")
	} else {
		status = w.err.Status
	}
	w.ResponseWriter.WriteHeader(status)
}
