package e2etest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/server"
)

// CheckError checks that a failure is of a code, and that its message says what
// the caller needs to know.
func CheckError(t *testing.T, failed *RPCError, code connect.Code, says ...string) {
	t.Helper()
	if failed.Code != code {
		t.Errorf("the code is %v, not %v", failed.Code, code)
	}
	for _, text := range says {
		if !strings.Contains(failed.Message, text) {
			t.Errorf("the message %q doesn't say %q", failed.Message, text)
		}
	}
}

// FailureCase is a script that ends in an error, and the error.
type FailureCase struct {
	Name    string
	Script  Script
	Methods []string // nil means both

	Code connect.Code
	// Detail is the detail in full. Its message is the error's.
	Detail *restv1.Error
	// Retry is when the error says to try again; nil if it doesn't.
	Retry *Delay
	// says, where there is no detail to compare, is what the message contains.
	Contains []string
	// Texts is how many chunks come before the error, or anyNumber.
	Texts int
}

// Delay bounds a time to try again after, which is a date on the wire at times.
type Delay struct{ Min, Max time.Duration }

// After is exactly this delay.
func After(d time.Duration) *Delay { return &Delay{d, d} }

// check says how an error's delay isn't this one.
func (d *Delay) check(t *testing.T, got *errdetails.RetryInfo) {
	t.Helper()
	switch {
	case d == nil && got != nil:
		t.Errorf("the error says to try again after %v", got.GetRetryDelay().AsDuration())
	case d != nil && got == nil:
		t.Errorf("the error doesn't say to try again after %v", d.Min)
	case d != nil && (got.GetRetryDelay().AsDuration() < d.Min || got.GetRetryDelay().AsDuration() > d.Max):
		t.Errorf("the delay is %v, which is not between %v and %v", got.GetRetryDelay().AsDuration(), d.Min, d.Max)
	}
}

const (
	AnyNumber = -1
	// UpstreamHost stands for the upstream's host and port in a detail.
	UpstreamHost = "UPSTREAM"
)

// CheckFailures has every client ask for each of the failures, both ways.
func CheckFailures(t *testing.T, config server.Config, failures []FailureCase) {
	t.Helper()
	scripts := make(map[string]Script)
	for _, f := range failures {
		scripts[f.Name] = f.Script
	}
	config.Upstream = ServeScripts(t, scripts)
	front := StartServer(t, config)
	clients := LibraryClients(t, front)
	for _, f := range failures {
		if f.Detail != nil {
			f.Detail = proto.CloneOf(f.Detail)
			f.Detail.Message = strings.ReplaceAll(f.Detail.GetMessage(), UpstreamHost, strings.TrimPrefix(config.Upstream, "http://"))
		}
		t.Run(f.Name, func(t *testing.T) {
			for _, client := range clients {
				for _, way := range Methods {
					if f.Methods != nil && !slices.Contains(f.Methods, way) {
						continue
					}
					t.Run(client.Name+" "+way, func(t *testing.T) {
						f.Check(t, ScriptedCall{Method: way, Script: f.Name}.Do(t, client))
					})
				}
			}
		})
	}
}

func (f FailureCase) Check(t *testing.T, got Result) {
	t.Helper()
	if got.Err == nil {
		t.Fatalf("the call succeeded: %q", got.Texts)
	}
	if got.Err.Code != f.Code {
		t.Errorf("the code is %v, not %v", got.Err.Code, f.Code)
	}
	if f.Texts != AnyNumber && len(got.Texts) != f.Texts {
		t.Errorf("%d chunks came before the error, not %d", len(got.Texts), f.Texts)
	}
	for _, text := range f.Contains {
		if !strings.Contains(got.Err.Message, text) {
			t.Errorf("the message %q doesn't say %q", got.Err.Message, text)
		}
	}
	if f.Detail != nil {
		if !proto.Equal(got.Err.Detail, f.Detail) {
			t.Errorf("the detail is\n%v, not\n%v", got.Err.Detail, f.Detail)
		}
		if got.Err.Message != f.Detail.GetMessage() {
			t.Errorf("the message is %q, not %q", got.Err.Message, f.Detail.GetMessage())
		}
	}
	f.Retry.check(t, got.Err.Retry)
	if got.Err.Detail.GetMessage() != got.Err.Message {
		t.Errorf("the detail's message %q is not the error's %q", got.Err.Detail.GetMessage(), got.Err.Message)
	}
}
