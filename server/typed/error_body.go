package typed

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"

	restv1 "github.com/openai-connect/openai-connect/gen/openai/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// parseError reads the error that a body states, and returns nil if it states
// none. It is `{"error": {…}}`, or one of the forms that upstreams have which
// are nearly OpenAI: a list of one, of Gemini, `{"error": "…"}` of Ollama,
// `{"detail": …}` of FastAPI, and the bare error, with a `message`, of older
// vLLM, of Mistral and of API gateways.
func parseError(body []byte) *restv1.Error {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) == 1 {
		body = list[0]
	}
	var envelope restv1.ErrorResponse
	if restjson.Unmarshal(body, &envelope) != nil {
		return nil
	}
	if detail := envelope.GetError(); proto.Size(detail) > 0 {
		if envelope.GetExtraJson() != "" { // such as the chunk that an error broke
			detail.BodyExcerpt = excerpt(body)
		}
		return detail
	}
	var plain struct {
		Error  any             `json:"error"`
		Detail json.RawMessage `json:"detail"`

		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(body, &plain) != nil {
		return nil
	}
	message, _ := plain.Error.(string)
	if message == "" && json.Unmarshal(plain.Detail, &message) != nil {
		message = string(plain.Detail) // a list of what is wrong with a request
	}
	if message != "" {
		return &restv1.Error{Message: message, ExtraJson: envelope.GetExtraJson()}
	}
	var bare restv1.Error
	if restjson.Unmarshal(body, &bare) != nil {
		return nil
	}
	if restjson.ExtraSays(bare.GetExtraJson(), "message") && statesError(&bare) {
		bare.Message = string(plain.Message) // an object, of what is wrong with a request
	}
	if bare.GetMessage() == "" {
		return nil
	}
	return &bare
}

// statesError reports whether a message came with what no message of the API
// has: a member `error`, or the `object` that a bare error is.
func statesError(message restjson.Response) bool {
	extra := message.GetExtraJson()
	if restjson.ExtraHas(extra, "error") {
		return true
	}
	if !restjson.ExtraHas(extra, "object") {
		return false
	}
	var bare struct {
		Object any `json:"object"`
	}
	return json.Unmarshal([]byte(extra), &bare) == nil && bare.Object == "error"
}

func mediaType(response *http.Response) string {
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return media
}

func isJSON(response *http.Response) bool {
	media := mediaType(response)
	return media == mediaJSON || strings.HasSuffix(media, "+json")
}

// coding is the content coding of a response, such as gzip. Empty where there is
// none, as there should be: no request asks for one.
func coding(response *http.Response) string {
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

// describe says what a body is that isn't what it should be: most often the page
// of a proxy or firewall on the way.
func describe(response *http.Response, body []byte) string {
	media := mediaType(response)
	switch {
	case len(body) == 0:
		return "an empty body"
	case coding(response) != "":
		return "a body in the encoding " + excerpt([]byte(coding(response))) + ", which was not asked for"
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
		return "a body of no stated type"
	}
}

// maxExcerpt is how much of a foreign body an error quotes, in bytes.
const maxExcerpt = 512

func excerpt(body []byte) string {
	return cut(strings.ToValidUTF8(string(body[:min(len(body), maxExcerpt+4)]), "\uFFFD"), maxExcerpt)
}
