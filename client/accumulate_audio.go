package client

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// audioPieces are what is known of an answer's speech.
type audioPieces struct {
	members jsonObject // Without the data.
	data    []byte     // The inside of a JSON string. Nil without any.
}

func (a *audioPieces) add(piece *chatv1.AudioDelta) {
	a.members.addText(`"id"`, piece.Id)
	a.members.addText(`"transcript"`, piece.Transcript)
	if at := piece.GetExpiresAt(); at != nil {
		a.members.add(`"expires_at"`, appendSeconds(nil, at), 0)
	}
	if piece.Data != nil {
		a.data = base64.StdEncoding.AppendEncode(orEmpty(a.data), piece.GetData())
	}
	for name, value := range jsonMembers([]byte(piece.GetExtraJson())) {
		if name == `"data"` && kindOfJSON(value) == '"' { // It isn't whole, or no base64.
			text := bytes.ReplaceAll(value[1:len(value)-1], []byte(`\/`), []byte("/"))
			a.data = append(orEmpty(a.data), text...)
		} else {
			a.members.add(name, value, 0)
		}
	}
}

func (a *audioPieces) json() []byte {
	writer := newObjectWriter()
	without := ""
	if a.data != nil {
		without = `"data"`
		writer.value(without, append(append([]byte{'"'}, joinBase64(a.data)...), '"'))
	}
	writer.members(&a.members, without)
	return writer.end()
}

func appendSeconds(b []byte, at *timestamppb.Timestamp) []byte {
	return strconv.AppendInt(b, at.GetSeconds(), 10)
}

// joinBase64 is base64 without padding in its midst, where one piece ended and
// another one began. Text that is not base64 is kept unchanged.
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
