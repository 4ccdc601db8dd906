package deadline_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/deadline"
)

// counted counts how often a deadline was set. Its clock is the test's.
type counted struct {
	net.Conn

	set int
}

func (c *counted) SetReadDeadline(t time.Time) error {
	c.set++
	return c.Conn.SetReadDeadline(t)
}

func start(t *testing.T) (*deadline.Reader, *counted, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	conn := &counted{Conn: near}
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return &deadline.Reader{Conn: conn}, conn, far
}

func TestReadEndsAtTheEarliestDeadline(t *testing.T) {
	const never = 0
	for _, test := range []struct {
		name          string
		set, limit    []int // one after another, in seconds from the beginning
		ends          int
		isLimitPassed bool
	}{
		{"the only one", []int{2}, nil, 2, false},
		{"put off", []int{1, 5}, nil, 5, false},
		{"put off, and put off again", []int{1, 3, 7}, nil, 7, false},
		{"brought forward", []int{5, 1}, nil, 1, false},
		{"taken back and set anew", []int{1, never, 4}, nil, 4, false},
		{"passed, taken back and set anew", []int{-1, never, 4}, nil, 4, false},
		{"the limit alone", nil, []int{3}, 3, true},
		{"the limit before the deadline", []int{5}, []int{3}, 3, true},
		{"the deadline before the limit", []int{3}, []int{5}, 3, false},
		{"the limit taken back", []int{5}, []int{3, never}, 5, false},
		{"the deadline taken back", []int{3, never}, []int{5}, 5, true},
		{"in the past", []int{-1}, nil, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reader, _, _ := start(t)
				began := time.Now()
				at := func(seconds int) time.Time {
					if seconds == never {
						return time.Time{}
					}
					return began.Add(time.Duration(seconds) * time.Second)
				}
				for _, seconds := range test.set {
					if err := reader.Set(at(seconds)); err != nil {
						t.Fatal(err)
					}
				}
				for _, seconds := range test.limit {
					if err := reader.Limit(at(seconds)); err != nil {
						t.Fatal(err)
					}
				}
				_, err := reader.Read(make([]byte, 1))
				if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Duration(test.ends)*time.Second {
					t.Errorf("ended after %v by %v, want %d seconds", took, err, test.ends)
				}
				if got := reader.LimitPassed(); got != test.isLimitPassed {
					t.Errorf("that the limit has passed is %v", got)
				}
			})
		})
	}
}

func TestADeadlineIsSetWhileReading(t *testing.T) {
	for _, test := range []struct {
		name   string
		before time.Duration
	}{
		{"where there was none", 0},
		{"before another", time.Hour},
		{"after one that passes unwanted", time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reader, _, _ := start(t)
				began := time.Now()
				if test.before != 0 {
					if err := reader.Set(began.Add(test.before)); err != nil {
						t.Fatal(err)
					}
				}
				ended := make(chan error)
				go func() {
					_, err := reader.Read(make([]byte, 1))
					ended <- err
				}()
				synctest.Wait()
				if err := reader.Set(began.Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Minute {
					t.Errorf("ended after %v by %v", time.Since(began), err)
				}
			})
		})
	}
}

func TestDataAndOtherErrorsPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, _, far := start(t)
		if err := reader.Set(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := reader.Set(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Minute) // of the test's own clock
			_, _ = far.Write([]byte("x"))
			_ = far.Close()
		}()
		got := make([]byte, 2)
		if n, err := reader.Read(got); n != 1 || err != nil || got[0] != 'x' {
			t.Errorf("read %q, %v", got[:n], err)
		}
		if n, err := reader.Read(got); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %q, %v at the end", got[:n], err)
		}
	})
}

// What a request costs in deadlines is what the package is there for.
func TestMostDeadlinesAreOnlyNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, conn, _ := start(t)
		for range 100 {
			for _, deadline := range []time.Time{time.Now().Add(time.Minute), {}, time.Now().Add(time.Hour), {}} {
				if err := reader.Set(deadline); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
		if conn.set != 1 {
			t.Errorf("%d deadlines were set", conn.set)
		}
	})
}
