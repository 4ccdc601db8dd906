package usage

import (
	"iter"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// nonInferencePaths are the first path segments of endpoints that do not run a model
// while they process a request.
var nonInferencePaths = []string{
	"batches", "containers", "conversations", "evals", "files", "fine_tuning",
	"organization", "skills", "uploads", "vector_stores",
}

// tokenCountingPaths are the last path segments of endpoints of Anthropic, Google,
// OpenAI, vLLM, llama.cpp and LiteLLM that only count or split text.
var tokenCountingPaths = []string{
	"count_tokens", "count-tokens", "counttokens", "input_tokens", "token_counter", "tokenize", "detokenize", "apply-template",
}

// ollamaAdminPaths are the paths of Ollama's API that manage models.
var ollamaAdminPaths = []string{"show", "create", "copy", "pull", "push", "delete", "blobs"}

// fromTarget reads the method, request target and header of a request.
func fromTarget(method, target string, header http.Header) Request {
	r := Request{Complete: true}
	segments, query, plain := split(target)
	r.Complete = plain
	if name := modelOf(method, segments); name != "" {
		r.Model, r.ModelCount = name, 1
	}
	r.ConsumesTokens = strings.EqualFold(method, http.MethodPost) && (consumesTokens(segments) || !plain) // some servers accept "post"
	r.Transcription = isAudio(segments, "transcriptions") || isAudio(segments, "translations")
	r.isSpeech = isAudio(segments, "speech")
	if overrides(method, header, query) {
		r.Complete, r.Opaque, r.ConsumesTokens = false, true, true
	}
	if method == http.MethodGet && strings.EqualFold(header.Get("Upgrade"), "websocket") {
		r.Streaming, r.ConsumesTokens = true, true
		r.readQuery(query)
		// On other WebSockets, such as those of /v1/responses, each message names a
		// model.
		r.Complete = r.Complete && slices.Contains(segments, "realtime")
	}
	r.addModelsOfQuery(query)
	r.addModelsOfHeader(header)
	return r
}

// split returns the decoded segments of a target's path, and its query. plain reports
// whether every server finds the same resource at the path.
func split(target string) (segments []string, query string, plain bool) {
	escaped, query, _ := strings.Cut(originForm(target), "?")
	clean, err := url.PathUnescape(escaped)
	plain = err == nil && (path.Clean(clean) == strings.TrimSuffix(clean, "/") || clean == "/") && !strings.ContainsAny(clean, `#;\`)
	if decodedTwice, err := url.PathUnescape(clean); err == nil && decodedTwice != clean {
		plain = false // Some servers decode twice.
	}
	return strings.Split(strings.Trim(path.Clean(clean), "/"), "/"), query, plain
}

// modelFieldsOf returns the fields that name models in the body of a request. Ollama's
// native API has more of them.
func modelFieldsOf(target string) *modelField {
	segments, _, _ := split(target)
	for i, segment := range segments[:len(segments)-1] {
		if strings.EqualFold(segment, "api") && slices.Contains(ollamaVerbs, strings.ToLower(segments[i+1])) {
			return ollamaFields
		}
	}
	return requestFields
}

// ollamaVerbs are the endpoints of Ollama's API below /api/.
var ollamaVerbs = []string{"generate", "chat", "create", "show", "copy", "delete", "pull", "push", "embed", "embeddings"}

// Header fields and query parameters with which some servers replace the method.
var (
	overrideFields     = []string{"X-Http-Method-Override", "X-Method-Override", "X-Http-Method", "X-Method"}
	overrideParameters = []string{"_method", "x-http-method-override", "x-method-override", "x-http-method"}
)

// overrides reports whether a request overrides its method.
func overrides(method string, header http.Header, query string) bool {
	for name, values := range header {
		if !slices.Contains(overrideFields, http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))) { // the same for some servers
			continue
		}
		for _, value := range values {
			if !strings.EqualFold(strings.TrimSpace(value), method) {
				return true
			}
		}
	}
	for name, value := range parameters(query) {
		if slices.Contains(overrideParameters, name) && !strings.EqualFold(value, method) {
			return true
		}
	}
	return false
}

// parameters returns the names of a query, folded, with their values. It accepts invalid
// encoding and semicolons as separators, as some servers do.
func parameters(query string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
			name, value, _ := strings.Cut(pair, "=")
			decoded, err := url.QueryUnescape(name)
			if err != nil {
				decoded = name
			}
			if text, err := url.QueryUnescape(value); err == nil {
				value = text
			}
			if !yield(fold([]byte(decoded)), value) {
				return
			}
		}
	}
}

// addModelsOfQuery adds the models that a query names. LiteLLM prefers them to the models
// in the body.
func (r *Request) addModelsOfQuery(query string) {
	for name, value := range parameters(query) {
		base, _, _ := strings.Cut(name, "[")
		field := requestFields.field([]byte(base))
		if field == nil || field.kind == fieldStructure {
			continue
		}
		if field.kind == fieldOpaque || len(value) > maxName {
			r.Complete = false
			continue
		}
		for model := range strings.SplitSeq(value, ",") {
			r.addModel(strings.TrimSpace(model))
		}
	}
}

// addModelsOfHeader adds the models that header fields name, such as X-Litellm-Model, and
// X-Ms-Oai-Image-Generation-Deployment and Azureml-Model-Deployment of Azure.
func (r *Request) addModelsOfHeader(header http.Header) {
	for name, values := range header {
		lower := strings.ToLower(name)
		if !strings.Contains(lower, "model") && !strings.Contains(lower, "deployment") {
			continue
		}
		words := strings.FieldsFunc(lower, func(c rune) bool { return c == '-' || c == '_' || c == '.' })
		hasWord := func(list ...string) bool {
			return slices.ContainsFunc(words, func(word string) bool { return slices.Contains(list, word) })
		}
		if !hasWord("model", "models", "deployment", "deployments") || hasWord("sec", "device", "phone") { // such as Sec-CH-UA-Model
			continue
		}
		for _, value := range values {
			for model := range strings.SplitSeq(value, ",") {
				r.addModel(strings.TrimSpace(model))
			}
		}
	}
}

// originForm returns the path and query of a request target (RFC 9112, section 3.2).
func originForm(target string) string {
	if strings.HasPrefix(target, "/") {
		return target
	}
	_, rest, _ := strings.Cut(target, "://")
	i := strings.IndexAny(rest, "/?")
	if i < 0 {
		return "/"
	}
	return rest[i:]
}

// modelOf returns the model that a path names, after any prefix, such as in OpenAI's
// /v1/models/{id}, /v1/fine_tuning/checkpoints/{id}/permissions and legacy
// /v1/engines/{id}/…, Azure's /openai/deployments/{id}/…, Google's
// /v1beta/models/{id}:generateContent and Amazon's /model/{id}/converse. The id may
// contain slashes on servers of open models and on LiteLLM.
func modelOf(method string, segments []string) string {
	for i, segment := range segments[:len(segments)-1] {
		rest := segments[i+1:]
		switch strings.ToLower(segment) {
		case "models":
			name := strings.Join(rest, "/")
			if strings.EqualFold(method, http.MethodPost) {
				name = withoutVerb(name)
			}
			return name
		case "engines", "deployments":
			return strings.Join(withoutOperation(rest), "/")
		case "model":
			if len(rest) > 1 && slices.Contains(amazonVerbs, rest[len(rest)-1]) {
				return strings.Join(rest[:len(rest)-1], "/")
			}
		case "checkpoints":
			if i > 0 && segments[i-1] == "fine_tuning" {
				if end := slices.Index(rest, "permissions"); end > 0 {
					return strings.Join(rest[:end], "/")
				}
			}
		}
	}
	return ""
}

var (
	amazonVerbs = []string{"invoke", "converse", "invoke-with-response-stream", "converse-stream", "count-tokens"}
	googleVerb  = regexp.MustCompile(`^([a-z]+[A-Z][A-Za-z]*|predict)$`)

	// operations are the paths under the id of an engine or a deployment, the longest
	// first.
	operations = [][]string{
		{"extensions", "chat", "completions"},
		{"chat", "completions"},
		{"images", "generations"},
		{"images", "edits"},
		{"audio", "transcriptions"},
		{"audio", "translations"},
		{"audio", "speech"},
		{"completions"},
		{"embeddings"},
		{"responses"},
		{"moderations"},
		{"search"},
	}
)

// withoutVerb removes the verb of Google's API from the name of a model.
func withoutVerb(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > 0 && googleVerb.MatchString(name[i+1:]) {
		return name[:i]
	}
	return name
}

// withoutOperation removes the operation from the path after "engines" or "deployments".
// If the operation is unknown, the id is the first segment.
func withoutOperation(rest []string) []string {
	for _, operation := range operations {
		if i := len(rest) - len(operation); i > 0 && slices.Equal(rest[i:], operation) {
			return rest[:i]
		}
	}
	return rest[:1]
}

// consumesTokens reports whether a model runs on a POST to a path.
func consumesTokens(segments []string) bool {
	if onlyCounts(segments) {
		return false
	}
	if segments[0] == "api" && len(segments) > 1 {
		return !slices.Contains(ollamaAdminPaths, segments[1])
	}
	if segments[0] == "v1" || segments[0] == "openai" {
		segments = segments[1:]
	}
	if len(segments) > 0 && segments[0] == "v1" { // the newer paths of Azure
		segments = segments[1:]
	}
	switch {
	case len(segments) == 0:
		return false
	case slices.Contains(nonInferencePaths, segments[0]):
		return false
	case segments[0] == "chat": // longer paths refer to stored completions
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

// onlyCounts reports whether a path is of an endpoint that only counts or splits text,
// according to its last segment or, as in Google's API, the verb in it.
func onlyCounts(segments []string) bool {
	last := segments[len(segments)-1]
	if len(segments) > 1 && segments[len(segments)-2] == "tokenize" && last == "count" { // llama-cpp-python
		return true
	}
	return slices.Contains(tokenCountingPaths, strings.ToLower(last[strings.LastIndexByte(last, ':')+1:]))
}

// readQuery reads the query of a WebSocket's request. If it names no model, the request
// is not complete, because a message may name one.
func (r *Request) readQuery(query string) {
	if r.Model != "" {
		return
	}
	values, err := url.ParseQuery(query)
	for _, name := range []string{"model", "deployment"} { // "deployment" is Azure's
		for _, value := range values[name] {
			r.Model = value
			r.ModelCount++
		}
	}
	r.Complete = r.Complete && err == nil && r.Model != ""
}
