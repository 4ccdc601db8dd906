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

// CheckError checks an error's code, and that its message contains all of
// substrings.
func CheckError(t *testing.T, failed *RPCError, code connect.Code, substrings ...string) {
	t.Helper()
	if failed.Code != code {
		t.Errorf("got code %v, want %v", failed.Code, code)
	}
	for _, text := range substrings {
		if !strings.Contains(failed.Message, text) {
			t.Errorf("got message %q, want it to contain %q", failed.Message, text)
		}
	}
}

// FailureCase is a script and the error that a call with it ends in.
type FailureCase struct {
	Name    string
	Script  Script
	Methods []string // nil means both

	Code connect.Code
	// Detail is the complete detail. Its message is also the error's message.
	Detail *restv1.Error
	// Retry is the delay in RetryInfo, or nil without RetryInfo.
	Retry *Delay
	// Contains lists substrings of the message, for errors without Detail.
	Contains []string
	// Chunks is the number of chunks before the error, or AnyNumber.
	Chunks int
}

// Delay is a range of retry delays. A date in Retry-After has no exact delay.
type Delay struct{ Min, Max time.Duration }

// After returns the range that holds only d.
func After(d time.Duration) *Delay { return &Delay{d, d} }

// check checks the delay of an error.
func (d *Delay) check(t *testing.T, got *errdetails.RetryInfo) {
	t.Helper()
	switch {
	case d == nil && got != nil:
		t.Errorf("got retry delay %v, want none", got.GetRetryDelay().AsDuration())
	case d != nil && got == nil:
		t.Errorf("got no retry delay, want %v", d.Min)
	case d != nil && (got.GetRetryDelay().AsDuration() < d.Min || got.GetRetryDelay().AsDuration() > d.Max):
		t.Errorf("got retry delay %v, want %v to %v", got.GetRetryDelay().AsDuration(), d.Min, d.Max)
	}
}

const (
	// AnyNumber accepts any number of chunks.
	AnyNumber = -1
	// UpstreamHost is a placeholder for the upstream's HOST:PORT in a detail.
	UpstreamHost = "UPSTREAM"
)

// CheckFailures makes a unary and a streaming call with every client for each of
// the failures.
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
				for _, method := range Methods {
					if f.Methods != nil && !slices.Contains(f.Methods, method) {
						continue
					}
					t.Run(client.Name+" "+method, func(t *testing.T) {
						f.Check(t, ScriptedCall{Method: method, Script: f.Name}.Do(t, client))
					})
				}
			}
		})
	}
}

// Check checks the result of a call against the failure.
func (f FailureCase) Check(t *testing.T, got Result) {
	t.Helper()
	if got.Err == nil {
		t.Fatalf("call succeeded with %q, want an error", got.Chunks)
	}
	if got.Err.Code != f.Code {
		t.Errorf("got code %v, want %v", got.Err.Code, f.Code)
	}
	if f.Chunks != AnyNumber && len(got.Chunks) != f.Chunks {
		t.Errorf("got %d chunks before the error, want %d", len(got.Chunks), f.Chunks)
	}
	for _, text := range f.Contains {
		if !strings.Contains(got.Err.Message, text) {
			t.Errorf("got message %q, want it to contain %q", got.Err.Message, text)
		}
	}
	if f.Detail != nil {
		if !proto.Equal(got.Err.Detail, f.Detail) {
			t.Errorf("got detail\n%v, want\n%v", got.Err.Detail, f.Detail)
		}
		if got.Err.Message != f.Detail.GetMessage() {
			t.Errorf("got message %q, want %q", got.Err.Message, f.Detail.GetMessage())
		}
	}
	f.Retry.check(t, got.Err.Retry)
	if got.Err.Detail.GetMessage() != got.Err.Message {
		t.Errorf("got detail message %q, want the error's message %q", got.Err.Detail.GetMessage(), got.Err.Message)
	}
}
