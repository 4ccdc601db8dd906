package codec_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
	"github.com/openai-connect/openai-connect/server/benchmark/codec"
)

// aCompletion is a response of OpenAI without white space.
var aCompletion = compact(`{
  "id": "chatcmpl-CZkNqaPSqPeUzWlrMVGrYGAqmXQeK",
  "object": "chat.completion",
  "created": 1762550134,
  "model": "gpt-5.4-mini-2026-03-17",
  "choices": [{
    "index": 0,
    "message": {
      "role": "assistant",
      "content": "Paris is the capital of France, and has been since the end of the tenth century.\n\nIt lies on the Seine, in the north of the country; some two million people live in the city, and more than twelve million around it. Its oldest part is an island, the Île de la Cité, from which it grew in rings; the last of them is the ring road, which parts it from its suburbs.",
      "refusal": null,
      "annotations": []
    },
    "logprobs": null,
    "finish_reason": "stop"
  }],
  "usage": {
    "prompt_tokens": 1117,
    "completion_tokens": 46,
    "total_tokens": 1163,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
  },
  "service_tier": "default",
  "system_fingerprint": "fp_560af6e559"
}`)

// aChunk is the data of an event.
var aChunk = compact(`{
  "id": "chatcmpl-CZkNqaPSqPeUzWlrMVGrYGAqmXQeK",
  "object": "chat.completion.chunk",
  "created": 1762550134,
  "model": "gpt-5.4-mini-2026-03-17",
  "service_tier": "default",
  "system_fingerprint": "fp_560af6e559",
  "choices": [{"index": 0, "delta": {"content": " capital"}, "logprobs": null, "finish_reason": null}],
  "obfuscation": "cmFuZG9tIHBhZGRpbmc"
}`)

// large is the size of the base64 of images and speech.
const large = 5 << 20

// aReplyWithSpeech returns a response of 5 MB, mostly base64.
var aReplyWithSpeech = bytes.Replace(aCompletion, []byte(`"annotations":[]`), []byte(
	`"audio":{"id":"audio_1","expires_at":1762553734,"transcript":"Paris.","data":"`+speechBase64()+`"}`), 1)

// chunkOf returns a chunk whose delta is text.
func chunkOf(text string) []byte {
	return bytes.Replace(aChunk, []byte(" capital"), []byte(text), 1)
}

func compact(text string) []byte {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// speech returns bytes of every value. Their base64 has the size large.
func speech() []byte {
	b := make([]byte, large/4*3)
	state := uint32(1)
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return b
}

func speechBase64() string { return base64.StdEncoding.EncodeToString(speech()) }

// requests returns plain structs of the requests by name.
var requests = []struct {
	name  string
	plain codec.Request
}{
	{"10-messages", conversation(10)},
	{"100KB-tools", withTools(conversation(150), 60)},
	{"5MB-image", with(codec.Part{Type: "image_url", ImageURL: &codec.ImageURL{URL: "data:image/png;base64," + speechBase64()}})},
	{"5MB-speech", with(codec.Part{Type: "input_audio", InputAudio: &codec.InputAudio{Data: speech(), Format: "wav"}})},
}

// conversation returns a request with n messages.
func conversation(n int) codec.Request {
	r := codec.Request{Model: "gpt-5.4-mini", Temperature: new(0.2), MaxCompletionTokens: new(1000)}
	for i := range n {
		call := fmt.Sprintf("call_%022d", i/5)
		r.Messages = append(r.Messages, []codec.RequestMessage{
			{Role: "system", Content: codec.Text("You are a travel guide. Answer in \"two\" sentences, and name your sources.\nBe kind.")},
			{Role: "user", Content: codec.Text("Which cities of Île-de-France are worth a day, apart from Paris itself? We travel with children and without a car.")},
			{Role: "assistant", ToolCalls: []codec.ToolCall{{
				ID: call, Type: "function",
				Function: &codec.Function{Name: "find_places", Arguments: `{"near":"Paris","kind":"city","limit":5}`},
			}}},
			{Role: "tool", ToolCallID: call, Content: codec.Text(`[{"name":"Versailles","minutes":40},{"name":"Fontainebleau","minutes":55},{"name":"Provins","minutes":85}]`)},
			{Role: "user", Content: codec.Parts{{Type: "text", Text: "And which of them would you see first?"}, {Type: "text", Text: "Assume that it rains."}}},
		}[i%5])
	}
	return r
}

// withTools adds n tools to a request.
func withTools(r codec.Request, n int) codec.Request {
	for i := range n {
		r.Tools = append(r.Tools, codec.Tool{Type: "function", Function: codec.FunctionTool{
			Name:        fmt.Sprintf("find_places_%d", i),
			Description: strings.Repeat("Find places of a kind near another place, by distance. ", 6),
			Parameters: compact(`{"type": "object", "properties": {
				"near": {"type": "string", "description": "The name of a place, in the language of the country where it lies."},
				"kind": {"type": "string", "enum": ["city", "village", "museum", "park", "castle", "zoo", "restaurant"]},
				"limit": {"type": "integer", "minimum": 1, "maximum": 50, "description": "How many places to return at most."},
				"open": {"type": "object", "properties": {"from": {"type": "string"}, "to": {"type": "string"}}}
			}, "required": ["near", "kind", "limit", "open"], "additionalProperties": false}`),
			Strict: new(true),
		}})
	}
	return r
}

// with returns a request with a text part and another part.
func with(part codec.Part) codec.Request {
	r := conversation(2)
	r.Messages[1].Content = codec.Parts{{Type: "text", Text: "What is this?"}, part}
	return r
}

// messageOf returns a request as a Protobuf message.
func messageOf(tb testing.TB, r codec.Request) *chatv1.CreateChatCompletionRequest {
	tb.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		tb.Fatal(err)
	}
	m := new(chatv1.CreateChatCompletionRequest)
	if err := restjson.Unmarshal(text, m); err != nil {
		tb.Fatal(err)
	}
	return m
}
