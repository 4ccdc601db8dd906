package load_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// mostHeld is what one attack may make the process hold on to, in bytes, the
// attacker's own side included.
const mostHeld = 48 << 20

// TestFloods shows that clients which send as much as they can make neither the
// memory nor the upstream's load grow without bound, and that others are served
// meanwhile. It measures the process's heap, so it runs alone.
func TestFloods(t *testing.T) { //nolint:paralleltest // see above
	const many = 10000
	for _, flood := range []struct {
		name string
		// send sends until the server closes the connection or all is sent, and
		// leaves the connection open.
		send func(client *e2etest.HTTP2Conn) error
	}{
		{"10,000 requests that are reset at once", func(client *e2etest.HTTP2Conn) error {
			for i := range uint32(many) {
				if err := client.Send(2*i+1, e2etest.RequestFields("GET", "/v1/held")); err != nil {
					return err
				}
				if err := client.WriteRSTStream(2*i+1, http2.ErrCodeCancel); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a header without an end", func(client *e2etest.HTTP2Conn) error {
			if err := client.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: client.Encode(e2etest.RequestFields("GET", "/v1/x"))}); err != nil {
				return err
			}
			piece := bytes.Clone(client.Encode([]e2etest.HeaderField{{Name: "x", Value: strings.Repeat("y", 15000), Sensitive: true}}))
			for range many {
				if err := client.WriteContinuation(1, false, piece); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a header of empty frames", func(client *e2etest.HTTP2Conn) error {
			if err := client.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: client.Encode(e2etest.RequestFields("GET", "/v1/x"))}); err != nil {
				return err
			}
			for range many {
				if err := client.WriteContinuation(1, false, nil); err != nil {
					return err
				}
			}
			return nil
		}},
		{"pings whose answers nobody reads", func(client *e2etest.HTTP2Conn) error {
			for range 10 * many {
				if err := client.WritePing(false, [8]byte{}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"settings whose acknowledgements nobody reads", func(client *e2etest.HTTP2Conn) error {
			for range 10 * many {
				if err := client.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"resets of streams that are closed", func(client *e2etest.HTTP2Conn) error {
			if err := client.Send(1, e2etest.RequestFields("GET", "/v1/x")); err != nil {
				return err
			}
			for range 10 * many {
				if err := client.WriteRSTStream(1, http2.ErrCodeCancel); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		t.Run(flood.name, func(t *testing.T) { //nolint:paralleltest // see above
			var open, most, requests atomic.Int64
			url := upstreamtest.Serve(t, func(conn *upstreamtest.Conn) {
				if now := open.Add(1); now > most.Load() {
					most.Store(now)
				}
				defer open.Add(-1)
				for {
					request, err := conn.ReadRequest()
					if err != nil {
						return
					}
					requests.Add(1)
					if request.Target() == "/v1/held" {
						conn.WaitEnd()
						return
					}
					conn.Send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
				}
			})
			front := servertest.Start(t, server.Config{Upstream: url})
			before := heapInUse()
			client := e2etest.DialHTTP2(t, front)
			err := flood.send(client)
			during := heapInUse()
			if status, answers := e2etest.SendSmuggling(t, front, "GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n"); status != 200 {
				t.Errorf("another client is told %q", answers)
			}
			client.Conn.Close()
			t.Logf("the flood ended with %v; heap %.1f MB before, %.1f MB at its end, %.1f MB after; %d requests to the upstream, %d connections at most",
				err, mega(before), mega(during), mega(heapInUse()), requests.Load(), most.Load())
			if int64(during)-int64(before) > mostHeld {
				t.Errorf("the heap grew by %.1f MB", mega(during)-mega(before))
			}
			if most.Load() > server.DefaultMaxStreams+2 {
				t.Errorf("there were %d connections to the upstream at a time", most.Load())
			}
		})
	}
}

// Connections that nobody uses, and bodies and headers that nobody ends, take
// little each.
func TestManyConnectionsTakeLittleEach(t *testing.T) { //nolint:paralleltest // it measures the heap
	const many = 1000
	goroutines := runtime.NumGoroutine()
	for _, row := range []struct {
		name, text string
		answered   bool
		mostEach   int64 // in bytes; a body has a connection to the upstream too
	}{
		{"silent", "", false, 40 << 10},
		{"in the middle of a header", "GET /v1/x HTTP/1.1\r\nHost: x\r\nX: y", false, 40 << 10},
		{"in the middle of a body", "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", false, 160 << 10},
		{"idle behind a call", "GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n", true, 40 << 10},
	} {
		t.Run(row.name, func(t *testing.T) { //nolint:paralleltest // as said
			front := servertest.Start(t, server.Config{Upstream: e2etest.StartStrictUpstream(t).URL})
			awaitGoroutines(t, goroutines+20) // the row before has left some
			before := heapInUse()
			clients := make([]net.Conn, many)
			for i := range clients {
				conn, err := net.Dial("tcp", front.Address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				clients[i] = conn
				if _, err := io.WriteString(conn, row.text); err != nil {
					t.Fatal(err)
				}
				if row.answered {
					if _, err := io.ReadFull(conn, make([]byte, 16)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if status, _ := e2etest.SendSmuggling(t, front, "GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n"); status != 200 {
				t.Errorf("another client is told %d", status)
			}
			during := heapInUse()
			each := (int64(during) - int64(before)) / many
			t.Logf("heap and stacks %.1f MB before, %.1f MB with %d connections: %s each", mega(before), mega(during), many, fmt.Sprintf("%.1f KB", float64(each)/1024))
			if each <= 0 || each > row.mostEach {
				t.Errorf("a connection takes %d bytes", each)
			}
		})
	}
}

// awaitGoroutines returns when there are at most so many.
func awaitGoroutines(t *testing.T, most int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > most; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("there are still %d goroutines", runtime.NumGoroutine())
		}
	}
}

// heapInUse is what the process holds on to, in bytes, with the stacks.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what a pool holds goes with the second
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc + memory.StackInuse
}

func mega(size uint64) float64 { return float64(size) / (1 << 20) }
