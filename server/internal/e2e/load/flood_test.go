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

// maxGrowth bounds the memory in bytes that one attack makes the process use,
// including the attacker's side.
const maxGrowth = 48 << 20

// Clients that send as much as they can must not make memory or the upstream's load
// grow without bound, and other clients are served meanwhile. The test measures the
// heap of the process, so it runs alone.
func TestFlood_IsBounded(t *testing.T) { //nolint:paralleltest // see above
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
		{"pings with unread responses", func(client *e2etest.HTTP2Conn) error {
			for range 10 * many {
				if err := client.WritePing(false, [8]byte{}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"settings with unread acknowledgements", func(client *e2etest.HTTP2Conn) error {
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
				t.Errorf("got responses %q for another client", answers)
			}
			client.Conn.Close()
			t.Logf("the flood ended with %v; heap %.1f MB before, %.1f MB at its end, %.1f MB after; %d requests to the upstream, %d connections at most",
				err, megabytes(before), megabytes(during), megabytes(heapInUse()), requests.Load(), most.Load())
			if int64(during)-int64(before) > maxGrowth {
				t.Errorf("heap grew by %.1f MB", megabytes(during)-megabytes(before))
			}
			if most.Load() > server.DefaultMaxStreams+2 {
				t.Errorf("got %d concurrent connections to the upstream", most.Load())
			}
		})
	}
}

// Idle connections and unfinished headers and bodies use little memory each.
func TestFlood_ConnectionsUseLittleMemory(t *testing.T) { //nolint:paralleltest // it measures the heap
	const many = 1000
	goroutines := runtime.NumGoroutine()
	for _, row := range []struct {
		name, text string
		answered   bool
		maxEach    int64 // in bytes; a body also has an upstream connection
	}{
		{"silent", "", false, 40 << 10},
		{"in the middle of a header", "GET /v1/x HTTP/1.1\r\nHost: x\r\nX: y", false, 40 << 10},
		{"in the middle of a body", "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", false, 160 << 10},
		{"idle after a call", "GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n", true, 40 << 10},
	} {
		t.Run(row.name, func(t *testing.T) { //nolint:paralleltest // see above
			front := servertest.Start(t, server.Config{Upstream: e2etest.StartStrictUpstream(t).URL})
			awaitGoroutines(t, goroutines+20) // the previous row leaves some
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
				t.Errorf("got status %d for another client", status)
			}
			during := heapInUse()
			each := (int64(during) - int64(before)) / many
			t.Logf("heap and stacks %.1f MB before, %.1f MB with %d connections: %s each", megabytes(before), megabytes(during), many, fmt.Sprintf("%.1f KB", float64(each)/1024))
			if each <= 0 || each > row.maxEach {
				t.Errorf("got %d bytes for a connection, want at most %d", each, row.maxEach)
			}
		})
	}
}

// awaitGoroutines waits until at most this many goroutines are running.
func awaitGoroutines(t *testing.T, most int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > most; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("got %d goroutines, want at most %d", runtime.NumGoroutine(), most)
		}
	}
}

// heapInUse returns the memory of the process for objects and stacks, in bytes.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // the second collection empties pools
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc + memory.StackInuse
}

func megabytes(size uint64) float64 { return float64(size) / (1 << 20) }
