package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a pool whose connections are to nowhere, in a bubble of its own time.
type pipes struct {
	pool

	dialled int
	far     []net.Conn // the other ends
}

func newPipes(maxIdle int) *pipes {
	p := &pipes{}
	p.pool = pool{maxIdle: maxIdle, dial: func(context.Context) (*conn, error) {
		near, far := net.Pipe()
		p.dialled++
		p.far = append(p.far, far)
		return newConn(near), nil
	}}
	return p
}

func (p *pipes) mustGet(t *testing.T) *conn {
	t.Helper()
	c, err := p.get(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// isClosed reports whether the near end of a connection is.
func (p *pipes) isClosed(n int) bool {
	_ = p.far[n].SetReadDeadline(time.Now().Add(time.Millisecond)) // fails if it is
	_, err := p.far[n].Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func TestPool(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check func(t *testing.T, p *pipes)
	}{
		{"a connection is used again", func(t *testing.T, p *pipes) {
			t.Helper()
			c := p.mustGet(t)
			if c.reused {
				t.Error("a new one counts as used")
			}
			p.put(c)
			time.Sleep(idleTimeout - time.Second)
			if again := p.mustGet(t); again != c || !again.reused {
				t.Error("another one is used")
			}
		}},
		{"the one that was used last is used first", func(t *testing.T, p *pipes) {
			t.Helper()
			first, last := p.mustGet(t), p.mustGet(t)
			p.put(first)
			p.put(last)
			if p.mustGet(t) != last || p.mustGet(t) != first {
				t.Error("another one is used")
			}
		}},
		{"a fresh one is a new one", func(t *testing.T, p *pipes) {
			t.Helper()
			c := p.mustGet(t)
			p.put(c)
			fresh, err := p.get(t.Context(), true)
			if err != nil || fresh == c || fresh.reused {
				t.Errorf("got %v, %v", fresh, err)
			}
		}},
		{"one that is idle for too long is closed", func(t *testing.T, p *pipes) {
			t.Helper()
			p.put(p.mustGet(t))
			time.Sleep(idleTimeout)
			synctest.Wait()
			if !p.isClosed(0) || len(p.idle) != 0 {
				t.Error("it is open")
			}
		}},
		{"each has its own time", func(t *testing.T, p *pipes) {
			t.Helper()
			first, second := p.mustGet(t), p.mustGet(t)
			p.put(first)
			time.Sleep(idleTimeout / 2)
			p.put(second)
			time.Sleep(idleTimeout / 2)
			synctest.Wait()
			if !p.isClosed(0) || p.isClosed(1) {
				t.Error("the first is open, or the second is closed")
			}
			time.Sleep(idleTimeout / 2)
			synctest.Wait()
			if !p.isClosed(1) {
				t.Error("the second is open")
			}
		}},
		{"one that is old is not kept", func(t *testing.T, p *pipes) {
			t.Helper()
			c := p.mustGet(t)
			time.Sleep(maxAge + time.Second)
			p.put(c)
			if !p.isClosed(0) {
				t.Error("it is open")
			}
		}},
		{"one that is busy all the time grows old, so that a new address of the name is seen", func(t *testing.T, p *pipes) {
			t.Helper()
			for range int(maxAge/(30*time.Second)) + 1 {
				p.put(p.mustGet(t))
				time.Sleep(30 * time.Second)
			}
			if p.mustGet(t); p.dialled != 2 {
				t.Errorf("it is connected %d times, want 2", p.dialled)
			}
		}},
		{"one that grew old while it was idle is not used", func(t *testing.T, p *pipes) {
			t.Helper()
			c := p.mustGet(t)
			time.Sleep(maxAge - time.Second)
			p.put(c)
			time.Sleep(2 * time.Second)
			if p.mustGet(t) == c {
				t.Error("it is used")
			}
		}},
		{"no more are kept than may be", func(t *testing.T, p *pipes) {
			t.Helper()
			conns := []*conn{p.mustGet(t), p.mustGet(t), p.mustGet(t), p.mustGet(t)}
			for _, c := range conns {
				p.put(c)
			}
			if len(p.idle) != 3 || !p.isClosed(3) {
				t.Errorf("%d are kept", len(p.idle))
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPipes(3)
				test.check(t, p)
				p.closeIdle()
				for _, far := range p.far {
					_ = far.Close()
				}
			})
		})
	}
}
