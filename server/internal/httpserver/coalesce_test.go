package httpserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// gate is a connection whose writes block until they are released.
type gate struct {
	wrote []string
	open  chan error
}

func (g *gate) write(p []byte) (int, error) {
	g.wrote = append(g.wrote, string(p))
	return len(p), <-g.open
}

func TestGathering(t *testing.T) {
	t.Parallel()
	errGone := errors.New("gone")
	write := func(t *testing.T, g *writeCoalescer, text string) {
		t.Helper()
		if n, err := g.Write([]byte(text)); err != nil || n != len(text) {
			t.Errorf("a write of %d bytes: %d, %v", len(text), n, err)
		}
	}
	refused := func(t *testing.T, g *writeCoalescer, want error) {
		t.Helper()
		if n, err := g.Write([]byte("z")); n != 0 || !errors.Is(err, want) {
			t.Errorf("a further write: %d, %v", n, err)
		}
	}
	// full has a write in progress and the maximum pending data.
	full := func(t *testing.T, g *writeCoalescer) {
		t.Helper()
		write(t, g, "a")
		synctest.Wait()
		write(t, g, strings.Repeat("b", maxPending))
	}
	// waiter writes where there is no room.
	waiter := func(t *testing.T, g *writeCoalescer) (result <-chan error) {
		t.Helper()
		ended := make(chan error, 1)
		go func() {
			_, err := g.Write([]byte("c"))
			ended <- err
		}()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Errorf("it did not wait: %v", err)
		default:
		}
		return ended
	}
	for _, row := range []struct {
		name  string
		test  func(t *testing.T, g *writeCoalescer, conn *gate)
		wrote string
	}{
		{"what is written before the sender's turn leaves in one", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			g.sending = true // as if its turn had not come
			write(t, g, "a")
			write(t, g, "b")
			go g.send()
			conn.open <- nil
		}, "ab"},
		{"what is written during a write leaves in one", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			write(t, g, "a")
			synctest.Wait()
			write(t, g, "b")
			write(t, g, "c")
			conn.open <- nil
			conn.open <- nil
		}, "a|bc"},
		{"a write keeps nothing of what it was given", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			frame := []byte("a")
			if _, err := g.Write(frame); err != nil {
				t.Error(err)
			}
			frame[0] = 'x'
			conn.open <- nil
		}, "a"},
		{"an error is told by the next write, and what is unsent is forgotten", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			write(t, g, "a")
			synctest.Wait()
			write(t, g, "b")
			conn.open <- errGone
			synctest.Wait()
			refused(t, g, errGone)
		}, "a"},
		{"who writes more than the limit waits until it is sent", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			full(t, g)
			ended := waiter(t, g)
			conn.open <- nil
			if err := <-ended; err != nil {
				t.Error(err)
			}
			conn.open <- nil
			conn.open <- nil
		}, "a|" + strings.Repeat("b", maxPending) + "|c"},
		{"a single write may be larger than the limit", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			write(t, g, strings.Repeat("b", 3*maxPending))
			conn.open <- nil
		}, strings.Repeat("b", 3*maxPending)},
		{"who waits is told of a failure", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			full(t, g)
			ended := waiter(t, g)
			g.fail(errGone)
			if err := <-ended; !errors.Is(err, errGone) {
				t.Error(err)
			}
			conn.open <- nil
		}, "a"},
		{"who waits is told of a refusal, and what was written before is sent", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			full(t, g)
			ended := waiter(t, g)
			g.reject(errGone)
			if err := <-ended; !errors.Is(err, errGone) {
				t.Error(err)
			}
			refused(t, g, errGone)
			conn.open <- nil
			conn.open <- nil
		}, "a|" + strings.Repeat("b", maxPending)},
		{"the end comes when all is sent, and nothing is written behind it", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			write(t, g, "a")
			synctest.Wait()
			write(t, g, "b")
			g.close(func() { conn.wrote = append(conn.wrote, "half closed") })
			g.close(func() { conn.wrote = append(conn.wrote, "closed") })
			refused(t, g, net.ErrClosed)
			conn.open <- nil
			conn.open <- nil
		}, "a|b|half closed|closed"},
		{"the end comes at once where nothing is unsent", func(_ *testing.T, g *writeCoalescer, conn *gate) {
			g.close(func() { conn.wrote = append(conn.wrote, "closed") })
		}, "closed"},
		{"the end comes behind a failure too", func(t *testing.T, g *writeCoalescer, conn *gate) {
			t.Helper()
			full(t, g)
			g.close(func() { conn.wrote = append(conn.wrote, "closed") })
			conn.open <- errGone
		}, "a|closed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn := &gate{open: make(chan error)}
				row.test(t, newWriteCoalescer(conn.write), conn)
				synctest.Wait()
				if got := strings.Join(conn.wrote, "|"); got != row.wrote {
					t.Errorf("got %.80s, want %.80s", got, row.wrote)
				}
			})
		})
	}
}

