package policy

import (
	"net/http"

	"github.com/openai-connect/openai-connect/server/apierror"
	"github.com/openai-connect/openai-connect/server/request"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// reject returns an error as the response to a request, which is not sent.
func reject(record *request.Record, req *upstream.Request, e *apierror.Error) *http.Response {
	record.RejectedBy = e.Code
	return e.Response(req)
}
