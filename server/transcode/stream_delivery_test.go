package transcode

import (
	"bytes"
	"context"
	endian "encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1/chatv1connect"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/streamtest"
)

// delivery describes how the bytes of an event stream arrive. It is the body of the
// upstream's response and returns one piece per read.
type delivery struct {
	pieces []string
	// end is the error after the last piece; nil means io.EOF.
	end error
	// atOnce returns the end together with the last piece.
	atOnce bool
	// unframed is a body that ends with the connection.
	unframed bool
	// untyped is a response without the content type of an event stream.
	untyped bool
	// asked is called before each read with the number of bytes returned so far.
	asked func(handed int)

	handed int
}

func (d *delivery) Read(p []byte) (int, error) {
	if d.asked != nil {
		d.asked(d.handed)
	}
	if d.end == nil {
		d.end = io.EOF
	}
	if len(d.pieces) == 0 {
		return 0, d.end
	}
	n := copy(p, d.pieces[0])
	d.handed += n
	if d.pieces[0] = d.pieces[0][n:]; d.pieces[0] == "" {
		d.pieces = d.pieces[1:]
	}
	if d.atOnce && len(d.pieces) == 0 {
		return n, d.end
	}
	return n, nil
}

func (d *delivery) Close() error { return nil }

// wire is the client's end of a call. It has received the flushed part of the written
// bytes.
type wire struct {
	header   http.Header
	written  []byte
	begun    bool
	frames   [][]byte // flushed messages
	lastSize int      // size of these frames in bytes
	end      []byte   // Connect's last message, in JSON
}

func (w *wire) Header() http.Header { return w.header }

func (w *wire) WriteHeader(int) {}

func (w *wire) Write(p []byte) (int, error) {
	w.written = append(w.written, p...)
	return len(p), nil
}

// Flush delivers the written bytes. Connect streams consist of frames: one byte of flags,
// where 2 marks the last frame, four bytes of length, and the message.
func (w *wire) Flush() {
	const head = 5
	w.begun = true
	for {
		rest := w.written[w.lastSize:]
		if len(rest) < head {
			return
		}
		size := head + int(endian.BigEndian.Uint32(rest[1:]))
		if len(rest) < size {
			return
		}
		if frame := rest[head:size]; rest[0]&2 != 0 {
			w.end = frame
		} else {
			w.frames = append(w.frames, slices.Clone(frame))
		}
		w.lastSize += size
	}
}

