// Package sandbox is a fake OpenAI API for tests and demonstrations: an httptest
// for OpenAI's API. It needs no model, API key or network. [New] returns an
// [http.Handler] to serve with [net/http/httptest.NewServer], or to call directly:
//
//	server := httptest.NewServer(sandbox.New())
//	defer server.Close()
//	client := openai.NewClient(option.WithBaseURL(server.URL + "/v1"))
//
// It serves chat completions (unary and streamed), stored completions and models
// under /v1. It follows OpenAI's specification: function and custom tools,
// structured output, multiple choices, log probabilities, stop sequences, token
// limits, usage, audio, moderation, and their errors. It accepts any model name and
// any Authorization header. The model in a response is always "sandbox".
//
// Responses are deterministic. Text, IDs and token counts depend on the meaning of
// the request, not on its formatting. A stream and a unary response to the same
// request have the same content. Two things vary: the created time is the current
// time, and the ID of a stored completion depends on how many equal ones are stored.
//
// The sandbox deliberately differs from OpenAI in two ways. The only audio formats
// are wav and pcm16. Streams are obfuscated only on request.
//
// The package shares no code with the transcoder, because it is also the oracle in
// the transcoder's tests.
//
// # Controls
//
// These request headers control the response to any operation. An unknown control
// header or an invalid value is rejected with status 400 and an error that names the
// header.
//
//	x-sandbox-delay        delay before the response, such as 150ms or 2s
//	x-sandbox-chunk-delay  delay between the chunks of a stream
//	x-sandbox-status       400 to 599: respond with OpenAI's error for this status
//	                       (429, 503 and 529 with retry-after)
//	x-sandbox-fault        the fault to inject, see below
//	x-sandbox-after        number of chunks before the fault; by default, the fault
//	                       replaces [DONE]
//	x-sandbox-tokens       1 to 1000000: respond with this many tokens of text for
//	                       each choice, regardless of tools and formats
//	x-sandbox-answer       refusal: the model refuses to answer;
//	                       content-filter: a content filter truncates the text
//	x-sandbox-unknown      accept: accept unknown fields and enum values instead of
//	                       rejecting them with status 400, and copy unknown
//	                       top-level fields to the response, unless it has a field
//	                       of the same name
//
// These faults replace the whole response:
//
//	hang       no response until the client disconnects
//	close      the connection is closed before the headers
//	empty      status 200 without a body
//	html       an HTML page, as sent by a middlebox, with x-sandbox-status or 502
//	json       a single JSON body instead of a stream
//
// These faults happen after x-sandbox-after chunks of a stream, or in the middle of
// a unary response:
//
//	malformed  the chunk is truncated JSON, and the stream continues
//	error      an error event for x-sandbox-status, or 500, ends the stream; a unary
//	           response has that error as its body, with status 200
//	end        the body ends normally, but without [DONE] (streams only)
//	stall      no more data until the client disconnects
//	abort      the connection is closed (HTTP/2: the stream is reset)
//	cut        like abort, in the middle of a chunk
//
// All delays end as soon as the client disconnects.
package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An Option configures the handler returned by [New].
type Option func(*sandbox)

// WithClock sets the clock, which is [time.Now] by default. A test that compares
// whole responses can pass a fixed time.
func WithClock(now func() time.Time) Option {
	return func(s *sandbox) { s.now = now }
}

// New returns a handler that serves the API under /v1. Each handler has its own
// stored completions, initially none. It is safe for concurrent use and does not
// need to be closed.
func New(options ...Option) http.Handler {
	result := &sandbox{
		now:        time.Now,
		completion: completionValidator(),
		update:     updateValidator(),
	}
	for _, option := range options {
		option(result)
	}
	return result
}

type sandbox struct {
	now        func() time.Time
	completion objectValidator
	update     objectValidator
	stored     store
}

func (s *sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, now: s.now, start: s.now()}
	if err := s.serve(x); err != nil { //nolint:contextcheck // the exchange has the request's context
		x.writeError(err)
	}
}

func (s *sandbox) serve(x *exchange) error {
	// Read the body first: net/http detects a disconnect only after the body was read.
	bodyErr := x.readBody()
	x.setStandardHeaders()
	if bodyErr != nil {
		return bodyErr
	}
	if err := x.applyControls(); err != nil || x.headerWritten {
		return err
	}
	run, err := s.route(x)
	if err != nil {
		return err
	}
	return run(x)
}

// An operation writes a response to the exchange, or returns the error to respond with.
type operation func(*exchange) error

// route returns the operation for a request. It matches the escaped path, so that no
// path is cleaned or redirected.
func (s *sandbox) route(x *exchange) (operation, error) {
	operations, id := s.operationsAt(x.r.URL.EscapedPath())
	var err error
	if x.id, err = url.PathUnescape(id); err != nil || len(operations) == 0 {
		return nil, &apiError{
			status:  http.StatusNotFound,
			message: fmt.Sprintf("Invalid URL (%s %s)", x.r.Method, truncate(x.r.URL.EscapedPath(), maxQuotedMessage)),
			kind:    typeInvalidRequest,
		}
	}
	allowed := []string{http.MethodOptions}
	for method := range operations {
		allowed = append(allowed, method)
		if method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	method := x.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if run, ok := operations[method]; ok {
		return run, nil
	}
	x.w.Header().Set("Allow", strings.Join(allowed, ", "))
	if method == http.MethodOptions {
		return (*exchange).noContent, nil
	}
	return nil, &apiError{
		status:  http.StatusMethodNotAllowed,
		message: fmt.Sprintf("Method %s is not allowed: want %s.", truncate(x.r.Method, maxQuotedValue), strings.Join(allowed, ", ")),
		kind:    typeInvalidRequest,
		code:    "method_not_supported",
	}
}

// unaryOnly wraps an operation that never streams. It rejects faults that need a stream.
func unaryOnly(run operation) operation {
	return func(x *exchange) error {
		if err := x.controls.checkUnary(); err != nil {
			return err
		}
		return run(x)
	}
}

// operationsAt returns a path's operations by method, and the ID in the path.
func (s *sandbox) operationsAt(path string) (operations map[string]operation, id string) {
	switch path {
	case "/v1/models":
		return map[string]operation{http.MethodGet: unaryOnly(s.listModels)}, ""
	case "/v1/chat/completions":
		return map[string]operation{
			http.MethodGet:  unaryOnly(s.listCompletions),
			http.MethodPost: s.createCompletion,
		}, ""
	}
	id, ok := strings.CutPrefix(path, "/v1/models/")
	if ok {
		operations = map[string]operation{http.MethodGet: unaryOnly(s.getModel)}
	} else if id, ok = strings.CutPrefix(path, "/v1/chat/completions/"); ok {
		operations = map[string]operation{
			http.MethodGet:    unaryOnly(s.getCompletion),
			http.MethodPost:   unaryOnly(s.updateCompletion),
			http.MethodDelete: unaryOnly(s.deleteCompletion),
		}
		var isMessages bool
		if id, isMessages = strings.CutSuffix(id, "/messages"); isMessages {
			operations = map[string]operation{http.MethodGet: unaryOnly(s.listMessages)}
		}
	}
	if id == "" || strings.Contains(id, "/") {
		return nil, ""
	}
	return operations, id
}
