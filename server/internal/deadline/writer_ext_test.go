package deadline_test

import (
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/deadline"
)

func TestWriter_EndsAtTimeoutOrDeadline(t *testing.T) {
	const timeout = 8 * time.Second
	for _, row := range []struct {
		name        string
		prepare     func(w *deadline.Writer) error
		least, most time.Duration
		isExpired   bool
	}{
		{"the timeout", func(*deadline.Writer) error { return nil }, timeout, timeout + timeout/4, true},
		{"a deadline before the timeout", func(w *deadline.Writer) error { return w.Set(time.Now().Add(time.Second)) }, time.Second, time.Second, false},
		{"a deadline after the timeout", func(w *deadline.Writer) error { return w.Set(time.Now().Add(time.Minute)) }, time.Minute, time.Minute, false},
		{"a deadline in the past", func(w *deadline.Writer) error { return w.Set(time.Unix(1, 0)) }, 0, 0, false},
		{"the timeout after a canceled deadline", func(w *deadline.Writer) error {
			return errors.Join(w.Set(time.Now().Add(time.Second)), w.Set(time.Time{}))
		}, timeout, timeout + timeout/4, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := pipe(t)
				writer := &deadline.Writer{Conn: conn, Timeout: timeout}
				go func() { _, _ = io.ReadFull(peer, make([]byte, 1)) }()
				if _, err := writer.Write([]byte("a")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(timeout / 8) // in the bubble; the deadline of the first write is kept
				if err := row.prepare(writer); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				_, err := writer.Write([]byte("b"))
				if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took < row.least || took > row.most {
					t.Errorf("Write returned %v after %v, want a timeout after %v to %v", err, took, row.least, row.most)
				}
				if got := writer.Expired(); got != row.isExpired {
					t.Errorf("Expired() = %v, want %v", got, row.isExpired)
				}
			})
		})
	}
}

func TestWriter_WaitsWithoutTimeout(t *testing.T) {
	for _, row := range []struct {
		name    string
		timeout time.Duration
		clear   bool
	}{
		{"no timeout", 0, false},
		{"a removed timeout", time.Second, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := pipe(t)
				writer := &deadline.Writer{Conn: conn, Timeout: row.timeout}
				received := make([]byte, 2)
				go func() {
					_, _ = io.ReadFull(peer, received[:1])
					time.Sleep(time.Hour) // in the bubble
					_, _ = io.ReadFull(peer, received[1:])
				}()
				if _, err := writer.Write([]byte("a")); err != nil {
					t.Fatal(err)
				}
				if row.clear {
					writer.ClearTimeout()
				}
				if _, err := writer.Write([]byte("b")); err != nil || string(received) != "ab" {
					t.Errorf("Write returned %v, and the peer received %q", err, received)
				}
				if writer.Expired() {
					t.Error("Expired() = true")
				}
			})
		})
	}
}

func TestWriter_SetsFewDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := pipe(t)
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		writer := &deadline.Writer{Conn: conn, Timeout: time.Minute}
		for range 100 {
			if _, err := writer.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if conn.count != 1 {
			t.Errorf("the connection's deadline was set %d times, want once", conn.count)
		}
	})
}
