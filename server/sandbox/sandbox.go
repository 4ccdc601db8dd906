// Package sandbox is an upstream inside the process: OpenAI's REST API with no
// model, key or network behind it, so that the whole product can be run, tried
// and tested anywhere.
//
// It serves chat completions, unary and streamed, stored completions and models
// under /v1, after OpenAI's specification: tools of both kinds, structured
// output, several choices, log probabilities, stop sequences, limits, usage,
// audio, moderation, and their errors. Any model name is accepted; the reply
// says "sandbox". The authorization header is not looked at.
//
// The same request gives the same answer: text, ids and token counts depend on
// what it means and not on how it is written, and both forms of an answer agree.
// Only the created time is the clock's, and a stored completion's id depends on
// how many equal ones are stored. Two things differ from OpenAI on purpose:
// audio is made as wav and pcm16 alone, and a stream has obfuscation only when
// the request asks for it.
//
// It shares no code with the translation of the typed API, because it is also
// the oracle against which that is tested.
//
// # Controls
//
// These request headers control how a request is answered. They apply to every
// operation, and are strict: an unknown one, or a value that isn't one of those
// below, is status 400 naming the header.
//
//	x-sandbox-delay        how long to wait before the answer begins: 150ms, 2s
//	x-sandbox-chunk-delay  how long to wait between the chunks of a stream
//	x-sandbox-status       400 to 599: the error that OpenAI answers with that
//	                       status; 429, 503 and 529 with retry-after
//	x-sandbox-fault        what goes wrong, see below
//	x-sandbox-after        how many chunks of the stream come before the fault;
//	                       without it all do, and it comes in place of [DONE]
//	x-sandbox-tokens       1 to 1000000: answer in text of so many tokens
//	                       (times n), whatever tools and formats ask
//	x-sandbox-answer       refusal: the model refuses; content-filter: its text is
//	                       cut short by a filter
//	x-sandbox-unknown      accept: members and enum values that the sandbox does
//	                       not know are accepted, where else they are status 400.
//	                       The body's own unknown members come back in the reply,
//	                       unless it has members of that name itself
//
// The faults that take the whole answer:
//
//	hang       nothing at all, until the client goes
//	close      the connection is closed before the headers
//	empty      status 200 without a body
//	html       a web page, as a middlebox sends it, with status 502 or that of
//	           x-sandbox-status
//	json       one JSON body where a stream was asked for
//
// The faults that have a place, after x-sandbox-after chunks; where the answer is
// one JSON body it breaks in the middle:
//
//	malformed  the chunk is half a JSON text, and the stream goes on
//	error      an event with the error of x-sandbox-status, or of 500, ends the
//	           stream; the JSON body is that error, with status 200
//	end        the body ends as if complete, without [DONE] (streams alone)
//	stall      silence, until the client goes
//	abort      the connection is closed (HTTP/2: the stream is reset)
//	cut        the same, in the middle of a chunk
//
// Every wait ends at once when the client goes.
package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// An Option changes what New builds.
type Option func(*sandbox)

// WithClock takes the time from now, where the default is time.Now:
// a test that compares whole answers makes it stand still.
func WithClock(now func() time.Time) Option {
	return func(s *sandbox) { s.now = now }
}

// New returns a handler that serves the API under /v1, with no completion
// stored. It is safe for concurrent use, and needs no closing.
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
	if err := s.serve(x); err != nil { //nolint:contextcheck // the exchange has the request's
		x.writeError(err)
	}
}

func (s *sandbox) serve(x *exchange) error {
	// The body first: net/http watches for the client's leave only from its end.
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

// An operation answers through the exchange, or returns the error to answer with.
type operation func(*exchange) error

// find takes the path as it was sent, so that none is cleaned or redirected.
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
		message: fmt.Sprintf("%s is not allowed here; %s are.", truncate(x.r.Method, maxQuotedValue), strings.Join(allowed, ", ")),
		kind:    typeInvalidRequest,
		code:    "method_not_supported",
	}
}

// unary refuses the faults of a stream before anything is done.
func unaryOnly(run operation) operation {
	return func(x *exchange) error {
		if err := x.controls.checkUnary(); err != nil {
			return err
		}
		return run(x)
	}
}

// at is what a path offers, by method, and the id in it.
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
