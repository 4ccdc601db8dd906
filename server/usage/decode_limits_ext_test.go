package usage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai-connect/openai-connect/server/internal/inflation"
	"github.com/openai-connect/openai-connect/server/usage"
)

// emptyBodies returns large bodies, in each coding, that decompress to nothing.
func emptyBodies(t *testing.T) map[string][]byte {
	t.Helper()
	const size = 8 << 20
	member := encode(t, "gzip", "")[0]
	repeat := func(head, piece []byte) []byte { return append(head, bytes.Repeat(piece, size/len(piece))...) }
	return map[string][]byte{
		"gzip of empty stored blocks": repeat(bytes.Clone(member[:10]), []byte{0, 0, 0, 0xff, 0xff}),
		"gzip of empty fixed blocks":  repeat(bytes.Clone(member[:10]), []byte{0x02, 0x08, 0x20, 0x80, 0x00}),
		"gzip of empty members":       repeat(nil, member),
		"deflate of empty blocks":     repeat([]byte{0x78, 0x9c}, []byte{0, 0, 0, 0xff, 0xff}),
		"Deflate of empty blocks":     repeat(nil, []byte{0, 0, 0, 0xff, 0xff}),
		"zstd of empty frames":        repeat(nil, encode(t, "zstd", "")[0]),
		"zstd of skippable frames":    repeat(nil, append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, 0, 0, 0, 0)),
		"zstd of empty blocks":        repeat([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58}, []byte{0, 0, 0}),
		"br of empty metadata":        repeat([]byte{0x0c}, []byte{0x06}),
	}
}

// TestDecodeLimits_BombWithoutOutput decodes bodies that decompress to nothing, so that a
// bound of the output has no effect.
func TestDecodeLimits_BombWithoutOutput(t *testing.T) {
	t.Parallel()
	for name, body := range emptyBodies(t) {
		coding, _, _ := strings.Cut(name, " ")
		t.Run("request with "+name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {coding}}
			got, _, err := usage.ReadRequest(t.Context(), http.MethodPost, chat, header, bytes.NewReader(body), 64<<20)
			if _, inflated := errors.AsType[*inflation.Error](err); !inflated && (err != nil || got.Complete) {
				t.Errorf("ReadRequest() = %+v, %v", got, err)
			}
		})
		t.Run("response with "+name, func(t *testing.T) {
			t.Parallel()
			resp := respond(typeJSON, 0, string(body))
			resp.Header.Set("Content-Encoding", coding)
			if got := pass(t, resp, textRequest, string(body), unsplit); !got.Usage.Estimated {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestDecodeLimits_BombInLayers decodes two codings, so that a few kilobytes become
// hundreds of megabytes of empty blocks.
func TestDecodeLimits_BombInLayers(t *testing.T) {
	t.Parallel()
	inner := string(append(bytes.Clone(encode(t, "gzip", "")[0][:10]), bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 50_000_000)...))
	body := string(encode(t, "gzip", inner)[0])
	resp := respond(typeJSON, 0, body)
	resp.Header["Content-Encoding"] = []string{"gzip", "x-gzip"}
	start := time.Now()
	if got := pass(t, resp, textRequest, body, unsplit); !got.Usage.Estimated {
		t.Errorf("got %+v", got)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v, want at most 2s", took)
	}
}

// TestDecodeLimits_RejectsBombInRequest decodes a request that decompresses to a thousand
// times its size.
func TestDecodeLimits_RejectsBombInRequest(t *testing.T) {
	t.Parallel()
	for coding := range coders {
		large := encode(t, coding, `{"model":"m","input":"`+strings.Repeat("a", 4<<20)+`"}`)[0]
		header := http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {coding}}
		_, _, err := usage.ReadRequest(t.Context(), http.MethodPost, chat, header, bytes.NewReader(large), 64<<20)
		if _, inflated := errors.AsType[*inflation.Error](err); !inflated {
			t.Errorf("%s: got error %v", coding, err)
		}
		small := encode(t, coding, `{"model":"m","input":"`+strings.Repeat("a", 1<<19)+`"}`)[0]
		got, _, err := usage.ReadRequest(t.Context(), http.MethodPost, chat, header, bytes.NewReader(small), 64<<20)
		if err != nil || !got.Complete || got.Model != "m" {
			t.Errorf("%s: with half a megabyte: ReadRequest() = %+v, %v", coding, got, err)
		}
	}
}

// TestDecodeLimits_CodingsOfRequest accepts one coding, in any spelling.
func TestDecodeLimits_CodingsOfRequest(t *testing.T) {
	t.Parallel()
	const text = `{"model":"m","stream":true}`
	twice := func(outer, inner string) string {
		return string(encode(t, outer, string(encode(t, inner, text)[0]))[0])
	}
	members := string(encode(t, "gzip", text[:9])[0]) + string(encode(t, "gzip", text[9:])[0])
	for _, row := range []struct {
		name     string
		codings  []string
		body     string
		accepted bool
	}{
		{"none", nil, text, true},
		{"identity", []string{"identity"}, text, true},
		{"identity twice", []string{"identity, Identity"}, text, true},
		{"an empty field", []string{""}, text, true},
		{"gzip", []string{"gzip"}, string(encode(t, "gzip", text)[0]), true},
		{"odd case", []string{" GZip\t"}, string(encode(t, "gzip", text)[0]), true},
		{"x-gzip", []string{"X-GZIP"}, string(encode(t, "gzip", text)[0]), true},
		{"gzip in two members", []string{"gzip"}, members, true},
		{"identity and br", []string{"identity", "br"}, string(encode(t, "br", text)[0]), true},
		{"a list with empty elements", []string{", zstd,,"}, string(encode(t, "zstd", text)[0]), true},
		{"gzip twice", []string{"gzip, gzip"}, twice("gzip", "gzip"), false},
		{"gzip twice in two fields", []string{"gzip", "GZIP"}, twice("gzip", "gzip"), false},
		{"br over gzip", []string{"x-gzip,identity, br"}, twice("br", "gzip"), false},
		{"a known and an unknown one", []string{"secret, gzip"}, twice("gzip", "gzip"), false},
		{"many", []string{strings.Repeat("gzip,", 1000)}, text, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Content-Type": {typeJSON}, "Content-Encoding": row.codings}
			body := &countedReader{Reader: strings.NewReader(row.body)}
			got, _, err := usage.ReadRequest(t.Context(), http.MethodPost, chat, header, body, 1<<20)
			if row.accepted {
				if err != nil || !got.Complete || got.Model != "m" || !got.Streaming {
					t.Errorf("ReadRequest() = %+v, %v", got, err)
				}
				return
			}
			rejected, ok := errors.AsType[*usage.CodingError](err)
			if !ok || rejected.Accept != "gzip, deflate, br, zstd" {
				t.Errorf("ReadRequest() = %+v, %v", got, err)
			}
			if body.n > 0 || len(err.Error()) > 300 {
				t.Errorf("got %d read bytes and error %q, want no read bytes and a short error", body.n, err)
			}
		})
	}
}

