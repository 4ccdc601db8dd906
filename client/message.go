package client

import (
	"encoding/base64"
	"mime"
	"net/http"
	"path"
	"strings"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// System returns a system message with instructions for the model. Models from o1
// on treat it as a [Developer] message.
func System(text string) *chatv1.Message { return message(chatv1.Role_ROLE_SYSTEM, text) }

// Developer returns a developer message with instructions for the model.
func Developer(text string) *chatv1.Message { return message(chatv1.Role_ROLE_DEVELOPER, text) }

// User returns a user message.
func User(text string) *chatv1.Message { return message(chatv1.Role_ROLE_USER, text) }

// Assistant returns an assistant message. To continue a conversation, append the
// Message of the model's choice instead.
func Assistant(text string) *chatv1.Message { return message(chatv1.Role_ROLE_ASSISTANT, text) }

// ToolResult returns a tool message with the result of the tool call callID.
func ToolResult(callID, text string) *chatv1.Message {
	result := message(chatv1.Role_ROLE_TOOL, text)
	result.ToolCallId = &callID
	return result
}

// UserParts returns a user message with several content parts: see [Text],
// [ImageURL], [Image], [Audio], [File] and [FileID].
func UserParts(parts ...*chatv1.ContentPart) *chatv1.Message {
	return &chatv1.Message{Role: chatv1.Role_ROLE_USER, ContentParts: parts}
}

// TextOf returns the text of a message: its content, or the concatenated text of
// its content parts. Unpaired surrogates are replaced with U+FFFD. Refusals are not
// included.
func TextOf(message *chatv1.Message) string {
	var text strings.Builder
	text.WriteString(message.GetContent())
	text.WriteString(textField(message.GetExtraJson(), `"content"`))
	for _, part := range message.GetContentParts() {
		text.WriteString(part.GetText())
		if quoted, ok := textOfPart([]byte(part.GetExtraJson())); ok {
			text.WriteString(unquote(quoted))
		}
	}
	return text.String()
}

// RefusalOf returns the refusal of a message, or an empty string without one.
// Unpaired surrogates are replaced with U+FFFD.
func RefusalOf(message *chatv1.Message) string {
	var text strings.Builder
	text.WriteString(message.GetRefusal())
	text.WriteString(textField(message.GetExtraJson(), `"refusal"`))
	for _, part := range message.GetContentParts() {
		text.WriteString(part.GetRefusal())
	}
	return text.String()
}

// textField returns the decoded string of a field in an extra_json.
func textField(extraJSON, name string) string {
	for member, value := range jsonFields([]byte(extraJSON)) {
		if member == name {
			return unquote(value)
		}
	}
	return ""
}

func message(role chatv1.Role, text string) *chatv1.Message {
	return &chatv1.Message{Role: role, Content: &text}
}

// Text returns a text part.
func Text(text string) *chatv1.ContentPart {
	return &chatv1.ContentPart{Part: &chatv1.ContentPart_Text{Text: text}}
}

// ImageURL returns an image part whose URL the upstream fetches.
func ImageURL(url string) *chatv1.ContentPart {
	return &chatv1.ContentPart{Part: &chatv1.ContentPart_ImageUrl{ImageUrl: &chatv1.ImageURL{Url: url}}}
}

// Image returns an image part that contains the data of a PNG, JPEG, WebP or GIF
// file. An empty media type is detected from the data.
func Image(data []byte, mediaType string) *chatv1.ContentPart {
	if mediaType == "" {
		mediaType = http.DetectContentType(data)
	}
	return ImageURL(dataURL(data, mediaType))
}

// Audio returns an audio part that contains data.
func Audio(data []byte, format chatv1.InputAudioFormat) *chatv1.ContentPart {
	return &chatv1.ContentPart{Part: &chatv1.ContentPart_InputAudio{
		InputAudio: &chatv1.InputAudio{Data: data, Format: format},
	}}
}

// File returns a file part that contains data, such as a PDF. Its media type is
// derived from the name's extension or else detected from the data.
func File(name string, data []byte) *chatv1.ContentPart {
	mediaType := mime.TypeByExtension(path.Ext(name))
	if mediaType == "" {
		mediaType = http.DetectContentType(data)
	}
	return file(&chatv1.File{Filename: &name, FileData: new(dataURL(data, mediaType))})
}

// FileID returns a file part that refers to an uploaded file.
func FileID(id string) *chatv1.ContentPart { return file(&chatv1.File{FileId: &id}) }

func file(file *chatv1.File) *chatv1.ContentPart {
	return &chatv1.ContentPart{Part: &chatv1.ContentPart_File{File: file}}
}

// dataURL returns a data URL (RFC 2397) without media type parameters, which
// OpenAI rejects.
func dataURL(data []byte, mediaType string) string {
	if bare, _, err := mime.ParseMediaType(mediaType); err == nil {
		mediaType = bare
	}
	return "data:" + mediaType + ";base64," + base64.StdEncoding.EncodeToString(data)
}