// TestGatheringAtRandom has several write at a time to a connection that is as
// slow as it likes, fails in every third round, and is closed at some moment. What was
// accepted arrives whole and in order, and not much is held at a time.
func TestGatheringAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		failsAt, writers, most := -1, 1+random.IntN(4), 1+random.IntN(maxPending*5/4)
		if seed%3 == 0 {
			failsAt = random.IntN(1 << 20)
		}
		var sent bytes.Buffer
		var accepted, left atomic.Int64 // in bytes
		g := newWriteCoalescer(func(p []byte) (int, error) {
			for range len(p) % 7 {
				runtime.Gosched()
			}
			if failsAt >= 0 && sent.Len()+len(p) > failsAt {
				return 0, io.ErrClosedPipe
			}
			left.Add(int64(len(p)))
			return sent.Write(p)
		})
		var writing sync.WaitGroup
		told := make([]error, writers)
		wrote := make([]int, writers) // records of each writer that were accepted
		for writer := range writers {
			random := rand.New(rand.NewPCG(seed, uint64(writer)+1))
			writing.Go(func() {
				for ; told[writer] == nil && wrote[writer] < 60; wrote[writer]++ {
					record := fmt.Sprintf("%d %d %s\n", writer, wrote[writer], strings.Repeat("x", random.IntN(most)))
					if _, told[writer] = g.Write([]byte(record)); told[writer] != nil {
						return
					}
					if held := accepted.Add(int64(len(record))) - left.Load(); held > 2*int64(max(maxPending, most+20)) {
						t.Errorf("seed %d: %d bytes are held, of records of up to %d", seed, held, most)
					}
				}
			})
		}
		if seed%2 == 0 {
			writing.Wait()
		}
		ended := make(chan struct{})
		g.close(func() { close(ended) })
		writing.Wait()
		<-ended
		next := make([]int, writers)
		for line := range strings.Lines(sent.String()) {
			var writer, number int
			if _, err := fmt.Sscanf(line, "%d %d", &writer, &number); err != nil || !strings.HasSuffix(line, "\n") || next[writer] != number {
				t.Fatalf("seed %d: %.20q is not the next record of its writer: %v", seed, line, err)
			}
			next[writer]++
		}
		for writer := range writers {
			switch failed := errors.Is(told[writer], io.ErrClosedPipe); {
			case told[writer] != nil && !failed && !errors.Is(told[writer], net.ErrClosed):
				t.Errorf("seed %d: a writer is told %v", seed, told[writer])
			case failsAt < 0 && next[writer] != wrote[writer]:
				t.Errorf("seed %d: %d records were sent of the %d that were accepted", seed, next[writer], wrote[writer])
			}
		}
	}
}

// pipes is a listener whose connections are in memory, with the test's own clock.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) { return <-p, nil }
func (p pipes) Close() error              { return nil }
func (p pipes) Addr() net.Addr            { return nil }

// What was written to a connection is sent still when it is closed, as long as
// the client takes it within the time to part.
func TestGatheredConnectionEnds(t *testing.T) {
	t.Parallel()
	const stall = time.Minute
	write := func(t *testing.T, c *clientConn, text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Error(err)
		}
	}
	closes := func(t *testing.T, c *clientConn) {
		t.Helper()
		began := time.Now()
		if err := c.Close(); err != nil || time.Since(began) > 0 {
			t.Errorf("to close it took %v: %v", time.Since(began), err)
		}
	}
	reads := func(_ *testing.T, client net.Conn) string {
		text, _ := io.ReadAll(client)
		return string(text)
	}
	silent := func(*testing.T, net.Conn) string { return "" }
	for _, row := range []struct {
		name   string
		server func(t *testing.T, c *clientConn)
		client func(t *testing.T, conn net.Conn) (got string)
		got    string
		least  time.Duration
		most   time.Duration
	}{
		{"when all is sent", func(t *testing.T, c *clientConn) {
			t.Helper()
			write(t, c, "a")
			write(t, c, "b")
			closes(t, c)
		}, reads, "ab", 0, 0},
		{"behind a deadline that has passed, as crypto/tls sets one", func(t *testing.T, c *clientConn) {
			t.Helper()
			write(t, c, "a")
			_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
			write(t, c, "close_notify")
			_ = c.SetWriteDeadline(time.Now())
			if _, err := io.WriteString(c, "b"); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a write behind the deadline: %v", err)
			}
			closes(t, c)
		}, reads, "aclose_notify", 0, 0},
		{"in the midst of a write that goes on", func(t *testing.T, c *clientConn) {
			t.Helper()
			write(t, c, "a")
			synctest.Wait()
			write(t, c, "b")
			closes(t, c)
			if err := c.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed again: %v", err)
			}
		}, reads, "ab", 0, 0},
		{"after the time to part, when the client takes nothing", func(t *testing.T, c *clientConn) {
			t.Helper()
			write(t, c, "a")
			synctest.Wait()
			closes(t, c)
		}, silent, "", closeGrace, closeGrace},
		{"when the client has stalled", func(t *testing.T, c *clientConn) {
			t.Helper()
			write(t, c, "a")
			synctest.Wait()
			write(t, c, strings.Repeat("b", maxPending))
			if _, err := io.WriteString(c, "c"); !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
				t.Errorf("a write to a client that takes nothing: %v", err)
			}
		}, silent, "", stall, stall + stall/4},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := make(pipes, 1)
				listener := newLimitListener(network, Options{StallTimeout: stall, MaxConnections: 1}, new(stats), slog.New(slog.DiscardHandler))
				near, far := net.Pipe()
				defer far.Close()
				network <- near
				accepted, err := listener.Accept()
				if err != nil {
					t.Fatal(err)
				}
				c := accepted.(*clientConn)
				c.coalesce()
				began := time.Now()
				got := make(chan string, 1)
				go func() { got <- row.client(t, far) }()
				row.server(t, c)
				listener.slots <- struct{}{} // there is room again
				listener.waitForClosing()
				if took := time.Since(began); took < row.least || took > row.most {
					t.Errorf("it ended after %v", took)
				}
				if got := <-got; got != row.got {
					t.Errorf("the client got %q", got)
				}
				if len(listener.open) > 0 {
					t.Error("it is known still")
				}
			})
		})
	}
}
