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

// frame is one of a server's.
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

// deflater compresses messages in the manner of RFC 7692.
type deflater struct {
	buffer bytes.Buffer
	writer *flate.Writer
	anew   bool
}

func (d *deflater) message(payload string) string {
	if d.writer == nil {
		d.writer, _ = flate.NewWriter(&d.buffer, 5)
	} else if d.anew {
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
	kept, anew := &deflater{}, &deflater{anew: true}
	large := strings.Repeat("x", 70_000)
	for _, row := range []struct {
		name, extensions, body string
		want                   usage.Response
	}{
		{
			"the answers of a session add up", "",
			frame(final|text, created) + frame(final|text, delta) + frame(final|text, done(first)) + frame(final|text, done(second)),
			usage.Response{Usage: sum, Model: "m", Events: 4},
		},
		{
			"a message may be in pieces, with a ping in between", "",
			frame(text, done(first)[:half]) + frame(final|ping, `{"usage":`) + frame(0, "") + frame(final, done(first)[half:]) + frame(final|text, done(second)),
			usage.Response{Usage: sum, Events: 2},
		},
		{
			"binary messages and empty ones say nothing", "",
			frame(final|binaryMessage, done(first)) + frame(binaryMessage, "") + frame(final, done(first)) + frame(final|text, "") + frame(final|text, done(second)),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 1, Total: 3}, Events: 2},
		},
		{
			"what was said since the last answer is guessed", "",
			frame(final|text, done(second)) + frame(final|text, audio) + frame(final|text, delta) + frame(text, delta[:len(delta)-5]),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 4, Total: 6, Estimated: true}, Events: 3},
		},
		{
			"a transcription has a usage of its own", "",
			frame(final|text, `{"type":"conversation.item.input_audio_transcription.completed","transcript":"Hello","usage":`+second+`}`),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 1, Total: 3}, Events: 1},
		},
		{
			"messages may be long", "",
			frame(final|text, `{"a":"`+large[:200]+`"}`) + frame(final|text, `{"a":"`+large+`"}`) + frame(final|text, done(second)) + frame(final|closing, "\x03\xe8bye"),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 1, Total: 3}, Events: 3},
		},
		{
			"a session that says nothing takes nothing that is known", "", "",
			usage.Response{Usage: usage.Usage{Estimated: true}},
		},
		{
			"messages may be compressed", "permessage-deflate; client_max_window_bits=15",
			frame(final|compressed|text, kept.message(created)) + frame(final|compressed|text, kept.message(done(first))) +
				frame(final|text, delta) + frame(final|compressed|text, kept.message(done(second))),
			usage.Response{Usage: sum, Model: "m", Events: 4},
		},
		{
			"they may be compressed each for itself", "x-other, Permessage-Deflate; Server_no_context_takeover; client_no_context_takeover",
			frame(final|compressed|text, anew.message(created)) + frame(final|compressed|text, anew.message(done(first))) +
				frame(final|text, delta) + frame(final|compressed|text, anew.message(done(second))),
			usage.Response{Usage: sum, Model: "m", Events: 4},
		},
		{
			"what is compressed though nobody agreed is guessed", "",
			frame(final|compressed|text, "Hello there"),
			usage.Response{Usage: guess(0, 3), Events: 1},
		},
		{
			"what can't be decoded is guessed", "permessage-deflate",
			frame(final|compressed|text, "\xff\xff") + frame(final|compressed|text, "Hello there"),
			usage.Response{Usage: guess(0, 3), Events: 2},
		},
		{
			"what is masked ends the reading", "",
			frame(final|text, done(second)) + "\x81\x85\x00\x00\x00\x00Hello" + frame(final|text, done(first)),
			usage.Response{Usage: usage.Usage{Input: 2, Output: 1, Total: 3}, Events: 1},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, wrap := range []func(io.Reader) io.Reader{same, iotest.OneByteReader} {
				resp := respond("", http.StatusSwitchingProtocols, row.body)
				resp.Header.Set("Sec-WebSocket-Extensions", row.extensions)
				if got := pass(t, resp, asked, row.body, wrap); got != row.want {
					t.Errorf("got %+v, want %+v", got, row.want)
				}
			}
		})
	}
}

// TestWebSocket_ReadsRealConnections has two sides that compress as libraries do.
func TestWebSocket_ReadsRealConnections(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]websocket.CompressionMode{
		"plain": websocket.CompressionDisabled, "kept": websocket.CompressionContextTakeover, "anew": websocket.CompressionNoContextTakeover,
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
			through := &tapping{next: server.Client().Transport}
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

// tapping is a transport that taps the answer.
type tapping struct {
	next http.RoundTripper
	tap  *usage.Tap
}

func (t *tapping) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		body := resp.Body
		t.tap = usage.NewTap(resp, asked, nil)
		resp.Body = struct {
			io.Reader
			io.WriteCloser
		}{resp.Body, struct {
			io.Writer
			io.Closer
		}{body.(io.Writer), resp.Body}} // as net/http's have no CloseWrite
	}
	return resp, err
}
