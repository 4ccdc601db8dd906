package transcode

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// flushes counts the flushes of a response.
type flushes struct {
	http.ResponseWriter

	n int
}

func (f *flushes) Flush() { f.n++ }

func TestFlush_IsDeferredWhilePaused(t *testing.T) {
	t.Parallel()
	counted := &flushes{ResponseWriter: httptest.NewRecorder()}
	w := &responseWriter{ResponseWriter: counted}
	for _, step := range []struct {
		name string
		do   func()
		want int
	}{
		{"a flush goes through", w.Flush, 1},
		{"another one too", w.Flush, 2},
		{"no flush while paused", w.pauseFlush, 2},
		{"releasing nothing flushes nothing", w.resumeFlush, 2},
		{"a flush is deferred", w.Flush, 2},
		{"a second one too", w.Flush, 2},
		{"releasing makes up for both", w.resumeFlush, 3},
		{"releasing again flushes nothing", w.resumeFlush, 3},
		{"a flush is deferred again", w.Flush, 3},
		{"and released", w.resumeFlush, 4},
	} {
		step.do()
		if counted.n != step.want {
			t.Fatalf("%s: there are %d flushes, not %d", step.name, counted.n, step.want)
		}
	}
}

func TestFlush_WithoutAWriter(t *testing.T) {
	t.Parallel()
	w := writerOf(t.Context())
	w.pauseFlush()
	w.resumeFlush()
}

func TestWrap_PassesWriterToTheCall(t *testing.T) {
	t.Parallel()
	counted := &flushes{ResponseWriter: httptest.NewRecorder()}
	Bounds{}.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if writerOf(r.Context()) != w {
			t.Error("the context has another writer")
		}
		writerOf(r.Context()).pauseFlush()
		_, _ = io.WriteString(w, "x")
		w.(http.Flusher).Flush()
	})).ServeHTTP(counted, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	if counted.n != 0 {
		t.Errorf("there are %d flushes", counted.n)
	}
}
