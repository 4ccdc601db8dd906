package server_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
)

// failing is a script that ends in an error, and the error.
type failing struct {
	name   string
	script script
	ways   []string // nil means both

	code connect.Code
	// detail is the detail in full. Its message is the error's.
	detail *restv1.Error
	// retry is when the error says to try again; nil if it doesn't.
	retry *delay
	// says, where there is no detail to compare, is what the message contains.
	says []string
	// texts is how many chunks come before the error, or anyNumber.
	texts int
}

// delay bounds a time to try again after, which is a date on the wire at times.
type delay struct{ least, most time.Duration }

// after is exactly this delay.
func after(d time.Duration) *delay { return &delay{d, d} }

// check says how an error's delay isn't this one.
func (d *delay) check(t *testing.T, got *errdetails.RetryInfo) {
	t.Helper()
	switch {
	case d == nil && got != nil:
		t.Errorf("the error says to try again after %v", got.GetRetryDelay().AsDuration())
	case d != nil && got == nil:
		t.Errorf("the error doesn't say to try again after %v", d.least)
	case d != nil && (got.GetRetryDelay().AsDuration() < d.least || got.GetRetryDelay().AsDuration() > d.most):
		t.Errorf("the delay is %v, which is not between %v and %v", got.GetRetryDelay().AsDuration(), d.least, d.most)
	}
}

const (
	anyNumber = -1
	// upstreamHost stands for the upstream's host and port in a detail.
	upstreamHost = "UPSTREAM"
)

// checkErrors has every typed client meet each of the errors, as checkFailures
// does, and compares what raw clients get with what the upstream sent.
func checkErrors(t *testing.T, errors []failing) {
	t.Helper()
	checkFailures(t, server.Config{}, errors)
	scripts := make(map[string]script)
	for _, f := range errors {
		scripts[f.name] = f.script
	}
	checkRaw(t, scripts)
}

// checkFailures has every client ask for each of the failures, both ways.
func checkFailures(t *testing.T, config server.Config, failures []failing) {
	t.Helper()
	scripts := make(map[string]script)
	for _, f := range failures {
		scripts[f.name] = f.script
	}
	config.Upstream = serveScripts(t, scripts)
	front := startFront(t, config)
	clients := libraryClients(t, front)
	for _, f := range failures {
		if f.detail != nil {
			f.detail = proto.CloneOf(f.detail)
			f.detail.Message = strings.ReplaceAll(f.detail.GetMessage(), upstreamHost, strings.TrimPrefix(config.Upstream, "http://"))
		}
		t.Run(f.name, func(t *testing.T) {
			for _, client := range clients {
				for _, way := range bothWays {
					if f.ways != nil && !slices.Contains(f.ways, way) {
						continue
					}
					t.Run(client.name+" "+way, func(t *testing.T) {
						f.check(t, question{way: way, script: f.name}.ask(t, client))
					})
				}
			}
		})
	}
}

func (f failing) check(t *testing.T, got answered) {
	t.Helper()
	if got.failed == nil {
		t.Fatalf("the call succeeded: %q", got.texts)
	}
	if got.failed.code != f.code {
		t.Errorf("the code is %v, not %v", got.failed.code, f.code)
	}
	if f.texts != anyNumber && len(got.texts) != f.texts {
		t.Errorf("%d chunks came before the error, not %d", len(got.texts), f.texts)
	}
	for _, text := range f.says {
		if !strings.Contains(got.failed.message, text) {
			t.Errorf("the message %q doesn't say %q", got.failed.message, text)
		}
	}
	if f.detail != nil {
		if !proto.Equal(got.failed.detail, f.detail) {
			t.Errorf("the detail is\n%v, not\n%v", got.failed.detail, f.detail)
		}
		if got.failed.message != f.detail.GetMessage() {
			t.Errorf("the message is %q, not %q", got.failed.message, f.detail.GetMessage())
		}
	}
	f.retry.check(t, got.failed.retry)
	if got.failed.detail.GetMessage() != got.failed.message {
		t.Errorf("the detail's message %q is not the error's %q", got.failed.detail.GetMessage(), got.failed.message)
	}
}

// Every status of an error has its code, and the error is the upstream's own in
// all that it says.
func TestAnErrorStatusHasItsCode(t *testing.T) {
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
	var failures []failing
	for code, statuses := range codes {
		for _, status := range statuses {
			message := fmt.Sprintf("what %d is about", status)
			failures = append(failures, failing{
				name: strconv.Itoa(status),
				script: reply(status, `{"error":{"message":"`+message+`","type":"some_error","param":"messages[0]","code":"some_code"}}`,
					jsonType, fmt.Sprint("X-Request-Id: req_", status), fmt.Sprint("Retry-After: ", status)),
				code:  code,
				retry: after(time.Duration(status) * time.Second),
				detail: &restv1.Error{
					Message: message, Type: "some_error", Param: new("messages[0]"), Code: new("some_code"),
					HttpStatus: int32(status), RequestId: fmt.Sprint("req_", status),
				},
			})
		}
	}
	checkErrors(t, failures)
}
