package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxQuotedMessage is the maximum number of characters quoted from a message.
const maxQuotedMessage = 1000

// maxPredicted is the maximum number of tokens repeated from a prediction.
const maxPredicted = 1000

// outputText returns the text of a choice in the requested format.
func (r *request) outputText(index int) (string, error) {
	switch r.responseFormat {
	case "json_object":
		result := newObject()
		result.set("message", r.replyText(index))
		return string(encode(result)), nil
	case "json_schema":
		value, ok := sampleObject(r.tree.object("response_format").object("json_schema").object("schema"), index)
		if !ok {
			const path = "response_format.json_schema.schema"
			return "", invalid(path, "invalid_json_schema", "Invalid schema '%s': no valid sample was found.", path)
		}
		return string(encode(value)), nil
	default:
		return r.replyText(index), nil
	}
}

// replyText returns the plain text of a choice: an introduction, and a quotation of the
// conversation.
func (r *request) replyText(index int) string {
	var sentences []string
	if r.choices > 1 {
		sentences = append(sentences, fmt.Sprintf("(%d of %d)", index+1, r.choices))
	}
	verbosity := r.tree.str("verbosity")
	if verbosity != "low" {
		sentences = append(sentences, "This is the sandbox: no model, no key, no network.")
	}
	sentences = append(sentences, r.transcript()...)
	if verbosity == "high" {
		sentences = append(sentences,
			"The same request always gets the same response, so that it can be used in tests.")
	}
	if r.tree.object("web_search_options") != nil {
		sentences = append(sentences, "It would have searched the web: "+citation+".")
	}
	text := strings.Join(sentences, " ")
	if predicted := r.predicted(); len(predicted) > 0 {
		text = strings.Join(predicted[:min(len(predicted), maxPredicted)], "") + "\n\n" + text
	}
	return text
}

// predicted returns the tokens of the request's prediction.
func (r *request) predicted() []string { return tokens(r.prediction) }

// transcript quotes the tool messages at the end of the conversation, or the last user
// message.
func (r *request) transcript() []string {
	var results []string
	for _, each := range slices.Backward(r.messages) {
		if each.role != "tool" && each.role != "function" {
			break
		}
		results = append(results, "The tool answered: "+quote(each.text))
	}
	if len(results) > 0 {
		slices.Reverse(results)
		return results
	}
	user := r.lastUser()
	if user == nil {
		return []string{"There is no user message to answer."}
	}
	result := []string{"You said: " + quote(user.text)}
	if attached := describeAttachments(*user); attached != "" {
		result = append(result, "With it came "+attached+".")
	}
	return result
}

func quote(text string) string { return `"` + truncate(text, maxQuotedMessage) + `"` }

// describeAttachments counts the parts of a message other than text.
func describeAttachments(m message) string {
	var result []string
	for _, each := range []struct {
		count int
		one   string
		many  string
	}{
		{m.images, "1 image", " images"},
		{len(m.audios), "1 audio clip", " audio clips"},
		{m.files, "1 file", " files"},
	} {
		switch each.count {
		case 0:
		case 1:
			result = append(result, each.one)
		default:
			result = append(result, strconv.Itoa(each.count)+each.many)
		}
	}
	if len(result) < 2 {
		return strings.Join(result, "")
	}
	last := len(result) - 1
	return strings.Join(result[:last], ", ") + " and " + result[last]
}

func (r *request) refusal(index int) string {
	text := "The sandbox was asked to refuse this."
	if r.choices > 1 {
		text = fmt.Sprintf("(%d of %d) %s", index+1, r.choices, text)
	}
	return text
}

// The citation in a response to a request with web search.
const (
	citedURL   = "https://example.com/sandbox"
	citedTitle = "Example Domain"
	citation   = "[" + citedTitle + "](" + citedURL + ")"
)

// findAnnotations returns an annotation for the citation in text, unless it is truncated.
func findAnnotations(text string) []annotation {
	before, _, found := strings.Cut(text, citation)
	if !found {
		return []annotation{}
	}
	start := utf8.RuneCountInString(before)
	return []annotation{{
		Type: "url_citation",
		URLCitation: urlCitation{
			StartIndex: start,
			EndIndex:   start + utf8.RuneCountInString(citation),
			URL:        citedURL,
			Title:      citedTitle,
		},
	}}
}
