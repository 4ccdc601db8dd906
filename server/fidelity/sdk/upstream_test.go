package sdk_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/sandbox"
)

// upstream is the embedded upstream wrapped in a recorder.
type upstream struct {
	recorder *servertest.Upstream

	mu      sync.Mutex
	sandbox http.Handler
	ids     []string // request IDs, in response order
}

func startUpstream(tb testing.TB) *upstream {
	tb.Helper()
	u := new(upstream)
	u.reset()
	u.recorder = servertest.StartUpstream(tb, func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		handler := u.sandbox
		u.mu.Unlock()
		handler.ServeHTTP(idRecorder{w, u}, r)
	})
	return u
}

// reset replaces the upstream with an empty one with a fixed clock, so that the same
// requests get the same responses.
func (u *upstream) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sandbox = sandbox.New(sandbox.WithClock(func() time.Time { return time.Unix(1_750_000_000, 0) }))
}

// idRecorder records the request ID of a response.
type idRecorder struct {
	http.ResponseWriter

	to *upstream
}

func (w idRecorder) WriteHeader(status int) {
	w.to.mu.Lock()
	w.to.ids = append(w.to.ids, w.Header().Get("X-Request-ID"))
	w.to.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (w idRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// received is a request received by the upstream, with the request ID of the response.
type received struct {
	servertest.Request

	id string
}

// take returns the requests received since the previous call.
func (u *upstream) take() ([]received, error) {
	requests := u.recorder.Take()
	u.mu.Lock()
	ids := u.ids
	u.ids = nil
	u.mu.Unlock()
	if len(ids) != len(requests) {
		return nil, fmt.Errorf("got %d requests but %d responses", len(requests), len(ids))
	}
	all := make([]received, 0, len(requests))
	for i, r := range requests {
		all = append(all, received{r, ids[i]})
	}
	return all, nil
}

// compareRequests reports how two requests differ. It ignores the order and the escapes
// of query parameters, and headers that depend on the client or the connection.
func compareRequests(a, b received) error {
	if a.Method != b.Method {
		return fmt.Errorf("method %s differs from %s", a.Method, b.Method)
	}
	pathA, queryA, errA := target(a.Target)
	pathB, queryB, errB := target(b.Target)
	switch {
	case errA != nil || errB != nil:
		return errors.Join(errA, errB)
	case pathA != pathB:
		return fmt.Errorf("path %s differs from %s", pathA, pathB)
	case !reflect.DeepEqual(queryA, queryB):
		return fmt.Errorf("query %v differs from %v", queryA, queryB)
	}
	for _, name := range []string{"Authorization", "Content-Type"} {
		if x, y := a.Header[name], b.Header[name]; !reflect.DeepEqual(x, y) {
			return fmt.Errorf("header %s: %q differs from %q", name, x, y)
		}
	}
	if a.Body == "" && b.Body == "" {
		return nil
	}
	return compareJSON([]byte(a.Body), []byte(b.Body))
}

func target(text string) (path string, query url.Values, err error) {
	path, raw, _ := strings.Cut(text, "?")
	query, err = url.ParseQuery(raw)
	return path, query, err
}
