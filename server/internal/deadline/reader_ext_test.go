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

// countingConn counts how often a deadline is set.
type countingConn struct {
	net.Conn

	count int
}

func (c *countingConn) SetReadDeadline(t time.Time) error {
	c.count++
	return c.Conn.SetReadDeadline(t)
}

func (c *countingConn) SetWriteDeadline(t time.Time) error {
	c.count++
	return c.Conn.SetWriteDeadline(t)
}

// pipe returns both ends of a connection.
func pipe(t *testing.T) (conn *countingConn, peer net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return &countingConn{Conn: near}, far
}

func TestReader_EndsAtEarliestDeadline(t *testing.T) {
	const never = 0
	for _, row := range []struct {
		name           string
		set, limit     []int // in order, in seconds from the start
		ends           int
		isLimitExpired bool
	}{
		{"a single deadline", []int{2}, nil, 2, false},
		{"an extended deadline", []int{1, 5}, nil, 5, false},
		{"a deadline extended twice", []int{1, 3, 7}, nil, 7, false},
		{"a shortened deadline", []int{5, 1}, nil, 1, false},
		{"a deadline canceled and set again", []int{1, never, 4}, nil, 4, false},
		{"an expired deadline canceled and set again", []int{-1, never, 4}, nil, 4, false},
		{"only a limit", nil, []int{3}, 3, true},
		{"a limit before the deadline", []int{5}, []int{3}, 3, true},
		{"a deadline before the limit", []int{3}, []int{5}, 3, false},
		{"a canceled limit", []int{5}, []int{3, never}, 5, false},
		{"a limit and a canceled deadline", []int{3, never}, []int{5}, 5, true},
		{"a deadline in the past", []int{-1}, nil, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, _ := pipe(t)
				reader := &deadline.Reader{Conn: conn}
				start := time.Now()
				at := func(seconds int) time.Time {
					if seconds == never {
						return time.Time{}
					}
					return start.Add(time.Duration(seconds) * time.Second)
				}
				for _, seconds := range row.set {
					if err := reader.Set(at(seconds)); err != nil {
						t.Fatal(err)
					}
				}
				for _, seconds := range row.limit {
					if err := reader.SetLimit(at(seconds)); err != nil {
						t.Fatal(err)
					}
				}
				_, err := reader.Read(make([]byte, 1))
				if took, want := time.Since(start), time.Duration(row.ends)*time.Second; !errors.Is(err, os.ErrDeadlineExceeded) || took != want {
					t.Errorf("Read returned %v after %v, want a timeout after %v", err, took, want)
				}
				if got := reader.LimitExpired(); got != row.isLimitExpired {
					t.Errorf("LimitExpired() = %v, want %v", got, row.isLimitExpired)
				}
			})
		})
	}
}

func TestReader_SetDuringRead(t *testing.T) {
	for _, row := range []struct {
		name   string
		before time.Duration
	}{
		{"without a previous deadline", 0},
		{"before a previous deadline", time.Hour},
		{"after a previous deadline", time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, _ := pipe(t)
				reader := &deadline.Reader{Conn: conn}
				start := time.Now()
				if row.before != 0 {
					if err := reader.Set(start.Add(row.before)); err != nil {
						t.Fatal(err)
					}
				}
				result := make(chan error)
				go func() {
					_, err := reader.Read(make([]byte, 1))
					result <- err
				}()
				synctest.Wait()
				if err := reader.Set(start.Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
					t.Errorf("Read returned %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestReader_ReturnsDataAndOtherErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe(t)
		reader := &deadline.Reader{Conn: conn}
		if err := reader.Set(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := reader.Set(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Minute) // in the bubble
			_, _ = peer.Write([]byte("x"))
			_ = peer.Close()
		}()
		got := make([]byte, 2)
		if n, err := reader.Read(got); n != 1 || err != nil || got[0] != 'x' {
			t.Errorf("Read returned %q, %v", got[:n], err)
		}
		if n, err := reader.Read(got); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read at the end returned %q, %v", got[:n], err)
		}
	})
}

func TestReader_SetsFewDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := pipe(t)
		reader := &deadline.Reader{Conn: conn}
		for range 100 {
			for _, deadline := range []time.Time{time.Now().Add(time.Minute), {}, time.Now().Add(time.Hour), {}} {
				if err := reader.Set(deadline); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
		if conn.count != 1 {
			t.Errorf("the connection's deadline was set %d times, want once", conn.count)
		}
	})
}
