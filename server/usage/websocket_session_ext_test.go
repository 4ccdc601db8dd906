package usage_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/coder/websocket"
	"github.com/klauspost/compress/flate"

	"github.com/openai-connect/openai-connect/server/usage"
)

// frame returns a frame of a server.
func frame(first byte, payload string) string {
	b := []byte{first}
	switch size := len(payload); {
	case size < 126:
		b = append(b, byte(size))
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
	}
	return string(b) + payload
}

const (
	text, binaryMessage, closing, ping = 1, 2, 8, 9
	final, compressed                  = 0x80, 0x40
)

// deflater compresses messages (RFC 7692).
type deflater struct {
	buffer      bytes.Buffer
	writer      *flate.Writer
	independent bool
}

func (d *deflater) message(payload string) string {
	if d.writer == nil {
		d.writer, _ = flate.NewWriter(&d.buffer, 5)
	} else if d.independent {
		d.writer.Reset(&d.buffer)
	}
	io.WriteString(d.writer, payload)
	d.writer.Flush()
	result := strings.TrimSuffix(d.buffer.String(), "\x00\x00\xff\xff")
	d.buffer.Reset()
	return result
}

func done(tokens string) string {
	return `{"type":"response.done","response":{"status":"completed","output":[{"content":[{"transcript":"Hello"}]}],"usage":` + tokens + `}}`
}

func TestWebSocket_ReadsUsage(t *testing.T) {
	t.Parallel()
	const (
		created = `{"type":"session.created","session":{"model":"m","instructions":"Be brief"}}`
		delta   = `{"type":"response.output_audio_transcript.delta","delta":"Hello you"}`
		audio   = `{"type":"response.output_audio.delta","delta":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`
		first   = `{"total_tokens":253,"input_tokens":132,"output_tokens":121,"input_token_details":{"cached_tokens":64},"output_token_details":{"text_tokens":30}}`
		second  = `{"total_tokens":3,"input_tokens":2,"output_tokens":1}`
	)
	sum := usage.Usage{Input: 134, Output: 122, Total: 256, CachedInput: 64}
	half := len(done(first)) / 2
	kept, independent := &deflater{}, &deflater{independent: true}
	large := strings.Repeat("x", 70_000)
	for _, row := range []struct {
		name, extensions, body string
		want                   usage.Response
	}{
		{
			"the usage of several responses is added", "",
			frame(final|text, created) + frame(final|text, delta) + frame(final|text, done(first)) + frame(final|text, done(second)),
			usage.Response{Usage: sum, Model: "m", Events: 4},
		},
		{
			"a fragmented message with a ping", "",
			frame(text, done(first)[:half]) + frame(final|ping, `{"usage":`) + frame(0, "") + frame(final, done(first)[half:]) + frame(final|text, done(second)),
			usage.Response{Usage: sum, Events: 2},
		},
		{
			"binary and empty messages are ignored", "",
			frame(final|binaryMessage, done(first)) + frame(binaryMessage, "") + frame(final, done(first)) + frame(final|text, "") + frame(final|text, done(second)),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 1, Total: 3}, Events: 2},
		},
		{
			"output after the last response is estimated", "",
			frame(final|text, done(second)) + frame(final|text, audio) + frame(final|text, delta) + frame(text, delta[:len(delta)-5]),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 4, Total: 6, Estimated: true}, Events: 3},
		},
		{
			"a transcription reports usage", "",
			frame(final|text, `{"type":"conversation.item.input_audio_transcription.completed","transcript":"Hello","usage":`+second+`}`),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 1, Total: 3}, Events: 1},
		},
		{
			"long messages", "",
			frame(final|text, `{"a":"`+large[:200]+`"}`) + frame(final|text, `{"a":"`+large+`"}`) + frame(final|text, done(second)) + frame(final|closing, "\x03\xe8bye"),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 1, Total: 3}, Events: 3},
		},
		{
			"an empty session", "", "",
			usage.Response{Usage: usage.Usage{Estimated: true}},
		},
		{
			"compressed messages with context takeover", "permessage-deflate; client_max_window_bits=15",
			frame(final|compressed|text, kept.message(created)) + frame(final|compressed|text, kept.message(done(first))) +
				frame(final|text, delta) + frame(final|compressed|text, kept.message(done(second))),
			usage.Response{Usage: sum, Model: "m", Events: 4},
		},
		{
			"compressed messages without context takeover", "x-other, Permessage-Deflate; Server_no_context_takeover; client_no_context_takeover",
			frame(final|compressed|text, independent.message(created)) + frame(final|compressed|text, independent.message(done(first))) +
				frame(final|text, delta) + frame(final|compressed|text, independent.message(done(second))),
			usage.Response{Usage: sum, Model: "m", Events: 4},
		},
		{
			"compression that was not negotiated is estimated", "",
			frame(final|compressed|text, "Hello there"),
			usage.Response{Usage: estimated(0, 3), Events: 1},
		},
		{
			"undecodable messages are estimated", "permessage-deflate",
			frame(final|compressed|text, "\xff\xff") + frame(final|compressed|text, "Hello there"),
			usage.Response{Usage: estimated(0, 3), Events: 2},
		},
		{
			"a masked frame ends the metering", "",
			frame(final|text, done(second)) + "\x81\x85\x00\x00\x00\x00Hello" + frame(final|text, done(first)),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 1, Total: 3}, Events: 1},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, wrap := range []func(io.Reader) io.Reader{unsplit, iotest.OneByteReader} {
				resp := respond("", http.StatusSwitchingProtocols, row.body)
				resp.Header.Set("Sec-WebSocket-Extensions", row.extensions)
				if got := pass(t, resp, textRequest, row.body, wrap); got != row.want {
					t.Errorf("got %+v, want %+v", got, row.want)
				}
			}
		})
	}
}

// TestWebSocket_ReadsRealConnections uses a real client and server, with compression.
func TestWebSocket_ReadsRealConnections(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]websocket.CompressionMode{
		"uncompressed": websocket.CompressionDisabled, "context takeover": websocket.CompressionContextTakeover, "no context takeover": websocket.CompressionNoContextTakeover,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const answers = 20
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: mode, CompressionThreshold: 1})
				if err != nil {
					t.Error(err)
					return
				}
				for range answers {
					conn.Write(r.Context(), websocket.MessageText, []byte(done(`{"input_tokens":1,"output_tokens":2,"total_tokens":3}`)))
				}
				conn.Close(websocket.StatusNormalClosure, "")
			}))
			defer server.Close()
			through := &tapTransport{next: server.Client().Transport}
			conn, _, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{
				HTTPClient: &http.Client{Transport: through}, CompressionMode: mode,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			for range answers {
				if _, message, err := conn.Read(context.Background()); err != nil || !strings.Contains(string(message), "response.done") {
					t.Fatal(string(message), err)
				}
			}
			conn.Read(context.Background())
			want := usage.Response{Usage: usage.Usage{Input: answers, Output: 2 * answers, Total: 3 * answers}, Events: answers}
			if got := through.tap.Response(); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// tapTransport is a transport with a Tap on the response.
type tapTransport struct {
	next http.RoundTripper
	tap  *usage.Tap
}

func (t *tapTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		body := resp.Body
		t.tap = usage.NewTap(resp, textRequest, nil)
		resp.Body = struct {
			io.Reader
			io.WriteCloser
		}{resp.Body, struct {
			io.Writer
			io.Closer
		}{body.(io.Writer), resp.Body}} // bodies of net/http have no CloseWrite
	}
	return resp, err
}
