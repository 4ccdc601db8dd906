package usage

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// still are the parts of the API, by the first segment of their paths, in which no
// model is at work on a request while it is answered.
var still = []string{
	"batches", "containers", "conversations", "evals", "files", "fine_tuning",
	"organization", "skills", "uploads", "vector_stores",
}

// counting are the names of what only counts or splits a text, by the last segment of
// a path: Anthropic's, Google's, OpenAI's, vLLM's, llama.cpp's and LiteLLM's.
var counting = []string{
	"count_tokens", "count-tokens", "counttokens", "input_tokens", "token_counter", "tokenize", "detokenize", "apply-template",
}

// keeping are those of Ollama's paths at which it manages models.
var keeping = []string{"show", "create", "copy", "pull", "push", "delete", "blobs"}

// fromTarget returns what method, request-target and header tell of a request.
func fromTarget(method, target string, header http.Header) Request {
	r := Request{Known: true}
	escaped, query, _ := strings.Cut(originForm(target), "?")
	clean, err := url.PathUnescape(escaped)
	if err != nil || path.Clean(clean) != strings.TrimSuffix(clean, "/") && clean != "/" {
		r.Known = false // which resource that is, the upstream alone knows
	}
	segments := strings.Split(strings.Trim(path.Clean(clean), "/"), "/")
	if name := modelOf(segments); name != "" {
		r.Model, r.ModelSeen = name, 1
	}
	plain := r.Known && !strings.ContainsAny(clean, `#;\`)                                // so that nobody takes it for the path of another resource
	r.Spends = strings.EqualFold(method, http.MethodPost) && (spends(segments) || !plain) // some servers take "post" for it
	r.Audio = isAudio(segments, "transcriptions") || isAudio(segments, "translations")
	r.speech = isAudio(segments, "speech")
	if method == http.MethodGet && strings.EqualFold(header.Get("Upgrade"), "websocket") {
		r.Stream, r.Spends = true, true
		r.readQuery(query)
		// Of other WebSockets, such as those of /v1/responses, each message names one.
		r.Known = r.Known && slices.Contains(segments, "realtime")
	}
	return r
}

// originForm returns path and query of a request-target (RFC 9112 §3.2).
func originForm(target string) string {
	if strings.HasPrefix(target, "/") {
		return target
	}
	_, rest, _ := strings.Cut(target, "://")
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		return "/"
	}
	return rest[at:]
}

// modelOf returns the model that a path names: OpenAI's /v1/models/{id}, the
// /v1/engines/{id}/… of old, and Azure's /openai/deployments/{id}/…. An id may
// have slashes at servers of open models.
func modelOf(segments []string) string {
	switch {
	case len(segments) > 2 && segments[0] == "v1" && segments[1] == "models":
		return strings.Join(segments[2:], "/")
	case len(segments) > 2 && segments[0] == "v1" && segments[1] == "engines",
		len(segments) > 2 && segments[0] == "openai" && segments[1] == "deployments":
		return segments[2]
	default:
		return ""
	}
}

// spends reports whether a POST to a path has a model at work.
func spends(segments []string) bool {
	if onlyCounts(segments) {
		return false
	}
	if segments[0] == "api" && len(segments) > 1 {
		return !slices.Contains(keeping, segments[1])
	}
	if segments[0] == "v1" || segments[0] == "openai" {
		segments = segments[1:]
	}
	if len(segments) > 0 && segments[0] == "v1" { // Azure's newer paths
		segments = segments[1:]
	}
	switch {
	case len(segments) == 0:
		return false
	case slices.Contains(still, segments[0]):
		return false
	case segments[0] == "chat": // the rest are those that are stored
		return len(segments) == 2
	case segments[0] == "responses":
		return segments[len(segments)-1] != "cancel"
	default:
		return true
	}
}

// isAudio reports whether a path ends with "audio" and a name.
func isAudio(segments []string, name string) bool {
	n := len(segments)
	return n >= 2 && segments[n-2] == "audio" && segments[n-1] == name
}

// onlyCounts reports whether a path's last segment, or what stands behind a colon in
// it as Google has it, names what only counts or splits a text.
func onlyCounts(segments []string) bool {
	last := segments[len(segments)-1]
	if len(segments) > 1 && segments[len(segments)-2] == "tokenize" && last == "count" { // llama-cpp-python's
		return true
	}
	return slices.Contains(counting, strings.ToLower(last[strings.LastIndexByte(last, ':')+1:]))
}

// readQuery reads the query of a WebSocket's request. One that names no model may
// name it in what it says later.
func (r *Request) readQuery(query string) {
	if r.Model != "" {
		return
	}
	values, err := url.ParseQuery(query)
	for _, name := range []string{"model", "deployment"} { // the latter is Azure's
		for _, value := range values[name] {
			r.Model = value
			r.ModelSeen++
		}
	}
	r.Known = r.Known && err == nil && r.Model != ""
}
