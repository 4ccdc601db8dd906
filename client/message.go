package client

import (
	"encoding/base64"
	"mime"
	"net/http"
	"path"
	"strings"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// System is a message that instructs the model; models from o1 on take it as
// [Developer].
func System(text string) *chatv1.Message { return message(chatv1.Role_ROLE_SYSTEM, text) }

// Developer is a message that instructs the model.
func Developer(text string) *chatv1.Message { return message(chatv1.Role_ROLE_DEVELOPER, text) }

// User is a message of the user.
func User(text string) *chatv1.Message { return message(chatv1.Role_ROLE_USER, text) }

// Assistant is a message of the model. One that it gave goes on as it is, by
// its choice's Message.
func Assistant(text string) *chatv1.Message { return message(chatv1.Role_ROLE_ASSISTANT, text) }

// ToolResult is what a tool answers to the call with the id.
func ToolResult(callID, text string) *chatv1.Message {
	result := message(chatv1.Role_ROLE_TOOL, text)
	result.ToolCallId = &callID
	return result
}

// UserParts is a message of the user with more than text: see [Text],
// [ImageURL], [Image], [Audio], [File] and [FileID].
func UserParts(parts ...*chatv1.ContentPart) *chatv1.Message {
	return &chatv1.Message{Role: chatv1.Role_ROLE_USER, ContentParts: parts}
}

// TextOf returns the text of a message: its content, or the text of its content
// parts, one after the other. The halves of surrogate pairs that stand alone are
// replaced by U+FFFD. A refusal is not part of it.
func TextOf(message *chatv1.Message) string {
	var text strings.Builder
	text.WriteString(message.GetContent())
	text.WriteString(textMember(message.GetExtraJson(), `"content"`))
	for _, part := range message.GetContentParts() {
		text.WriteString(part.GetText())
		if quoted, ok := textOfPart([]byte(part.GetExtraJson())); ok {
			text.WriteString(unquoted(quoted))
		}
	}
	return text.String()
}

// RefusalOf returns why the model would not answer, and an empty string if it
// answered. It replaces as [TextOf] does.
func RefusalOf(message *chatv1.Message) string {
	var text strings.Builder
	text.WriteString(message.GetRefusal())
	text.WriteString(textMember(message.GetExtraJson(), `"refusal"`))
	for _, part := range message.GetContentParts() {
		text.WriteString(part.GetRefusal())
	}
	return text.String()
}

// textMember is the text of a member that an extra_json has.
func textMember(extraJSON, name string) string {
	for member, value := range jsonMembers([]byte(extraJSON)) {
		if member == name {
			return unquoted(value)
		}
	}
	return ""
}

func message(role chatv1.Role, text string) *chatv1.Message {
	return &chatv1.Message{Role: role, Content: &text}
}

// Text is a part of text.
func Text(text string) *chatv1.ContentPart {
	return &chatv1.ContentPart{Part: &chatv1.ContentPart_Text{Text: text}}
}

// ImageURL is an image that the upstream fetches.
func ImageURL(url string) *chatv1.ContentPart {
	return &chatv1.ContentPart{Part: &chatv1.ContentPart_ImageUrl{ImageUrl: &chatv1.ImageURL{Url: url}}}
}

// Image is an image that is sent: a PNG, JPEG, WEBP or GIF. The media type, such
// as image/png, may be empty: it is then told by the data.
func Image(data []byte, mediaType string) *chatv1.ContentPart {
	if mediaType == "" {
		mediaType = http.DetectContentType(data)
	}
	return ImageURL(dataURL(data, mediaType))
}

// Audio is sound that is sent.
func Audio(data []byte, format chatv1.InputAudioFormat) *chatv1.ContentPart {
	return &chatv1.ContentPart{Part: &chatv1.ContentPart_InputAudio{
		InputAudio: &chatv1.InputAudio{Data: data, Format: format},
	}}
}

// File is a file that is sent, such as a PDF. Its media type is told by the name,
// or else by the data.
func File(name string, data []byte) *chatv1.ContentPart {
	mediaType := mime.TypeByExtension(path.Ext(name))
	if mediaType == "" {
		mediaType = http.DetectContentType(data)
	}
	return file(&chatv1.File{Filename: &name, FileData: new(dataURL(data, mediaType))})
}

// FileID is a file that was uploaded before.
func FileID(id string) *chatv1.ContentPart { return file(&chatv1.File{FileId: &id}) }

func file(file *chatv1.File) *chatv1.ContentPart {
	return &chatv1.ContentPart{Part: &chatv1.ContentPart_File{File: file}}
}

// dataURL is a URL that has its data in itself (RFC 2397). Parameters, such as a
// charset, are left out: OpenAI takes none.
func dataURL(data []byte, mediaType string) string {
	if bare, _, err := mime.ParseMediaType(mediaType); err == nil {
		mediaType = bare
	}
	return "data:" + mediaType + ";base64," + base64.StdEncoding.EncodeToString(data)
}
