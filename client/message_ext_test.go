package client_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/openai-connect/openai-connect/client"
	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

func TestMessage_HelpersBuildMessages(t *testing.T) {
	t.Parallel()
	png := []byte("\x89PNG\r\n\x1a\n")
	parts := func(parts ...*chatv1.ContentPart) *chatv1.Message { return client.UserParts(parts...) }
	for name, row := range map[string]struct {
		got  *chatv1.Message
		want string
	}{
		"of the system":            {client.System("a"), `role: ROLE_SYSTEM content: "a"`},
		"of the developer":         {client.Developer("a"), `role: ROLE_DEVELOPER content: "a"`},
		"of the user":              {client.User("a"), `role: ROLE_USER content: "a"`},
		"of the user, empty":       {client.User(""), `role: ROLE_USER content: ""`},
		"of the model":             {client.Assistant("a"), `role: ROLE_ASSISTANT content: "a"`},
		"of a tool":                {client.ToolResult("call_1", "a"), `role: ROLE_TOOL content: "a" tool_call_id: "call_1"`},
		"with text":                {parts(client.Text("a"), client.Text("b")), `role: ROLE_USER content_parts {text: "a"} content_parts {text: "b"}`},
		"with an image by its URL": {parts(client.ImageURL("https://x/y")), `role: ROLE_USER content_parts {image_url {url: "https://x/y"}}`},
		"with an image": {
			parts(client.Image(png, "image/webp")),
			`role: ROLE_USER content_parts {image_url {url: "data:image/webp;base64,iVBORw0KGgo="}}`,
		},
		"with an image whose type is detected from its data": {
			parts(client.Image(png, "")),
			`role: ROLE_USER content_parts {image_url {url: "data:image/png;base64,iVBORw0KGgo="}}`,
		},
		"with sound": {
			parts(client.Audio([]byte("a"), chatv1.InputAudioFormat_INPUT_AUDIO_FORMAT_MP3)),
			`role: ROLE_USER content_parts {input_audio {data: "a" format: INPUT_AUDIO_FORMAT_MP3}}`,
		},
		"with a file": {
			parts(client.File("a.pdf", []byte("%PDF-1.7"))),
			`role: ROLE_USER content_parts {file {filename: "a.pdf" file_data: "data:application/pdf;base64,JVBERi0xLjc="}}`,
		},
		"with a file whose type is detected from its data": {
			parts(client.File("a", []byte("some text"))),
			`role: ROLE_USER content_parts {file {filename: "a" file_data: "data:text/plain;base64,c29tZSB0ZXh0"}}`,
		},
		"with a file of before": {parts(client.FileID("file-1")), `role: ROLE_USER content_parts {file {file_id: "file-1"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := new(chatv1.Message)
			if err := prototext.Unmarshal([]byte(row.want), want); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(row.got, want) {
				t.Errorf("got  %v\nwant %v", row.got, want)
			}
		})
	}
}
