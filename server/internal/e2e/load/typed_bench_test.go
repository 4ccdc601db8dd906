package load_test

import (
	"encoding/binary"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// benchChunk is a chunk as OpenAI sends it.
const benchChunk = `{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,` +
	`"model":"gpt-5.4-mini-2026-03-17","service_tier":"default","system_fingerprint":"fp_44709d6fcb",` +
	`"choices":[{"index":0,"delta":{"content":" hello"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"a1b2c3d4"}`

// The same unary call in forms of different cost. Each connection makes one call at
// a time.
var benchCalls = []struct {
	name string
	dial func(b *testing.B, front *servertest.Front) (call func() error)
}{
	{"gRPC", func(b *testing.B, front *servertest.Front) func() error {
		b.Helper()
		client := dialPatient(b, front)
		stream := uint32(1)
		body := enveloped(b, e2etest.BenchRequest())
		return func() error {
			if err := client.Send(stream, grpcCall("CreateChatCompletion"), body); err != nil {
				return err
			}
			stream += 2
			return client.ReadToEnd()
		}
	}},
	{"Connect", func(b *testing.B, front *servertest.Front) func() error {
		b.Helper()
		message, err := proto.Marshal(e2etest.BenchRequest())
		if err != nil {
			b.Fatal(err)
		}
		client := dialForBench(b, front.Address)
		request := "POST /openaiconnect.chat.v1.ChatService/CreateChatCompletion HTTP/1.1\r\nHost: x\r\nContent-Type: application/proto\r\n" +
			"Authorization: Bearer sk-1\r\nContent-Length: " + strconv.Itoa(len(message)) + "\r\n\r\n" + string(message)
		return func() error {
			if _, err := io.WriteString(client, request); err != nil {
				return err
			}
			length, err := skipHead(client.Reader)
			if err != nil {
				return err
			}
			return skip(client.Reader, length)
		}
	}},
}

// BenchmarkTypedUnary is [BenchmarkRawUnary] with typed calls.
func BenchmarkTypedUnary(b *testing.B) {
	answer := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_1\r\nContent-Length: " +
		strconv.Itoa(len(e2etest.BenchCompletion)) + "\r\n\r\n" + e2etest.BenchCompletion
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
	for _, form := range benchCalls {
		for _, connections := range []int{1, 64} {
			b.Run(form.name+"/connections="+strconv.Itoa(connections), func(b *testing.B) {
				front := servertest.Start(b, server.Config{Upstream: url})
				calls := make(chan func() error, connections)
				for range connections {
					calls <- form.dial(b, front)
				}
				measureCPU(b)
				b.ReportAllocs()
				b.SetParallelism((connections + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						call := <-calls
						err := call()
						calls <- call
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}

// benchStreams open streaming calls and read one message of each.
var benchStreams = []struct {
	name string
	// open opens count streams and returns a function that reads a message of
	// each and returns their size in bytes.
	open func(b *testing.B, front *servertest.Front, count int) (read func() (int, error))
}{
	{"gRPC", func(b *testing.B, front *servertest.Front, count int) func() (int, error) {
		b.Helper()
		const perConnection = 100
		var clients []*e2etest.HTTP2Conn
		for i := range count {
			if i%perConnection == 0 {
				clients = append(clients, dialPatient(b, front))
			}
			stream := 2*uint32(i%perConnection) + 1
			if err := clients[len(clients)-1].Send(stream, grpcCall("StreamChatCompletion"), enveloped(b, e2etest.BenchRequest())); err != nil {
				b.Fatal(err)
			}
		}
		return func() (size int, err error) {
			for _, client := range clients {
				for read := 0; read < perConnection; {
					frame, err := client.ReadFrame()
					if err != nil {
						return size, err
					}
					if data, ok := frame.(*http2.DataFrame); ok {
						size += len(data.Data()) + 9
						for rest := data.Data(); len(rest) > 0; read++ {
							rest = rest[5+binary.BigEndian.Uint32(rest[1:]):]
						}
					}
				}
			}
			return size, nil
		}
	}},
	{"Connect", func(b *testing.B, front *servertest.Front, count int) func() (int, error) {
		b.Helper()
		body := enveloped(b, e2etest.BenchRequest())
		request := "POST /openaiconnect.chat.v1.ChatService/StreamChatCompletion HTTP/1.1\nHost: x\nContent-Type: application/connect+proto\n" +
			"Authorization: Bearer sk-1\nContent-Length: " + strconv.Itoa(len(body)) + "\n\n"
		clients := make([]*upstreamtest.Conn, count)
		for i := range clients {
			clients[i] = dialForBench(b, front.Address)
			clients[i].Send(request)
			if _, err := io.WriteString(clients[i], body); err != nil {
				b.Fatal(err)
			}
			if _, err := skipHead(clients[i].Reader); err != nil {
				b.Fatal(err)
			}
		}
		return func() (size int, err error) {
			for _, client := range clients {
				message, err := client.ReadChunk()
				if err != nil {
					return size, err
				}
				size += len(message) + len("ff\r\n\r\n")
			}
			return size, nil
		}
	}},
}

// BenchmarkTypedEvents is [BenchmarkRawEvents] with typed calls. It also reports the
// size of a message on the wire, relative to its event.
func BenchmarkTypedEvents(b *testing.B) {
	const streams = 1000
	event := "data: " + benchChunk + "\n\n"
	for _, form := range benchStreams {
		b.Run(form.name, func(b *testing.B) {
			opened := make(chan *upstreamtest.Conn, streams)
			ended := make(chan struct{})
			defer close(ended)
			url := upstreamtest.Serve(b, func(conn *upstreamtest.Conn) {
				length, err := skipHead(conn.Reader)
				if err != nil || skip(conn.Reader, length) != nil {
					return
				}
				conn.Send("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n")
				opened <- conn
				<-ended
				conn.SendChunk("data: [DONE]\n\n")
				conn.SendChunk("")
			})
			before := memoryInUse()
			read := form.open(b, servertest.Start(b, server.Config{Upstream: url}), streams)
			upstreams := make([]*upstreamtest.Conn, streams)
			for i := range upstreams {
				upstreams[i] = <-opened
			}
			perStream := float64(memoryInUse()-before) / streams
			size, rounds := 0, 0
			b.Cleanup(func() {
				b.ReportMetric(perStream, "B/stream")
				b.ReportMetric(float64(size)/float64(rounds*streams*(len(event)+len("fff\r\n\r\n"))), "wire/event")
			})
			measureCPU(b)
			b.ReportAllocs()
			b.ResetTimer()
			for sent := 0; sent < b.N; sent += streams {
				for _, conn := range upstreams {
					conn.SendChunk(event)
				}
				n, err := read()
				if err != nil {
					b.Fatal(err)
				}
				size += n
				rounds++
			}
		})
	}
}

// dialPatient is DialHTTP2 for a benchmark, without timeouts and size limits.
func dialPatient(b *testing.B, front *servertest.Front) *e2etest.HTTP2Conn {
	b.Helper()
	client := e2etest.DialHTTP2(b, front, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	if err := client.WriteWindowUpdate(0, 1<<30); err != nil {
		b.Fatal(err)
	}
	if err := client.Conn.SetDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	client.SetReuseFrames()
	return client
}

// grpcCall returns the header fields of a gRPC call.
func grpcCall(method string) []e2etest.HeaderField {
	return e2etest.RequestFields(http.MethodPost, "/openaiconnect.chat.v1.ChatService/"+method,
		e2etest.HeaderField{Name: "content-type", Value: "application/grpc"},
		e2etest.HeaderField{Name: "te", Value: "trailers"},
		e2etest.HeaderField{Name: "authorization", Value: "Bearer sk-1"},
	)
}

// enveloped returns a message in gRPC's framing.
func enveloped(b *testing.B, message proto.Message) string {
	b.Helper()
	envelope, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 5), message)
	if err != nil {
		b.Fatal(err)
	}
	binary.BigEndian.PutUint32(envelope[1:], uint32(len(envelope)-5))
	return string(envelope)
}
