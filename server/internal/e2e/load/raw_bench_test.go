package load_test

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// The proxies that the raw benchmarks compare. Clients and upstreams use raw
// sockets and cost very little, so the results, including the CPU time of the
// process, are mostly the proxy's.
var proxies = []struct {
	name  string
	start func(b *testing.B, upstreamURL string) (address string)
}{
	{"openai-connect", func(b *testing.B, upstreamURL string) string {
		b.Helper()
		return servertest.Start(b, server.Config{Upstream: upstreamURL}).Address
	}},
	{"ReverseProxy", func(b *testing.B, upstreamURL string) string {
		b.Helper()
		target, err := url.Parse(upstreamURL)
		if err != nil {
			b.Fatal(err)
		}
		transport := &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true}
		b.Cleanup(transport.CloseIdleConnections)
		server := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport:     transport,
			FlushInterval: -1,
			ErrorLog:      log.New(io.Discard, "", 0),
			BufferPool:    &bufferPool{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
		})
		b.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}},
}

// dialForBench connects to a server. The benchmark speaks HTTP itself.
func dialForBench(b *testing.B, address string) *upstreamtest.Conn {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &upstreamtest.Conn{Conn: conn, Reader: bufio.NewReader(conn)}
}

type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte  { return p.pool.Get().(*[32 << 10]byte)[:] }
func (p *bufferPool) Put(b []byte) { p.pool.Put((*[32 << 10]byte)(b)) }

// BenchmarkRawUnary is a chat completion of 0.5 KB up and 1 KB down, on persistent
// connections.
func BenchmarkRawUnary(b *testing.B) {
	const answerSize = 1000
	answer := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_1\r\nContent-Length: " +
		strconv.Itoa(answerSize) + "\r\n\r\n" + strings.Repeat("x", answerSize)
	request := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-1\r\nContent-Type: application/json\r\n" +
		"User-Agent: OpenAI/Go 3\r\nAccept: application/json\r\nContent-Length: 500\r\n\r\n" + strings.Repeat("y", 500)
	url := upstreamtest.Serve(b, func(conn *upstreamtest.Conn) {
		for {
			if length, err := skipHead(conn.Reader); err != nil || skip(conn.Reader, length) != nil {
				return
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
	for _, proxy := range proxies {
		for _, connections := range []int{1, 64} {
			b.Run(proxy.name+"/connections="+strconv.Itoa(connections), func(b *testing.B) {
				address := proxy.start(b, url)
				conns := make(chan *upstreamtest.Conn, connections)
				for range connections {
					conns <- dialForBench(b, address)
				}
				exchange := func(conn *upstreamtest.Conn) {
					if _, err := io.WriteString(conn, request); err != nil {
						b.Error(err)
					}
					if length, err := skipHead(conn.Reader); err != nil || length != answerSize || skip(conn.Reader, length) != nil {
						b.Errorf("got %d bytes and error %v", length, err)
					}
				}
				measureCPU(b)
				b.ReportAllocs()
				b.SetParallelism((connections + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						conn := <-conns
						exchange(conn)
						conns <- conn
					}
				})
			})
		}
	}
}

// BenchmarkRawEvents uses a thousand slow streams. An operation is one event of one
// stream, from the upstream's write to the client's read.
func BenchmarkRawEvents(b *testing.B) {
	const streams = 1000
	event := "data: " + strings.Repeat("x", 300) + "\n\n"
	for _, proxy := range proxies {
		b.Run(proxy.name, func(b *testing.B) {
			opened := make(chan *upstreamtest.Conn, streams)
			ended := make(chan struct{})
			defer close(ended)
			url := upstreamtest.Serve(b, func(conn *upstreamtest.Conn) {
				if _, err := skipHead(conn.Reader); err != nil {
					return
				}
				conn.Send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n")
				opened <- conn
				<-ended
				conn.SendChunk("")
			})
			before := memoryInUse()
			address := proxy.start(b, url)
			clients := make([]*upstreamtest.Conn, streams)
			upstreams := make([]*upstreamtest.Conn, streams)
			for i := range clients {
				clients[i] = dialForBench(b, address)
				clients[i].Send("GET /v1/x HTTP/1.1\nHost: x\n\n")
				upstreams[i] = <-opened
				if _, err := skipHead(clients[i].Reader); err != nil {
					b.Fatal(err)
				}
			}
			perStream := float64(memoryInUse()-before) / streams
			b.Cleanup(func() { b.ReportMetric(perStream, "B/stream") })
			measureCPU(b)
			b.ReportAllocs()
			b.ResetTimer()
			for sent := 0; sent < b.N; {
				burst := min(streams, b.N-sent)
				for _, conn := range upstreams[:burst] {
					conn.SendChunk(event)
				}
				for _, conn := range clients[:burst] {
					if got, err := conn.ReadChunk(); err != nil || got != event {
						b.Fatalf("got %q and error %v", got, err)
					}
				}
				sent += burst
			}
		})
	}
}

// measureCPU reports the CPU time of the process in microseconds per operation. Call
// it right before the benchmark starts.
func measureCPU(b *testing.B) {
	b.Helper()
	start := cpuTime()
	b.Cleanup(func() {
		b.ReportMetric(float64((cpuTime()-start).Microseconds())/float64(b.N), "cpu-µs/op")
	})
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// memoryInUse returns the memory for objects and stacks, in bytes. The benchmark's
// own sockets use the same amount with every proxy.
func memoryInUse() uint64 {
	runtime.GC()
	runtime.GC() // the second collection empties pools
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64() + sample[1].Value.Uint64()
}

// skipHead reads the head of a message and returns the length of its body.
func skipHead(r *bufio.Reader) (length int, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) == len("\r\n") {
			return length, nil
		}
		if value, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, err
			}
		}
	}
}

func skip(r *bufio.Reader, n int) error {
	_, err := r.Discard(n)
	return err
}
