package usage_test

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/usage"
)

// body records the calls of its methods.
type body struct {
	io.Reader

	calls []string
}

func (b *body) note(what string) error {
	b.calls = append(b.calls, what)
	return nil
}

func (b *body) Close() error { return b.note("close") }

type waitingBody struct{ *body }

func (b waitingBody) Wait() { _ = b.note("wait") }

type connectionBody struct{ *body }

func (b connectionBody) Write(p []byte) (int, error) {
	return len(p), b.note("write " + string(p))
}

func (b connectionBody) CloseWrite() error { return b.note("close write") }

func (b connectionBody) SetReadDeadline(time.Time) error { return b.note("deadline") }

func TestTap_KeepsMethodsOfTheBody(t *testing.T) {
	t.Parallel()
	type waiter interface{ Wait() }
	type connection interface {
		io.ReadWriteCloser
		CloseWrite() error
		SetReadDeadline(deadline time.Time) error
	}
	t.Run("with Wait", func(t *testing.T) {
		t.Parallel()
		inner := &body{Reader: strings.NewReader("{}")}
		resp := respond(typeJSON, 0, "")
		resp.Body = waitingBody{inner}
		usage.NewTap(resp, textRequest, nil)
		resp.Body.(waiter).Wait()
		resp.Body.Close()
		if got := strings.Join(inner.calls, ", "); got != "wait, close" {
			t.Error(got)
		}
	})
	t.Run("without Wait", func(t *testing.T) {
		t.Parallel()
		resp := respond(typeJSON, 0, "{}")
		usage.NewTap(resp, textRequest, nil)
		defer resp.Body.Close()
		if _, ok := resp.Body.(waiter); ok {
			t.Error("got a body with the method Wait, want none")
		}
	})
	t.Run("a connection", func(t *testing.T) {
		t.Parallel()
		inner := &body{Reader: strings.NewReader("")}
		resp := respond("", http.StatusSwitchingProtocols, "")
		resp.Body = connectionBody{inner}
		usage.NewTap(resp, textRequest, nil)
		through := resp.Body.(connection)
		through.Write([]byte("x"))
		through.CloseWrite()
		through.SetReadDeadline(time.Time{})
		through.Close()
		if got := strings.Join(inner.calls, ", "); got != "write x, close write, deadline, close" {
			t.Error(got)
		}
	})
	t.Run("no body", func(t *testing.T) {
		t.Parallel()
		resp := respond(typeJSON, http.StatusNoContent, "")
		resp.Body = http.NoBody
		tap := usage.NewTap(resp, textRequest, nil)
		if got := tap.Response().Usage; resp.Body != http.NoBody || got != estimated(3, 0) {
			t.Error(resp.Body, got)
		}
	})
}

// errBroken is the error of a truncated body.
var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestTap_KeepsErrorsOfTheBody(t *testing.T) {
	t.Parallel()
	resp := respond(typeEvents, 0, "")
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(events(`{"choices":[{"delta":{"content":"Hello"}}]}`)), broken{}))
	tap := usage.NewTap(resp, textRequest, nil)
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != errBroken { //nolint:errorlint // the identical error
		t.Error(err)
	}
	if got := tap.Response(); got.Usage != estimated(3, 1) || got.Events != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestTap_IsSafeForConcurrentUse calls Response and Close while a body is read.
func TestTap_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"", "gzip", "zstd", "br"} {
		text := events(strings.Repeat(`{"choices":[{"delta":{"content":"Hello"}}]}`+"\n\ndata: ", 1000))
		if coding != "" {
			text = string(encode(t, coding, text)[0])
		}
		resp := respond(typeEvents, 0, text)
		resp.Header.Set("Content-Encoding", coding)
		tap := usage.NewTap(resp, textRequest, nil)
		body := resp.Body
		var others sync.WaitGroup
		others.Go(func() {
			for tap.Response().Events < 10 {
				runtime.Gosched()
			}
			body.Close()
		})
		for piece := make([]byte, 100); ; {
			if _, err := body.Read(piece); err != nil {
				break
			}
		}
		others.Wait()
		if got := tap.Response(); got.Events < 10 {
			t.Errorf("%q: got %+v, want at least 10 events", coding, got)
		}
	}
}