// messages returns the delivered messages.
func (w *wire) messages(tb testing.TB) []*chatv1.ChatCompletionChunk {
	tb.Helper()
	messages := make([]*chatv1.ChatCompletionChunk, len(w.frames))
	for i, frame := range w.frames {
		messages[i] = new(chatv1.ChatCompletionChunk)
		if err := proto.Unmarshal(frame, messages[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return messages
}

// same reports whether both wires have the same messages and the same end.
func (w *wire) same(tb testing.TB, other *wire) bool {
	tb.Helper()
	if !bytes.Equal(w.end, other.end) {
		return false
	}
	// Protobuf does not define the order of encoded fields.
	return slices.EqualFunc(w.frames, other.frames, bytes.Equal) ||
		slices.EqualFunc(w.messages(tb), other.messages(tb), func(a, b *chatv1.ChatCompletionChunk) bool { return proto.Equal(a, b) })
}

// streamServer serves event streams in this process, with all layers between the
// upstream's response and the client's socket.
type streamServer struct{ handler http.Handler }

// responseKey is the context key of the upstream's response.
type responseKey struct{}

func newStreamServer(tb testing.TB) *streamServer {
	tb.Helper()
	operations := chatv1.ChatServiceREST()
	op := newOperation(&operations[slices.IndexFunc(operations, func(op restjson.Operation) bool {
		return op.Procedure == chatv1connect.ChatServiceStreamChatCompletionProcedure
	})], operations, Config{})
	spec, err := newSpec(op.Operation)
	if err != nil {
		tb.Fatal(err)
	}
	c := &transcoder{maxEvent: DefaultMaxEventBytes, maxReply: DefaultMaxReplyBytes}
	server := connect.NewServer()
	server.Register(connect.Method{Spec: spec, Handler: func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
		request := op.NewRequest()
		if err := stream.Receive(request); err != nil {
			return err
		}
		response, _ := ctx.Value(responseKey{}).(*http.Response)
		return c.forward(ctx, op, op.Stream.Count(request), response, stream)
	}})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server, connecthttp.WithCodecs(Codecs()...))
	return &streamServer{Bounds{}.Wrap(mux)}
}

// call makes a call for the given number of choices, with a delivery as the response.
func (s *streamServer) call(tb testing.TB, choices int32, from *delivery) *wire {
	tb.Helper()
	w := &wire{header: make(http.Header)}
	s.callOn(tb, w, choices, from)
	return w
}

func (s *streamServer) callOn(tb testing.TB, w *wire, choices int32, from *delivery) {
	tb.Helper()
	message, err := proto.Marshal(&chatv1.CreateChatCompletionRequest{N: &choices})
	if err != nil {
		tb.Fatal(err)
	}
	frame := append(endian.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	response := &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: from, ContentLength: -1}
	if !from.unframed {
		response.TransferEncoding = []string{"chunked"}
	}
	if !from.untyped {
		response.Header.Set("Content-Type", mediaEventStream)
	}
	request := httptest.NewRequestWithContext(context.WithValue(tb.Context(), responseKey{}, response),
		http.MethodPost, chatv1connect.ChatServiceStreamChatCompletionProcedure, bytes.NewReader(frame))
	request.Header.Set("Content-Type", "application/connect+proto")
	request.Header.Set("Connect-Protocol-Version", "1")
	s.handler.ServeHTTP(w, request)
	w.Flush() // as net/http does when a handler returns
	if w.lastSize != len(w.written) || w.end == nil {
		tb.Fatalf("the response is not a Connect stream: %q", w.written)
	}
}

// errEarly ends a delivery that failed its test.
var errEarly = errors.New("asked too early")

// punctual makes a call like [streamServer.call], and checks that the server never reads
// from the upstream before it has sent all complete messages and the end.
func (s *streamServer) punctual(tb testing.TB, choices int32, from *delivery, schedule streamtest.Schedule) *wire {
	tb.Helper()
	w := &wire{header: make(http.Header)}
	from.asked = func(handed int) {
		var fault string
		switch due := schedule.Messages(handed); {
		case !w.begun && !from.untyped:
			fault = "and the response's header had not been sent"
		case len(w.frames) != due:
			fault = fmt.Sprintf("which complete %d messages, and %d had arrived", due, len(w.frames))
		case schedule.Ended(handed):
			fault = "which show the end"
		default:
			return
		}
		tb.Errorf("it asked for more after %d bytes, %s", handed, fault)
		from.pieces, from.end = nil, errEarly
	}
	s.callOn(tb, w, choices, from)
	return w
}

// cutAt splits text at sorted positions.
func cutAt(text string, places ...int) []string {
	pieces := make([]string, 0, len(places)+1)
	start := 0
	for _, place := range append(places, len(text)) {
		if place > start {
			pieces = append(pieces, text[start:place])
			start = place
		}
	}
	return pieces
}

// byteByByte splits text into bytes.
func byteByByte(text string) []string {
	pieces := make([]string, len(text))
	for i := range pieces {
		pieces[i] = text[i : i+1]
	}
	return pieces
}

// randomPieces splits text into at most the given number of pieces.
func randomPieces(random *rand.Rand, text string, count int) []string {
	return cutAt(text, streamtest.Places(random, len(text), count-1)...)
}

// excerptOf formats pieces, abbreviated.
func excerptOf(pieces []string) string {
	const most = 2000
	text := fmt.Sprintf("%q", pieces)
	return text[:min(len(text), most)]
}
