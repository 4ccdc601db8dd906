package typed

import (
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"strings"

	restv1 "github.com/openai-connect/openai-connect/gen/openai/rest/v1"
	"github.com/openai-connect/openai-connect/proto/restjson"
)

// parseError reads the error in a body, and returns nil if there is none. It is
// `{"error": {…}}`, or one of the forms that upstreams have which are nearly
// OpenAI: `{"error": "…"}` of Ollama, the bare error of older vLLM, and
// FastAPI's `{"detail": "…"}`.
func parseError(body []byte) *restv1.Error {
	var envelope restv1.ErrorResponse
	if restjson.Unmarshal(body, &envelope) != nil {
		return nil
	}
	if envelope.GetError() != nil {
		return envelope.GetError()
	}
	var plain struct {
		Object, Type  any
		Error, Detail any
	}
	if json.Unmarshal(body, &plain) != nil {
		return nil
	}
	for _, text := range []any{plain.Error, plain.Detail} {
		if message, ok := text.(string); ok && message != "" {
			return &restv1.Error{Message: message, ExtraJson: envelope.GetExtraJson()}
		}
	}
	var bare restv1.Error
	if plain.Object == "error" || plain.Type != nil {
		if restjson.Unmarshal(body, &bare) == nil && bare.GetMessage() != "" {
			return &bare
		}
	}
	return nil
}

func mediaType(response *http.Response) string {
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return media
}

func isJSON(response *http.Response) bool {
	media := mediaType(response)
	return media == mediaJSON || strings.HasSuffix(media, "+json")
}

// isEventStream reports whether a response is a stream. One that doesn't say
// what it is gets the benefit of the doubt.
func isEventStream(response *http.Response) bool {
	return response.Header.Get("Content-Type") == "" || mediaType(response) == mediaEventStream
}

var (
	htmlBody  = regexp.MustCompile(`(?is)^\s*(<!doctype html|<html|<head|<body)`)
	htmlTitle = regexp.MustCompile(`(?is)<title[^>]*>\s*(.*?)\s*</title>`)
)

// describe says what a body is that isn't an OpenAI error: most often the page
// of a proxy or firewall on the way.
func describe(response *http.Response, body []byte) string {
	media := mediaType(response)
	switch {
	case media == "text/html" || htmlBody.Match(body):
		if title := htmlTitle.FindSubmatch(body); title != nil {
			return "an HTML page (“" + excerpt(title[1]) + "”)"
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
