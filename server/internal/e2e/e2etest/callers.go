package e2etest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
)

// Caller sends scripted requests through one client, over the typed or the raw
// API.
type Caller struct {
	Name string
	// Unary and Stream send a request with a script and return when the response
	// is complete or ctx is done. Stream calls began after the first event.
	Unary  func(ctx context.Context, t *testing.T, script string) error
	Stream func(ctx context.Context, t *testing.T, script string, began func()) error
}

// Callers returns a Caller for each of [LibraryClients] and for raw requests in
// each version of HTTP.
func Callers(t *testing.T, front *servertest.Front) []Caller {
	t.Helper()
	var all []Caller
	for _, client := range LibraryClients(t, front) {
		call := func(ctx context.Context, t *testing.T, q ScriptedCall) error {
			t.Helper()
			if failed := q.DoContext(ctx, t, client).Err; failed != nil {
				return failed
			}
			return nil
		}
		all = append(all, Caller{
			Name: client.Name,
			Unary: func(ctx context.Context, t *testing.T, script string) error {
				t.Helper()
				return call(ctx, t, ScriptedCall{Method: UnaryMethod, Script: script})
			},
			Stream: func(ctx context.Context, t *testing.T, script string, began func()) error {
				t.Helper()
				return call(ctx, t, ScriptedCall{Method: StreamMethod, Script: script, Each: func(string) { began() }})
			},
		})
	}
	for _, raw := range []struct {
		name   string
		client *http.Client
	}{
		{"raw over HTTP/1.1", servertest.HTTPClient(t, false)},
		{"raw over HTTP/2", servertest.HTTPClient(t, true)},
		{"raw over HTTP/1.0", servertest.HTTP10Client()},
	} {
		stream := func(ctx context.Context, t *testing.T, script string, began func()) error {
			t.Helper()
			request, err := NewRawRequest(ctx, front.URL, script)
			if err != nil {
				return err
			}
			response, err := raw.client.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			first := make([]byte, 1)
			if _, err := io.ReadFull(response.Body, first); err != nil {
				return err
			}
			began()
			_, err = io.Copy(io.Discard, response.Body)
			return err
		}
		all = append(all, Caller{
			Name: raw.name,
			Unary: func(ctx context.Context, t *testing.T, script string) error {
				t.Helper()
				return stream(ctx, t, script, func() {})
			},
			Stream: stream,
		})
	}
	return all
}

// NewRawRequest returns a raw request for a completion with [HelloBody].
func NewRawRequest(ctx context.Context, base, script string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(HelloBody))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+servertest.Key)
	request.Header.Set(ScriptHeader, script)
	return request, nil
}
