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

// Each stream of the corpus arrives as its expected messages over every protocol. The
// upstream sends nothing after an event until the client has received its message,
// wherever the upstream's writes are split.
func TestStreamCorpus_ArrivesInStep(t *testing.T) {
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

// The test uses an event of several megabytes, below the size limit of clients.
func TestStreamCorpus_LargeEventArrivesInStep(t *testing.T) {
	t.Parallel()
	s := streamtest.Large(1 << 20)[0]
	places := append(streamtest.Places(rand.New(rand.NewPCG(4, 0)), len(s.Text), 50), streamtest.ScheduleOf(s.Text, len(s.Messages)).Complete()...)
	slices.Sort(places)
	checkInStep(t, s, places)
}

// checkInStep requests the stream with each client and with each schedule. A schedule
// lists the offsets at which a write ends. All messages complete by then must arrive
// before the next write.
func checkInStep(t *testing.T, s streamtest.Stream, schedules ...[]int) {
	t.Helper()
	schedule := streamtest.ScheduleOf(s.Text, len(s.Messages))
	arrived := make(chan struct{}, len(s.Messages))
	scripts := make(map[string]e2etest.Script)
	for i, offsets := range schedules {
		scripts[strconv.Itoa(i)] = func(conn *upstreamtest.Conn) {
			// A body with Content-Length is sent unchanged, without chunk framing.
			conn.Send(e2etest.ResponseHead(http.StatusOK, e2etest.EventStreamType, fmt.Sprint("Content-Length: ", len(s.Text))))
			written, seen := 0, 0
			for _, offset := range append(offsets, len(s.Text)) {
				_, _ = io.WriteString(conn, s.Text[written:offset])
				for written = offset; seen < schedule.Messages(written); seen++ {
					e2etest.Receive(t, arrived, fmt.Sprintf("message %d, complete in the first %d bytes of the stream", seen, written))
				}
			}
		}
	}
	front := e2etest.StartServer(t, server.Config{Upstream: e2etest.ServeScripts(t, scripts)})
	for _, client := range e2etest.LibraryClients(t, front) {
		for i := range schedules {
			var messages []*chatv1.ChatCompletionChunk
			request := e2etest.Hello()
			request.N = new(s.Choices())
			_, err := client.Stream(e2etest.Context(t), e2etest.Call{Method: e2etest.StreamMethod, Request: request, Metadata: http.Header{e2etest.ScriptHeader: {strconv.Itoa(i)}}},
				func(message *chatv1.ChatCompletionChunk) {
					messages = append(messages, message)
					if len(messages) <= len(schedule.Complete()) { // Otherwise the end of the body completes it.
						arrived <- struct{}{}
					}
				})
			if end := endOf(t, err); end != s.End {
				t.Errorf("%s: got end %+v, want %+v", client.Name, end, s.End)
			}
			if !slices.EqualFunc(messages, s.Messages, func(a, b *chatv1.ChatCompletionChunk) bool { return proto.Equal(a, b) }) {
				t.Errorf("%s: got %d messages:\n%v\nwant %d:\n%v", client.Name, len(messages), messages, len(s.Messages), s.Messages)
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
		t.Fatalf("got error %v, want an RPC error", err)
	}
	return streamtest.End{Code: failed.Code.String(), Message: failed.Message}
}
