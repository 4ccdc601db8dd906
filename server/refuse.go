package server

import (
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server/passthrough"
	"github.com/openai-connect/openai-connect/server/request"
)

// refusal is why this server answers a call itself, in the terms of either way in.
type refusal struct {
	status     int
	code       connect.Code
	kind       string // the type of OpenAI's error
	reason     string // its code
	message    string
	retryAfter time.Duration // in whole seconds; zero where it is of no use to come back
}

// refuse answers in the protocol of the request: as an RPC's error or as OpenAI's.
func (m *router) refuse(w http.ResponseWriter, r *http.Request, why refusal) {
	record := request.FromContext(r.Context())
	record.RejectedBy = why.reason
	w = challenge{w}
	if why.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(why.retryAfter/time.Second), 10))
	}
	if !record.Kind.IsRPC() {
		passthrough.Refuse(w, why.status, why.kind, why.reason, why.message)
		return
	}
	record.Code = why.code.String() // a streaming response only has it at its end
	details := []proto.Message{&restv1.Error{Message: why.message, Type: why.kind, Code: &why.reason}}
	if why.retryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(why.retryAfter)})
	}
	failure := connect.NewError(why.code, why.message)
	for _, detail := range details {
		if packed, err := connectproto.NewErrorDetail(detail); err == nil {
			failure = failure.WithDetail(packed)
		}
	}
	_ = m.errors.Write(w, r, failure)
}

// challenge adds to a status of 401 the field that it comes with (RFC 9110
// §15.5.2), as RFC 6750 §3 has it.
type challenge struct{ http.ResponseWriter }

func (w challenge) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.ResponseWriter.WriteHeader(status)
}
