package client

import (
	"bytes"
	"encoding/base64"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
)

// audioBuilder assembles the audio of a message from its deltas.
type audioBuilder struct {
	fields jsonObject // all fields except data
	data   []byte     // base64 as in a JSON string, without the quotes; nil if no delta had data
}

// add adds a delta.
func (a *audioBuilder) add(delta *chatv1.AudioDelta) {
	a.fields.addText(`"id"`, delta.Id)
	a.fields.addText(`"transcript"`, delta.Transcript)
	if at := delta.GetExpiresAt(); at != nil {
		a.fields.add(`"expires_at"`, appendSeconds(nil, at), 0)
	}
	if delta.Data != nil {
		a.data = base64.StdEncoding.AppendEncode(orEmpty(a.data), delta.GetData())
	}
	for name, value := range jsonFields([]byte(delta.GetExtraJson())) {
		if name == `"data"` && jsonKind(value) == '"' {
			// A string in extra_json was not valid base64 on its own. It may be valid
			// together with other deltas.
			text := bytes.ReplaceAll(value[1:len(value)-1], []byte(`\/`), []byte("/"))
			a.data = append(orEmpty(a.data), text...)
		} else {
			a.fields.add(name, value, 0)
		}
	}
}

// json returns the audio as a JSON object.
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

// appendSeconds appends a Unix time in seconds.
func appendSeconds(b []byte, at *timestamppb.Timestamp) []byte {
	return strconv.AppendInt(b, at.GetSeconds(), 10)
}

// joinBase64 turns concatenated base64 strings, each with its own padding, into one base64
// string. It returns invalid base64 unchanged.
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

// orEmpty returns b, or an empty slice if b is nil.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
