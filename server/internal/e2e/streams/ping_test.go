package streams_test

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/servertest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// The server sends PINGs on the HTTP/2 connection of an idle stream, and the stream
// continues afterwards.
func TestPing_SentDuringIdleStream(t *testing.T) {
	t.Parallel()
	const pings = 3
	message, err := proto.Marshal(e2etest.Hello())
	if err != nil {
		t.Fatal(err)
	}
	for name, fields := range map[string][]e2etest.HeaderField{
		"gRPC":     {{Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"}},
		"gRPC-Web": {{Name: "content-type", Value: "application/grpc-web+proto"}},
		"Connect":  {{Name: "content-type", Value: "application/connect+proto"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			think := make(chan struct{})
			url := e2etest.ServeScripts(t, map[string]e2etest.Script{"thinks": func(conn *upstreamtest.Conn) {
				e2etest.BeginStream(conn)
				conn.SendChunk(e2etest.Chunk(0, "a"))
				<-think
				conn.SendChunk(e2etest.Finish(0, "stop") + e2etest.DoneEvent)
				e2etest.EndStream(conn)
			}})
			front := servePinging(t, url)
			client := e2etest.DialHTTP2(t, front)
			request := e2etest.RequestFields("POST", "/"+chatv1connect.ChatServiceName+"/"+e2etest.StreamMethod, append(fields, e2etest.HeaderField{Name: "x-script", Value: "thinks"})...)
			if err := client.Send(1, request, string(e2etest.Envelope(0, message))); err != nil {
				t.Fatal(err)
			}
			var data, quiet int
			for ended := false; !ended; {
				frame, err := client.ReadFrame()
				if err != nil {
					t.Fatalf("after %d pings and %d bytes: %v", quiet, data, err)
				}
				switch frame := frame.(type) {
				case *http2.DataFrame:
					data += len(frame.Data())
					ended = frame.StreamEnded()
				case *http2.MetaHeadersFrame:
					ended = frame.StreamEnded()
				case *http2.RSTStreamFrame, *http2.GoAwayFrame:
					t.Fatalf("got end of stream %v", frame)
				case *http2.SettingsFrame:
					if !frame.IsAck() {
						_ = client.WriteSettingsAck()
					}
				case *http2.PingFrame:
					if frame.IsAck() {
						continue
					}
					if err := client.WritePing(true, frame.Data); err != nil {
						t.Fatal(err)
					}
					if quiet++; quiet == pings {
						close(think)
					}
				}
			}
			if data == 0 || quiet < pings {
				t.Errorf("got %d bytes and %d pings", data, quiet)
			}
		})
	}
}

// servePinging runs a server that sends a PING on idle HTTP/2 connections after a
// short time.
func servePinging(t *testing.T, upstream string) *servertest.Front {
	t.Helper()
	s, err := server.New(server.Config{Upstream: upstream})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(ctx, listener, server.ServeConfig{DrainTimeout: e2etest.Timeout, SendPingTimeout: 50 * time.Millisecond})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve returned %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	address := listener.Addr().String()
	return &servertest.Front{Server: s, Address: address, URL: "http://" + address, Stop: stop}
}
