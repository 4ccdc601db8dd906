package telemetry

import "strings"

// otherRoute is the route of unlisted paths.
const otherRoute = "other"

// routes are the paths of OpenAI's API as in its reference
// (https://platform.openai.com/docs/api-reference), except for the names of parameters, and
// those of this server's pages. Other paths are "other", so that clients can't create time
// series.
var routes = newRoutes(
	"/v1/assistants", "/v1/assistants/{id}",
	"/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations",
	"/v1/batches", "/v1/batches/{id}", "/v1/batches/{id}/cancel",
	"/v1/chat/completions", "/v1/chat/completions/{id}", "/v1/chat/completions/{id}/messages",
	"/v1/completions",
	"/v1/containers", "/v1/containers/{id}", "/v1/containers/{id}/files", "/v1/containers/{id}/files/{id}",
	"/v1/containers/{id}/files/{id}/content",
	"/v1/conversations", "/v1/conversations/{id}", "/v1/conversations/{id}/items", "/v1/conversations/{id}/items/{id}",
	"/v1/embeddings",
	"/v1/evals", "/v1/evals/{id}", "/v1/evals/{id}/runs", "/v1/evals/{id}/runs/{id}", "/v1/evals/{id}/runs/{id}/output_items",
	"/v1/evals/{id}/runs/{id}/output_items/{id}",
	"/v1/files", "/v1/files/{id}", "/v1/files/{id}/content",
	"/v1/fine_tuning/alpha/graders/run", "/v1/fine_tuning/alpha/graders/validate",
	"/v1/fine_tuning/checkpoints/{id}/permissions", "/v1/fine_tuning/checkpoints/{id}/permissions/{id}",
	"/v1/fine_tuning/jobs", "/v1/fine_tuning/jobs/{id}", "/v1/fine_tuning/jobs/{id}/cancel", "/v1/fine_tuning/jobs/{id}/checkpoints",
	"/v1/fine_tuning/jobs/{id}/events", "/v1/fine_tuning/jobs/{id}/pause", "/v1/fine_tuning/jobs/{id}/resume",
	"/v1/images/edits", "/v1/images/generations", "/v1/images/variations",
	"/v1/models", "/v1/models/{id}",
	"/v1/moderations",
	"/v1/organization/{id}", "/v1/organization/{id}/{id}", "/v1/organization/{id}/{id}/{id}", "/v1/organization/{id}/{id}/{id}/{id}",
	"/v1/realtime", "/v1/realtime/calls", "/v1/realtime/calls/{id}/accept", "/v1/realtime/calls/{id}/hangup",
	"/v1/realtime/calls/{id}/refer", "/v1/realtime/calls/{id}/reject", "/v1/realtime/client_secrets", "/v1/realtime/sessions",
	"/v1/realtime/transcription_sessions",
	"/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens", "/v1/responses/{id}", "/v1/responses/{id}/cancel",
	"/v1/responses/{id}/input_items",
	"/v1/threads", "/v1/threads/runs", "/v1/threads/{id}", "/v1/threads/{id}/messages", "/v1/threads/{id}/messages/{id}",
	"/v1/threads/{id}/runs", "/v1/threads/{id}/runs/{id}", "/v1/threads/{id}/runs/{id}/cancel", "/v1/threads/{id}/runs/{id}/steps",
	"/v1/threads/{id}/runs/{id}/steps/{id}", "/v1/threads/{id}/runs/{id}/submit_tool_outputs",
	"/v1/uploads", "/v1/uploads/{id}/cancel", "/v1/uploads/{id}/complete", "/v1/uploads/{id}/parts",
	"/v1/vector_stores", "/v1/vector_stores/{id}", "/v1/vector_stores/{id}/file_batches", "/v1/vector_stores/{id}/file_batches/{id}",
	"/v1/vector_stores/{id}/file_batches/{id}/cancel", "/v1/vector_stores/{id}/file_batches/{id}/files",
	"/v1/vector_stores/{id}/files", "/v1/vector_stores/{id}/files/{id}", "/v1/vector_stores/{id}/files/{id}/content",
	"/v1/vector_stores/{id}/search",
	"/v1/videos", "/v1/videos/{id}", "/v1/videos/{id}/content", "/v1/videos/{id}/remix",
	"/playground/", "/playground/{id}",
)

// parameter is a template's part that matches any string but the empty one.
const parameter = "{id}"

// routeTree is a prefix tree of templates.
type routeTree struct {
	route    string // empty if none ends here
	children map[string]*routeTree
}

func newRoutes(templates ...string) *routeTree {
	root := new(routeTree)
	for _, template := range templates {
		at := root
		for part := range strings.SplitSeq(template[1:], "/") {
			next := at.children[part]
			if next == nil {
				next = new(routeTree)
				if at.children == nil {
					at.children = make(map[string]*routeTree)
				}
				at.children[part] = next
			}
			at = next
		}
		at.route = template
	}
	return root
}

// find returns the template that matches the rest of a path, empty if there is none.
// Literal parts take precedence over parameters.
func (t *routeTree) find(rest string) string {
	part, rest, more := strings.Cut(rest, "/")
	for _, name := range [...]string{part, parameter} {
		next := t.children[name]
		if next == nil || name == parameter && part == "" {
			continue
		}
		route := next.route
		if more {
			route = next.find(rest)
		}
		if route != "" {
			return route
		}
	}
	return ""
}

// routeOf returns the route of a request: its procedure, a template that matches its path,
// or "other".
func routeOf(path, procedure string) string {
	if procedure != "" {
		return procedure
	}
	if strings.HasPrefix(path, "/") {
		if route := routes.find(path[1:]); route != "" {
			return route
		}
	}
	return otherRoute
}
