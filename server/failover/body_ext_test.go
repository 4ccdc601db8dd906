package failover_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/openai-connect/openai-connect/server/failover"
	"github.com/openai-connect/openai-connect/server/memory"
	"github.com/openai-connect/openai-connect/server/upstream"
)

// source is a body that counts calls of Close.
type source struct {
	io.Reader

	closed chan struct{}
}

func newSource(content io.Reader) *source {
	return &source{content, make(chan struct{}, 10)}
}

func (s *source) Close() error {
	s.closed <- struct{}{}
	return nil
}

// checkClosed waits for the body to be closed exactly once.
func (s *source) checkClosed(t *testing.T) {
	t.Helper()
	select {
	case <-s.closed:
	case <-time.After(10 * time.Second):
		t.Error("the body was not closed")
	}
	if len(s.closed) > 0 {
		t.Error("the body was closed twice")
	}
}

func noise(length int) string {
	b := make([]byte, length)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(b)
	return string(b)
}

func TestFailover_ResendsTheBodyUnchanged(t *testing.T) {
	refuses := func(t *testing.T) *peer { t.Helper(); return start(t, says(429)) }
	for _, row := range []struct {
		name   string
		length int
		stated bool // its length is
		memory bool // it is a *bytes.Reader
		expect bool // it has "Expect: 100-continue"
		first  func(t *testing.T) *peer
		again  bool
	}{
		{"small", 1000, true, false, false, refuses, true},
		{"large", 300_000, true, false, false, refuses, true},
		{"of the largest buffered size", failover.MaxBodyBytes, true, false, false, refuses, true},
		{"larger than the buffered size, and was read", failover.MaxBodyBytes + 1, true, false, false, refuses, false},
		{"larger than the buffered size, and was not read", 2 * failover.MaxBodyBytes, true, false, false, absent, true},
		{"of unknown length, and was read", 1000, false, false, false, refuses, false},
		{"of unknown length, and was not read", 1000, false, false, false, absent, true},
		{"in memory", 3_000_000, true, true, false, refuses, true},
		{"in memory, and was not read", 3_000_000, true, true, false, absent, true},
		{"held back by an expectation", 1000, true, false, true, rejectsTheExpectation, true},
		{"none, with a Body", 0, false, false, false, absent, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			content := noise(row.length)
			from := newSource(strings.NewReader(content))
			request := post("")
			request.Body, request.ContentLength = from, -1
			if row.stated {
				request.ContentLength = int64(row.length)
			}
			if row.memory {
				request.Body, request.ContentLength = bytes.NewReader([]byte(content)), 0
				_ = from.Close()
			}
			if row.expect {
				with(request, "Expect", "100-continue")
			}
			first, second := row.first(t), start(t, says(200))
			resp, err := over(t, failover.Config{}, first, second).Send(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			read(t, resp)
			if got := resp.StatusCode == http.StatusOK; got != row.again {
				t.Fatalf("got status %d from %s", resp.StatusCode, resp.Header.Get(failover.UpstreamHeader))
			}
			asked := append(first.asked(), second.asked()...)
			for _, one := range asked {
				if !row.expect && one.Body != content {
					t.Errorf("got a body of %d bytes, want the original %d bytes", len(one.Body), len(content))
				}
			}
			if last := asked[len(asked)-1]; last.Body != content {
				t.Errorf("last attempt: got a body of %d bytes, want the original %d bytes", len(last.Body), len(content))
			}
			from.checkClosed(t)
		})
	}
}

// rejectsTheExpectation is a peer that responds before it has read a body.
func rejectsTheExpectation(t *testing.T) *peer {
	t.Helper()
	return startUnread(t, says(429))
}

func TestFailover_FailsWhenTheBodyCannotBeRead(t *testing.T) {
	broken := errors.New("the client broke off")
	for _, row := range []struct {
		name   string
		body   io.Reader
		length int64
		cause  error
	}{
		{"an error at once", iotest.ErrReader(broken), 10, broken},
		{"an error in the middle", io.MultiReader(strings.NewReader("12345"), iotest.ErrReader(broken)), 10, broken},
		{"less than was stated", strings.NewReader("12345"), 10, io.ErrUnexpectedEOF},
		{"more than was stated", struct{ io.Reader }{strings.NewReader("12345678901")}, 10, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			only := start(t, says(200))
			from := newSource(row.body)
			request := post("")
			request.Body, request.ContentLength = from, row.length
			_, err := over(t, failover.Config{Retries: 3}, only, only).Send(t.Context(), request)
			failure, ok := errors.AsType[*upstream.Error](err)
			if !ok || failure.Kind != upstream.KindRequest || row.cause != nil && !errors.Is(err, row.cause) {
				t.Errorf("got error %v", err)
			}
			if got := only.asked(); len(got) != 0 {
				t.Errorf("got %d requests", len(got))
			}
			from.checkClosed(t)
		})
	}
}

// A Content-Length without a body must not allocate memory.
func TestBody_AllocatesForReceivedBytesOnly(t *testing.T) {
	largest := 0
	request := post("")
	request.Body = readerFunc(func(p []byte) (int, error) {
		largest = max(largest, len(p))
		return 0, io.ErrUnexpectedEOF
	})
	request.ContentLength = failover.MaxBodyBytes
	if _, err := over(t, failover.Config{}, absent(t)).Send(t.Context(), request); err == nil {
		t.Error("the request was sent")
	}
	if largest > 64<<10 {
		t.Errorf("got a first read of %d bytes", largest)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A body that nobody will read must be closed, or its writer would block.
func TestBody_IsClosedWhenTheClientLeavesDuringBackoff(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	from := newSource(strings.NewReader("content"))
	request := post("")
	request.Body, request.ContentLength = from, -1
	first := senderFunc(func(_ context.Context, req *upstream.Request) (*http.Response, error) {
		_ = req.Body.(io.Closer).Close()
		leave()
		return nil, &upstream.Error{Kind: upstream.KindConnect}
	})
	f, err := newFailover(failover.Config{
		Upstreams: []failover.Upstream{{Name: "first", Sender: first, BaseURL: "http://127.0.0.1", NoKey: true}},
		Retries:   1,
	})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.Send(ctx, request)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got response %v and error %v", resp, err)
	}
	from.checkClosed(t)
}

// A body that exceeds the memory budget reaches the first upstream completely, and no other
// one. The reserved memory is released.
func TestBody_IsNotBufferedWithoutMemory(t *testing.T) {
	const length = 200 << 10
	for name, row := range map[string]struct {
		limit int64
		kept  bool
	}{
		"no room at all":      {1, false},
		"room for a part":     {100 << 10, false},
		"room for everything": {1 << 20, true},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := start(t, says(503)), start(t, says(200))
			budget := memory.New(row.limit, false)
			f := over(t, failover.Config{Memory: budget}, first, second)
			text := noise(length)
			req := post("")
			content := newSource(strings.NewReader(text))
			req.Body, req.ContentLength = content, length
			resp, err := f.Send(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			read(t, resp)
			if status := resp.StatusCode; row.kept != (status == http.StatusOK) {
				t.Errorf("got status %d", status)
			}
			asked := append(first.asked(), second.asked()...)
			if want := 1; !row.kept && len(asked) != want || row.kept && len(asked) != want+1 {
				t.Errorf("got %d requests", len(asked))
			}
			for _, request := range asked {
				if request.Body != text {
					t.Errorf("got a body of %d bytes", len(request.Body))
				}
			}
			content.checkClosed(t)
			if taken := budget.Used(); taken != 0 {
				t.Errorf("%d bytes are still reserved", taken)
			}
		})
	}
}
