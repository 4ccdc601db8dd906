package client

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// audioBuilder assembles the audio of a message.
type audioBuilder struct {
	fields jsonObject // except the data
	data   []byte     // contents of a JSON string, nil without data
}

func (a *audioBuilder) add(piece *chatv1.AudioDelta) {
	a.fields.addText(`"id"`, piece.Id)
	a.fields.addText(`"transcript"`, piece.Transcript)
	if at := piece.GetExpiresAt(); at != nil {
		a.fields.add(`"expires_at"`, appendSeconds(nil, at), 0)
	}
	if piece.Data != nil {
		a.data = base64.StdEncoding.AppendEncode(orEmpty(a.data), piece.GetData())
	}
	for name, value := range jsonFields([]byte(piece.GetExtraJson())) {
		if name == `"data"` && jsonKind(value) == '"' { // It is incomplete or invalid base64.
			text := bytes.ReplaceAll(value[1:len(value)-1], []byte(`\/`), []byte("/"))
			a.data = append(orEmpty(a.data), text...)
		} else {
			a.fields.add(name, value, 0)
		}
	}
}

func (a *audioBuilder) json() []byte {
	writer := newObjectWriter()
	dataName := ""
	if a.data != nil {
		dataName = `"data"`
		writer.value(dataName, append(append([]byte{'"'}, joinBase64(a.data)...), '"'))
	}
	writer.fields(&a.fields, dataName)
	return writer.end()
}

func appendSeconds(b []byte, at *timestamppb.Timestamp) []byte {
	return strconv.AppendInt(b, at.GetSeconds(), 10)
}

// joinBase64 removes the padding between concatenated base64 pieces. It returns
// invalid base64 unchanged.
func joinBase64(text []byte) []byte {
	if padding := bytes.IndexByte(text, '='); padding < 0 || padding >= len(text)-2 {
		return text
	}
	var data []byte
	for rest := text; len(rest) > 0; {
		end := bytes.IndexByte(rest, '=')
		if end < 0 {
			end = len(rest)
		}
		var err error
		if data, err = base64.RawStdEncoding.AppendDecode(data, rest[:end]); err != nil {
			return text
		}
		rest = bytes.TrimLeft(rest[end:], "=")
	}
	return base64.StdEncoding.AppendEncode(nil, data)
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
