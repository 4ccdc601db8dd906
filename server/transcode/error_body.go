package transcode

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// parseError returns the error in a body, or nil. It accepts OpenAI's `{"error": {…}}`
// and the forms of compatible upstreams: a list with one error (Gemini),
// `{"error": [{…}]}`, `{"error": "…"}` (Ollama), `{"detail": …}` (FastAPI), a bare error
// with a `message` (older vLLM, Mistral, API gateways), `base_resp` (MiniMax), and other
// names of code and message: see [messageNames].
func parseError(body []byte) *restv1.Error {
	body = bytes.TrimPrefix(body, []byte(byteOrderMark))
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		body = list[0]
	}
	var envelope restv1.ErrorResponse
	if restjson.Unmarshal(body, &envelope) != nil {
		return nil
	}
	if detail := envelope.GetError(); proto.Size(detail) > 0 {
		if envelope.GetExtraJson() != "" { // such as the fields of a chunk
			detail.BodyExcerpt = excerpt(body)
		}
		fill(detail)
		return detail
	}
	var plain struct {
		Error  json.RawMessage `json:"error"`
		Errors json.RawMessage `json:"errors"`
		Detail json.RawMessage `json:"detail"`
		Base   json.RawMessage `json:"base_resp"`

		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(body, &plain) != nil {
		return nil
	}
	var message string
	_ = json.Unmarshal(plain.Error, &message) // It may not be a string.
	if message == "" && json.Unmarshal(plain.Detail, &message) != nil {
		message = string(plain.Detail) // a list of validation errors
	}
	if message != "" {
		return &restv1.Error{Message: message, ExtraJson: envelope.GetExtraJson()}
	}
	if detail := nestedError(body, plain.Error, plain.Errors, plain.Base); detail != nil {
		return detail
	}
	var bare restv1.Error
	if restjson.Unmarshal(body, &bare) != nil {
		return nil
	}
	if restjson.ExtraIsMeaningful(bare.GetExtraJson(), "message") && (restjson.ExtraHas(bare.GetExtraJson(), "error") || isErrorObject(bare.GetExtraJson())) {
		bare.Message = string(plain.Message) // an object with validation errors
	}
	fill(&bare)
	if bare.GetMessage() == "" {
		return nil
	}
	return &bare
}

// nestedError returns an error in a list or in a field with another name.
func nestedError(body []byte, values ...json.RawMessage) *restv1.Error {
	for _, value := range values {
		var list []json.RawMessage
		if json.Unmarshal(value, &list) == nil && len(list) > 0 {
			value = list[0]
		}
		switch {
		case len(value) == 0, value[0] == '{' && !isError(value):
			continue
		case value[0] != '{' && value[0] != '"':
			continue
		}
		detail := parseError([]byte(`{"error":` + string(value) + `}`))
		if detail != nil {
			detail.BodyExcerpt = excerpt(body)
			return detail
		}
	}
	return nil
}

// fill sets the message and the code of an error without a message from fields with
// other names.
func fill(e *restv1.Error) {
	if e.GetMessage() != "" {
		return
	}
	for name, value := range restjson.ExtraMembers(e.GetExtraJson()) {
		var text string
		switch {
		case isMessageName(name) && e.GetMessage() == "" && json.Unmarshal([]byte(value), &text) == nil:
			e.Message = text
		case codeNames[name] && e.Code == nil && restjson.IsMeaningful(value):
			e.Code = new(strings.Trim(value, `"`))
		}
	}
}

// isErrorObject reports whether the object field of a bare error is "error".
func isErrorObject(extraJSON string) bool {
	var bare struct {
		Object any `json:"object"`
	}
	return json.Unmarshal([]byte(extraJSON), &bare) == nil && bare.Object == "error"
}

func mediaType(response *http.Response) string {
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return media
}

func isJSON(response *http.Response) bool {
	media := mediaType(response)
	return media == mediaJSON || strings.HasSuffix(media, "+json")
}

// contentEncoding returns the content coding of a response, such as gzip, or an empty
// string. Requests do not accept codings.
func contentEncoding(response *http.Response) string {
	name := response.Header.Get("Content-Encoding")
	if strings.EqualFold(name, "identity") {
		return ""
	}
	return name
}

var (
	htmlBody  = regexp.MustCompile(`(?is)^\s*(<!doctype html|<html|<head|<body)`)
	htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
)

// describe describes an unexpected body, often the page of an intermediate proxy or
// firewall.
func describe(response *http.Response, body []byte) string {
	media := mediaType(response)
	switch {
	case len(body) == 0:
		return "an empty body"
	case contentEncoding(response) != "":
		return "a body in the encoding " + excerpt([]byte(contentEncoding(response))) + ", which was not requested"
	case media == "text/html" || htmlBody.Match(body):
		if title := htmlTitle.FindSubmatch(body); title != nil && len(bytes.TrimSpace(title[1])) > 0 {
			return "an HTML page (“" + strings.Join(strings.Fields(excerpt(title[1])), " ") + "”)"
		}
		return "an HTML page"
	case isJSON(response):
		return "JSON"
	case media != "":
		return media
	default:
		return "a body without a content type"
	}
}

// maxExcerpt is the maximum length of the excerpt of a body in an error, in bytes.
const maxExcerpt = 512

func excerpt(body []byte) string {
	return truncate(strings.ToValidUTF8(string(body[:min(len(body), maxExcerpt+4)]), "\uFFFD"), maxExcerpt)
}
