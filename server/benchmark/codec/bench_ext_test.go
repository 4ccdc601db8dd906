package codec_test

import (
	"encoding/json"
	"reflect"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	goccy "github.com/goccy/go-json"
	"github.com/mailru/easyjson"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/benchmark/codec"
)

// libraries decode into and encode from plain structs.
var libraries = []struct {
	name   string
	decode func(data []byte, v easyjson.Unmarshaler) error
	encode func(v easyjson.Marshaler) ([]byte, error)
}{
	{
		"goccy", func(data []byte, v easyjson.Unmarshaler) error { return goccy.Unmarshal(data, v) },
		func(v easyjson.Marshaler) ([]byte, error) {
			return goccy.MarshalWithOption(v, goccy.DisableHTMLEscape())
		},
	},
	{"easyjson", easyjson.Unmarshal, func(v easyjson.Marshaler) ([]byte, error) { return easyjson.Marshal(v) }},
	{
		"encoding-json", func(data []byte, v easyjson.Unmarshaler) error { return json.Unmarshal(data, v) },
		func(v easyjson.Marshaler) ([]byte, error) { return json.Marshal(v) },
	},
	{
		"json-v2", func(data []byte, v easyjson.Unmarshaler) error { return jsonv2.Unmarshal(data, v) },
		func(v easyjson.Marshaler) ([]byte, error) { return jsonv2.Marshal(v) },
	},
}

// restMessage is a message supported by the codec.
type restMessage interface {
	proto.Message
	restjson.Decodable
	restjson.Encodable
}

// replies are the decoded inputs, with constructors of the message and the struct.
var replies = []struct {
	name    string
	text    []byte
	message func() restMessage
	plain   func() easyjson.MarshalerUnmarshaler
}{
	{
		"completion", aCompletion,
		func() restMessage { return new(chatv1.ChatCompletion) },
		func() easyjson.MarshalerUnmarshaler { return new(codec.Completion) },
	},
	{
		"chunk", aChunk,
		func() restMessage { return new(chatv1.ChatCompletionChunk) },
		func() easyjson.MarshalerUnmarshaler { return new(codec.Chunk) },
	},
	{
		"5MB-speech", aReplyWithSpeech,
		func() restMessage { return new(chatv1.ChatCompletion) },
		func() easyjson.MarshalerUnmarshaler { return new(codec.Completion) },
	},
}

func TestAllDecodeToTheSame(t *testing.T) {
	t.Parallel()
	for _, reply := range replies {
		t.Run(reply.name, func(t *testing.T) {
			t.Parallel()
			message := reply.message()
			if err := restjson.Unmarshal(reply.text, message); err != nil {
				t.Fatal(err)
			}
			ours, err := restjson.AppendFull(nil, message)
			if err != nil {
				t.Fatal(err)
			}
			want := reply.plain()
			if err := json.Unmarshal(ours, want); err != nil {
				t.Fatal(err)
			}
			for _, library := range libraries {
				got := reply.plain()
				err := library.decode(reply.text, got)
				// Compare as text, because empty and nil lists are equal.
				if got, want := textOf(t, got), textOf(t, want); err != nil || got != want {
					t.Errorf("%s read %.2000s, not %.2000s; the error is %v", library.name, got, want, err)
				}
			}
		})
	}
}

func TestAllEncodeTheSame(t *testing.T) {
	t.Parallel()
	for _, request := range requests {
		t.Run(request.name, func(t *testing.T) {
			t.Parallel()
			ours, err := restjson.AppendRequest(nil, messageOf(t, request.plain), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := valueOf(t, ours)
			for _, library := range libraries {
				got, err := library.encode(&request.plain)
				if err != nil || !reflect.DeepEqual(valueOf(t, got), want) {
					t.Errorf("%s wrote another value, or failed: %v", library.name, err)
				}
			}
		})
	}
}

func valueOf(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func textOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// BenchmarkDecode decodes replies.
func BenchmarkDecode(b *testing.B) {
	for _, reply := range replies {
		b.Run("input="+reply.name, func(b *testing.B) {
			run(b, "restjson", len(reply.text), func() error { return restjson.Unmarshal(reply.text, reply.message()) })
			for _, library := range libraries {
				run(b, library.name, len(reply.text), func() error { return library.decode(reply.text, reply.plain()) })
			}
			message := reply.message()
			if err := restjson.Unmarshal(reply.text, message); err != nil {
				b.Fatal(err)
			}
			text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
			if err != nil {
				b.Fatal(err)
			}
			run(b, "protojson", len(text), func() error { return protojson.Unmarshal(text, reply.message()) })
		})
	}
}

// BenchmarkStream decodes the chunks of a stream, each with different text.
func BenchmarkStream(b *testing.B) {
	var events [][]byte
	size := 0
	for _, text := range []string{"Paris", " is", " the", " capital", " of", " France", ",", " and"} {
		events = append(events, chunkOf(text))
		size += len(events[len(events)-1])
	}
	var u restjson.Unmarshaler
	i := 0
	run(b, "restjson", size/len(events), func() error {
		i++
		return u.Unmarshal(events[i%len(events)], new(chatv1.ChatCompletionChunk))
	})
	for _, library := range libraries {
		run(b, library.name, size/len(events), func() error {
			i++
			return library.decode(events[i%len(events)], new(codec.Chunk))
		})
	}
}

// buffer returns a buffer for the JSON of a request, with a capacity derived from the
// size of the input, as in the server.
func buffer(size int) []byte { return make([]byte, 0, size+size/2+256) }

// BenchmarkEncode encodes requests.
func BenchmarkEncode(b *testing.B) {
	for _, request := range requests {
		message := messageOf(b, request.plain)
		text, err := restjson.AppendRequest(nil, message, nil)
		if err != nil {
			b.Fatal(err)
		}
		size := proto.Size(message)
		b.Run("input="+request.name, func(b *testing.B) {
			run(b, "restjson", len(text), func() error {
				_, err := restjson.AppendRequest(buffer(size), message, nil)
				return err
			})
			for _, library := range libraries {
				run(b, library.name, len(text), func() error {
					_, err := library.encode(&request.plain)
					return err
				})
			}
			run(b, "protojson", len(text), func() error {
				_, err := protojson.Marshal(message)
				return err
			})
		})
	}
}

// BenchmarkTranscode transcodes requests from binary Protobuf to JSON, as the server does.
func BenchmarkTranscode(b *testing.B) {
	for _, request := range requests {
		binary, err := proto.Marshal(messageOf(b, request.plain))
		if err != nil {
			b.Fatal(err)
		}
		b.Run("input="+request.name, func(b *testing.B) {
			run(b, "proto-only", len(binary), func() error {
				return proto.Unmarshal(binary, new(chatv1.CreateChatCompletionRequest))
			})
			run(b, "restjson", len(binary), func() error {
				m := new(chatv1.CreateChatCompletionRequest)
				if err := proto.Unmarshal(binary, m); err != nil {
					return err
				}
				_, err := restjson.AppendRequest(buffer(len(binary)), m, nil)
				return err
			})
			run(b, "protojson", len(binary), func() error {
				m := new(chatv1.CreateChatCompletionRequest)
				if err := proto.Unmarshal(binary, m); err != nil {
					return err
				}
				_, err := protojson.Marshal(m)
				return err
			})
		})
	}
}

func run(b *testing.B, name string, size int, work func() error) {
	b.Helper()
	b.Run("by="+name, func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			if err := work(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
