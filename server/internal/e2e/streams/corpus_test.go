package streams_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/server"
	"github.com/openai-connect/openai-connect/server/internal/e2e/e2etest"
	"github.com/openai-connect/openai-connect/server/internal/streamtest"
	"github.com/openai-connect/openai-connect/server/upstream/upstreamtest"
)

// Each stream arrives over every protocol as what it stands for, and in step
// with the upstream, which writes no byte behind an event before the client has
// the event's message; wherever between the events, or in them, its writes end.
func TestEveryStreamArrivesInStep(t *testing.T) {
	t.Parallel()
	for _, s := range streamtest.Corpus(t) {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			schedule := streamtest.ScheduleOf(s.Text, len(s.Messages))
			random := rand.New(rand.NewPCG(3, uint64(len(s.Text))))
			checkInStep(t, s, schedule.Complete(), streamtest.Places(random, len(s.Text), 5), streamtest.Places(random, len(s.Text), 25))
		})
	}
}

// So does an event of megabytes, below the size that clients refuse.
func TestALargeEventArrivesInStep(t *testing.T) {
	t.Parallel()
	s := streamtest.Large(1 << 20)[0]
	places := append(streamtest.Places(rand.New(rand.NewPCG(4, 0)), len(s.Text), 50), streamtest.ScheduleOf(s.Text, len(s.Messages)).Complete()...)
	slices.Sort(places)
	checkInStep(t, s, places)
}

// checkInStep asks for the stream once by each client for each of the ways to
// cut it, and checks what arrives. A way is the places at which a write of the
// upstream ends, before which the client must have what is complete.
func checkInStep(t *testing.T, s streamtest.Stream, ways ...[]int) {
	t.Helper()
	schedule := streamtest.ScheduleOf(s.Text, len(s.Messages))
	arrived := make(chan struct{}, len(s.Messages))
	scripts := make(map[string]e2etest.Script)
	for i, places := range ways {
		scripts[strconv.Itoa(i)] = func(conn *upstreamtest.Conn) {
			// A body of a stated length stands on the wire byte for byte.
			conn.Send(e2etest.ResponseHead(http.StatusOK, e2etest.EventStreamType, fmt.Sprint("Content-Length: ", len(s.Text))))
			written, seen := 0, 0
			for _, place := range append(places, len(s.Text)) {
				_, _ = io.WriteString(conn, s.Text[written:place])
				for written = place; seen < schedule.Messages(written); seen++ {
					e2etest.Receive(t, arrived, fmt.Sprintf("message %d, complete in the first %d bytes of the stream", seen, written))
				}
			}
		}
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for _, client := range e2etest.LibraryClients(t, front) {
		for i := range ways {
			var messages []*chatv1.ChatCompletionChunk
			request := e2etest.Hello()
			request.N = new(s.Choices())
			_, err := client.Stream(e2etest.Context(t), e2etest.Call{Method: e2etest.StreamMethod, Request: request, Metadata: http.Header{e2etest.ScriptHeader: {strconv.Itoa(i)}}},
				func(message *chatv1.ChatCompletionChunk) {
					messages = append(messages, message)
					if len(messages) <= len(schedule.Complete()) { // Else the body's end completes it.
						arrived <- struct{}{}
					}
				})
			if end := endOf(t, err); end != s.End {
				t.Errorf("%s: got end %+v, want %+v", client.Name, end, s.End)
			}
			if !slices.EqualFunc(messages, s.Messages, func(a, b *chatv1.ChatCompletionChunk) bool { return proto.Equal(a, b) }) {
				t.Errorf("%s: got %d messages:\n%v\nnot the %d\n%v", client.Name, len(messages), messages, len(s.Messages), s.Messages)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

func endOf(t *testing.T, err error) streamtest.End {
	t.Helper()
	if err == nil {
		return streamtest.End{}
	}
	failed, ok := errors.AsType[*e2etest.RPCError](err)
	if !ok {
		t.Fatalf("the call failed by itself: %v", err)
	}
	return streamtest.End{Code: failed.Code.String(), Message: failed.Message}
}
