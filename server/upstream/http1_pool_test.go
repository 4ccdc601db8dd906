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

// pipes is a pool of connections without a peer, with fake time.
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

// isClosed reports whether the local end of a connection is closed.
func (p *pipes) isClosed(n int) bool {
	_ = p.far[n].SetReadDeadline(time.Now().Add(time.Millisecond)) // fails if it is
	_, err := p.far[n].Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func TestHTTP1Pool_ReusesAndExpiresConnections(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		check func(t *testing.T, p *pipes)
	}{
		{"a connection is used again", func(t *testing.T, p *pipes) {
			t.Helper()
			c := p.mustGet(t)
			if c.reused {
				t.Error("a new connection is marked as reused")
			}
			p.put(c)
			time.Sleep(idleTimeout - time.Second)
			if again := p.mustGet(t); again != c || !again.reused {
				t.Error("got another connection")
			}
		}},
		{"the most recently used connection is reused first", func(t *testing.T, p *pipes) {
			t.Helper()
			first, last := p.mustGet(t), p.mustGet(t)
			p.put(first)
			p.put(last)
			if p.mustGet(t) != last || p.mustGet(t) != first {
				t.Error("got another connection")
			}
		}},
		{"fresh returns a new connection", func(t *testing.T, p *pipes) {
			t.Helper()
			c := p.mustGet(t)
			p.put(c)
			fresh, err := p.get(t.Context(), true)
			if err != nil || fresh == c || fresh.reused {
				t.Errorf("got %v, %v, want a new connection", fresh, err)
			}
		}},
		{"a connection that is idle for too long is closed", func(t *testing.T, p *pipes) {
			t.Helper()
			p.put(p.mustGet(t))
			time.Sleep(idleTimeout)
			synctest.Wait()
			if !p.isClosed(0) || len(p.idle) != 0 {
				t.Error("the connection is open, want closed")
			}
		}},
		{"each connection has its own idle timeout", func(t *testing.T, p *pipes) {
			t.Helper()
			first, second := p.mustGet(t), p.mustGet(t)
			p.put(first)
			time.Sleep(idleTimeout / 2)
			p.put(second)
			time.Sleep(idleTimeout / 2)
			synctest.Wait()
			if !p.isClosed(0) || p.isClosed(1) {
				t.Error("want the first connection closed and the second open")
			}
			time.Sleep(idleTimeout / 2)
			synctest.Wait()
			if !p.isClosed(1) {
				t.Error("the second connection is open, want closed")
			}
		}},
		{"an old connection is not kept", func(t *testing.T, p *pipes) {
			t.Helper()
			c := p.mustGet(t)
			time.Sleep(maxAge + time.Second)
			p.put(c)
			if !p.isClosed(0) {
				t.Error("the connection is open, want closed")
			}
		}},
		{"a busy connection reaches its maximum age, so that address changes are followed", func(t *testing.T, p *pipes) {
			t.Helper()
			for range int(maxAge/(30*time.Second)) + 1 {
				p.put(p.mustGet(t))
				time.Sleep(30 * time.Second)
			}
			if p.mustGet(t); p.dialled != 2 {
				t.Errorf("got %d dials, want 2", p.dialled)
			}
		}},
		{"a connection that became too old while idle is not reused", func(t *testing.T, p *pipes) {
			t.Helper()
			c := p.mustGet(t)
			time.Sleep(maxAge - time.Second)
			p.put(c)
			time.Sleep(2 * time.Second)
			if p.mustGet(t) == c {
				t.Error("got the old connection")
			}
		}},
		{"the number of idle connections is bounded", func(t *testing.T, p *pipes) {
			t.Helper()
			conns := []*conn{p.mustGet(t), p.mustGet(t), p.mustGet(t), p.mustGet(t)}
			for _, c := range conns {
				p.put(c)
			}
			if len(p.idle) != 3 || !p.isClosed(3) {
				t.Errorf("got %d idle connections", len(p.idle))
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