// countedReader counts the bytes that are read.
type countedReader struct {
	io.Reader

	n int
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestDecodeLimits_ZstdWindow decodes frames with a window that exceeds the limit of
// RFC 9659.
func TestDecodeLimits_ZstdWindow(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string][]byte{
		"a window of 1 GiB":         {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x11, 0, 0, '{', '}'},
		"a single segment of 1 GiB": {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x40, 0x11, 0, 0, '{', '}'},
		"a single segment of 4 EiB": {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x11, 0, 0, '{', '}'},
		"an unknown dictionary":     {0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 0x07, 0x11, 0, 0, '{', '}'},
	} {
		header := http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {"zstd"}}
		got, _, err := usage.ReadRequest(t.Context(), http.MethodPost, chat, header, bytes.NewReader(frame), 64<<20)
		if err != nil || got.Complete {
			t.Errorf("%s: ReadRequest() = %+v, %v", name, got, err)
		}
	}
}

// TestDecodeLimits_EndsWithItsContext cancels the context of a request that is decoded.
func TestDecodeLimits_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	body := encode(t, "gzip", `{"model":"m"}`)[0]
	header := http.Header{"Content-Type": {typeJSON}, "Content-Encoding": {"gzip"}}
	if _, _, err := usage.ReadRequest(ctx, http.MethodPost, chat, header, bytes.NewReader(body), 1<<20); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
}

// TestDecodeLimits_BombInWebSocket decodes a WebSocket message that decompresses to
// nothing. Later compressed messages are estimated.
func TestDecodeLimits_BombInWebSocket(t *testing.T) {
	t.Parallel()
	for name, independent := range map[string]bool{"with context takeover": false, "without context takeover": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			extension := "permessage-deflate"
			if independent {
				extension += "; server_no_context_takeover"
			}
			deflated := &deflater{independent: independent}
			reportedUsage := done(`{"total_tokens":3,"input_tokens":2,"output_tokens":1}`)
			body := frame(final|compressed|text, deflated.message(reportedUsage)) +
				frame(final|compressed|text, strings.Repeat("\x00\x00\x00\xff\xff", 1<<20)) +
				frame(final|text, reportedUsage)
			resp := respond("", http.StatusSwitchingProtocols, body)
			resp.Header.Set("Sec-WebSocket-Extensions", extension)
			got := pass(t, resp, textRequest, body, unsplit)
			if got.Events != 3 || got.Usage.Input != 4 || got.Usage.Output != 2 {
				t.Errorf("got %+v", got)
			}
		})
	}
}
