package transcode

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/internal/lineartest"
	"github.com/openai-connect/openai-connect/server/sse"
)

// linearPieces repeat into JSON, or a prefix of JSON, that may be slow to parse.
var linearPieces = []string{
	"[", "{", `{"a":`, `"`, `\`, `\u0000`, `\ud83d`, `"a",`, `"a":1,`, `"model":"m",`, `"extra_json":"{}",`, `"stop":["a"],`, `"metadata":{"a":"b"},`,
	`"choices":[{}],`, `"choices":[{"logprobs":{"content":[{}]}}],`, `"messages":[{"content":"a"}],`, `"tools":[{"type":"function"}],`, "1", "1e", "-", " ", "\x00", "é", `"message":{"content":`,
	`{},`, `"error":{"message":`, `"seed":1.0000000,`, "0.1", "NaN,",
}

// numbered returns an object of size bytes with fields of different names.
func numbered(size int) string {
	var b strings.Builder
	b.WriteString("{")
	for i := 0; b.Len() < size; i++ {
		b.WriteString(`"n`)
		b.WriteString(strings.Repeat("x", i%7))
		for n := i; n > 0; n /= 10 {
			b.WriteByte('0' + byte(n%10))
		}
		b.WriteString(`":1,`)
	}
	return strings.TrimSuffix(b.String(), ",") + "}"
}

func TestJSON_TakesLinearTime(t *testing.T) {
	var codec connect.Codec
	for _, each := range Codecs() {
		if each.Name() == connect.CodecNameJSON {
			codec = each
		}
	}
	for _, wrap := range []func(string) string{
		func(text string) string { return text },
		func(text string) string { return "{" + text },
		func(text string) string { return "{" + strings.TrimSuffix(text, ",") + "}" },
		func(text string) string { return `{"a":[` + strings.TrimSuffix(text, ",") + "]}" },
		func(text string) string { return `{"messages":[` + strings.TrimSuffix(text, ",") + "]}" },
		func(text string) string { return `{"choices":[` + strings.TrimSuffix(text, ",") + "]}" },
	} {
		for _, piece := range linearPieces {
			lineartest.Check(t, 256<<10, func(size int) func() {
				text := []byte(wrap(strings.Repeat(piece, size/len(piece))))
				return func() {
					_ = restjson.Unmarshal(text, new(chatv1.ChatCompletion))
					_ = restjson.Unmarshal(text, new(chatv1.ChatCompletionChunk))
					_ = parseError(text)
					_ = codec.UnmarshalRead(t.Context(), bytes.NewBuffer(text), new(chatv1.CreateChatCompletionRequest))
				}
			})
		}
	}
}

func TestExtraJSON_TakesLinearTime(t *testing.T) {
	texts := []func(int) string{numbered}
	for _, piece := range linearPieces {
		texts = append(texts,
			func(size int) string {
				return "{" + strings.TrimSuffix(strings.Repeat(piece, size/len(piece)), ",") + "}"
			},
			func(size int) string {
				return `{"a":[` + strings.TrimSuffix(strings.Repeat(piece, size/len(piece)), ",") + `]}`
			})
	}
	for _, text := range texts {
		lineartest.Check(t, 256<<10, func(size int) func() {
			extra := text(size)
			request := &chatv1.CreateChatCompletionRequest{Model: "m", ExtraJson: extra, Messages: []*chatv1.Message{{ExtraJson: extra}}}
			return func() { _, _ = restjson.AppendRequest(nil, request, nil) }
		})
	}
}

func TestBinary_TakesLinearTime(t *testing.T) {
	var codec connect.Codec
	for _, each := range Codecs() {
		if each.Name() == connect.CodecNameProto {
			codec = each
		}
	}
	for _, piece := range []string{"\x0a\x00", "\x12\x00", "\x12\x02\x12\x00", "\x1a\x00", "\x22\x00", "\x0a\x01a", "\x08\x01", "\x0b", "\x0b\x0c", "\x00", "\xff", "\x0a\xff", "\xfa\x7f\x00"} {
		lineartest.Check(t, 256<<10, func(size int) func() {
			text := []byte(strings.Repeat(piece, size/len(piece)))
			return func() {
				request := new(chatv1.CreateChatCompletionRequest)
				if codec.UnmarshalRead(t.Context(), bytes.NewBuffer(text), request) == nil && checkUnknown(request.ProtoReflect()) == nil {
					_, _ = restjson.AppendRequest(nil, request, nil)
				}
			}
		})
	}
}

func TestEvents_TakeLinearTime(t *testing.T) {
	for _, piece := range []string{"data: {}\n\n", "\n", "\r", "\r\n", "data:", "data\n", ":", "event: a\n", "a", "id: 1\r", "retry: 1\n", "\ufeff", "data: a\n"} {
		lineartest.Check(t, 1<<20, func(size int) func() {
			text := strings.Repeat(piece, size/len(piece))
			return func() {
				for _, chunk := range []int{1 << 10, 1 << 20} {
					reader := sse.NewReader(&pieces{text, chunk}, 16<<20)
					for {
						if _, err := reader.Next(); err != nil {
							break
						}
					}
					reader.Release()
				}
			}
		})
	}
}

// pieces returns text in pieces of up to size bytes.
type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.text)
	p.text = p.text[n:]
	return n, nil
}
