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

// upstream is the embedded upstream behind a recorder.
type upstream struct {
	recorder *servertest.Upstream

	mu      sync.Mutex
	sandbox http.Handler
	ids     []string // of the requests, as they were answered
}

func startUpstream(tb testing.TB) *upstream {
	tb.Helper()
	u := new(upstream)
	u.renew()
	u.recorder = servertest.StartUpstream(tb, func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		handler := u.sandbox
		u.mu.Unlock()
		handler.ServeHTTP(noting{w, u}, r)
	})
	return u
}

// renew begins an upstream without memory, at a time that stands still: the same
// requests have the same answers.
func (u *upstream) renew() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sandbox = sandbox.New(sandbox.WithClock(func() time.Time { return time.Unix(1_750_000_000, 0) }))
}

// noting notes the request id of an answer.
type noting struct {
	http.ResponseWriter

	to *upstream
}

func (w noting) WriteHeader(status int) {
	w.to.mu.Lock()
	w.to.ids = append(w.to.ids, w.Header().Get("X-Request-ID"))
	w.to.mu.Unlock()
	w.ResponseWriter.WriteHeader(status)
}

func (w noting) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// seen is a request as it arrived, and the id that it was answered with.
type seen struct {
	servertest.Request

	id string
}

// take returns the requests since the last time.
func (u *upstream) take() ([]seen, error) {
	requests := u.recorder.Take()
	u.mu.Lock()
	ids := u.ids
	u.ids = nil
	u.mu.Unlock()
	if len(ids) != len(requests) {
		return nil, fmt.Errorf("%d requests had %d answers", len(requests), len(ids))
	}
	all := make([]seen, 0, len(requests))
	for i, r := range requests {
		all = append(all, seen{r, ids[i]})
	}
	return all, nil
}

// sameRequest returns in what two requests differ. The order of query parameters
// and the form of their escapes are not compared, nor the headers of the client
// and of the connection.
func sameRequest(a, b seen) error {
	if a.Method != b.Method {
		return fmt.Errorf("the methods are %s and %s", a.Method, b.Method)
	}
	pathA, queryA, errA := target(a.Target)
	pathB, queryB, errB := target(b.Target)
	switch {
	case errA != nil || errB != nil:
		return errors.Join(errA, errB)
	case pathA != pathB:
		return fmt.Errorf("the paths are %s and %s", pathA, pathB)
	case !reflect.DeepEqual(queryA, queryB):
		return fmt.Errorf("the queries are %v and %v", queryA, queryB)
	}
	for _, name := range []string{"Authorization", "Content-Type"} {
		if x, y := a.Header[name], b.Header[name]; !reflect.DeepEqual(x, y) {
			return fmt.Errorf("the headers %s are %q and %q", name, x, y)
		}
	}
	if a.Body == "" && b.Body == "" {
		return nil
	}
	return equal([]byte(a.Body), []byte(b.Body))
}

func target(text string) (path string, query url.Values, err error) {
	path, raw, _ := strings.Cut(text, "?")
	query, err = url.ParseQuery(raw)
	return path, query, err
}
