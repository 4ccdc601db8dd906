package errors_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
)

// checkErrors checks the errors with every typed client, and that raw clients get
// the upstream's response.
func checkErrors(t *testing.T, errors []e2etest.FailureCase) {
	t.Helper()
	e2etest.CheckFailures(t, server.Config{}, errors)
	scripts := make(map[string]e2etest.Script)
	for _, f := range errors {
		scripts[f.Name] = f.Script
	}
	checkRaw(t, scripts)
}

// Every error status maps to a code. The detail is the upstream's error.
func TestErrorStatus_MapsToCode(t *testing.T) {
	t.Parallel()
	codes := map[connect.Code][]int{
		connect.CodeInvalidArgument:    {400, 413, 415, 422},
		connect.CodeUnauthenticated:    {401},
		connect.CodePermissionDenied:   {403},
		connect.CodeNotFound:           {404},
		connect.CodeUnimplemented:      {405, 501},
		connect.CodeDeadlineExceeded:   {408, 504},
		connect.CodeAborted:            {409},
		connect.CodeFailedPrecondition: {412, 406, 410, 411, 414, 418, 421, 423, 424, 425, 428, 431, 444, 451, 460, 498},
		connect.CodeResourceExhausted:  {402, 429},
		connect.CodeCanceled:           {499},
		connect.CodeUnavailable:        {502, 503, 520, 521, 522, 523, 524, 525, 526, 529},
		connect.CodeInternal:           {500, 505, 507, 508, 511, 527, 530, 599, 600, 999},
	}
	var failures []e2etest.FailureCase
	for code, statuses := range codes {
		for _, status := range statuses {
			message := fmt.Sprintf("message of status %d", status)
			failures = append(failures, e2etest.FailureCase{
				Name: strconv.Itoa(status),
				Script: e2etest.Reply(status, `{"error":{"message":"`+message+`","type":"some_error","param":"messages[0]","code":"some_code"}}`,
					e2etest.JSONType, fmt.Sprint("X-Request-Id: req_", status), fmt.Sprint("Retry-After: ", status)),
				Code:  code,
				Retry: e2etest.After(time.Duration(status) * time.Second),
				Detail: &restv1.Error{
					Message: message, Type: "some_error", Param: new("messages[0]"), Code: new("some_code"),
					HttpStatus: int32(status), RequestId: fmt.Sprint("req_", status),
				},
			})
		}
	}
	checkErrors(t, failures)
}
