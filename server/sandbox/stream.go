package sandbox

import (
	"encoding/json"
	"iter"
	"net/http"
)

// stream answers as Server-Sent Events, each in a write of its own.
func (x *exchange) stream(a *answer) {
	x.w.Header().Set("Cache-Control", "no-cache")
	x.start(http.StatusOK, "text/event-stream; charset=utf-8")
	events := &eventWriter{exchange: x}
	for each := range a.chunks() {
		if !events.send(encode(withMembers(each, a.unknown))) {
			return
		}
	}
	events.send([]byte(doneMarker))
}

// doneMarker is the data of the event that ends a stream.
const doneMarker = "[DONE]"

// An eventWriter sends events, and breaks as the controls ask.
type eventWriter struct {
	*exchange

	sent   int
	failed bool // the fault has happened
}

// send returns false when nothing more is to be sent.
func (e *eventWriter) send(data []byte) bool {
	if e.sent > 0 && wait(e.r.Context(), e.controls.chunkDelay) != nil {
		e.abort()
	}
	due := e.sent == e.controls.after || string(data) == doneMarker
	if due && !e.failed && e.controls.fault.hasPlace() {
		e.failed = true
		return e.fault(data)
	}
	e.event(data)
	return true
}

func (e *eventWriter) event(data []byte) {
	e.write(inEvent(data))
	e.flush()
	e.sent++
}

func inEvent(data []byte) []byte {
	event := make([]byte, 0, len("data: \n\n")+len(data))
	event = append(event, "data: "...)
	event = append(event, data...)
	return append(event, "\n\n"...)
}

func (e *eventWriter) fault(data []byte) bool {
	switch e.controls.fault {
	case faultMalformed:
		e.event(data[:len(data)/2])
		return true
	case faultError:
		e.event(e.controls.failure().body())
	case faultStall:
		e.flush()
		e.stall()
	case faultAbort:
		e.flush()
		e.abort()
	case faultCut:
		whole := inEvent(data)
		e.write(whole[:len(whole)/2])
		e.flush()
		e.abort()
	default: // faultEnd
	}
	return false
}

// chunks is the answer in pieces: the choices in turn, then what is about all of
// them, in chunks without choices.
func (a *answer) chunks() iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		for piece := range a.inTurn() {
			next := a.chunk([]chunkChoice{piece})
			if a.request.obfuscation {
				next.Obfuscation = a.padding(next)
			}
			if !yield(next) {
				return
			}
		}
		if a.moderation != nil {
			next := a.chunk([]chunkChoice{})
			next.Moderation = a.moderation
			if !yield(next) {
				return
			}
		}
		if a.request.usage {
			next := a.chunk([]chunkChoice{})
			next.Usage = a.usage
			yield(next)
		}
	}
}

// chunk has a null for its usage where the request asks for usage at the end.
func (a *answer) chunk(choices []chunkChoice) chunk {
	result := chunk{
		ID:                a.id,
		Object:            "chat.completion.chunk",
		Created:           a.created,
		Model:             Model,
		ServiceTier:       a.serviceTier(),
		SystemFingerprint: systemFingerprint,
		Choices:           choices,
	}
	if a.request.usage {
		result.Usage = null()
	}
	return result
}

// null is a null that omitempty doesn't omit.
func null() any { return json.RawMessage("null") }

// obfuscationBlock is of what the size in bytes of an obfuscated chunk is a multiple.
const obfuscationBlock = 16

func (a *answer) padding(c chunk) string {
	c.Obfuscation = a.identity.id("")[:1]
	missing := obfuscationBlock - len(encode(c))%obfuscationBlock
	return a.identity.id("")[:1+missing%obfuscationBlock]
}

// inTurn takes a piece of each choice, then the next of each, to the last.
func (a *answer) inTurn() iter.Seq[chunkChoice] {
	return func(yield func(chunkChoice) bool) {
		pulls := make([]func() (chunkChoice, bool), len(a.choices))
		for i, each := range a.choices {
			pull, stop := iter.Pull(a.pieces(each))
			defer stop()
			pulls[i] = pull
		}
		for open := len(pulls); open > 0; {
			for i, pull := range pulls {
				if pull == nil {
					continue
				}
				piece, ok := pull()
				if !ok {
					pulls[i] = nil
					open--
				} else if !yield(piece) {
					return
				}
			}
		}
	}
}

// pieces are the deltas of one choice: who speaks, what is said a token at a
// time, and why it ends.
func (a *answer) pieces(c choice) iter.Seq[chunkChoice] {
	return func(yield func(chunkChoice) bool) {
		opening := delta{Role: "assistant", Content: "", Refusal: null()}
		if len(c.refusal)+len(c.calls) > 0 || c.audioID != "" {
			opening.Content = null()
		}
		add := func(d delta, l *logprobs) bool { return yield(chunkChoice{Index: c.index, Delta: d, Logprobs: l}) }
		if !add(opening, nil) || !a.addAudio(c, add) {
			return
		}
		for i, token := range c.content {
			if c.audioID == "" && !add(delta{Content: token}, a.logprobs(choice{content: c.content[i : i+1]})) {
				return
			}
		}
		for i, token := range c.refusal {
			if !add(delta{Refusal: token}, a.logprobs(choice{refusal: c.refusal[i : i+1]})) {
				return
			}
		}
		if !addCalls(c.calls, add) {
			return
		}
		if len(c.annotations) > 0 && !add(delta{Annotations: c.annotations}, nil) {
			return
		}
		yield(chunkChoice{Index: c.index, FinishReason: &c.finish})
	}
}

// audioPiece is the most bytes of audio in a delta: some multiple of a sample,
// and of three, so that the pieces of base64 can also be joined as text.
const audioPiece = 4800

// addAudio adds the transcript's tokens and then the samples, as OpenAI does it
// although the specification doesn't say so.
func (a *answer) addAudio(c choice, add func(delta, *logprobs) bool) bool {
	if c.audioID == "" {
		return true
	}
	if !add(delta{Audio: &audioDelta{ID: c.audioID}}, nil) {
		return false
	}
	for i, token := range c.content {
		if !add(delta{Audio: &audioDelta{Transcript: token}}, a.logprobs(choice{content: c.content[i : i+1]})) {
			return false
		}
	}
	for rest := c.samples; len(rest) > 0; {
		piece := rest[:min(audioPiece, len(rest))]
		rest = rest[len(piece):]
		if !add(delta{Audio: &audioDelta{Data: piece}}, nil) {
			return false
		}
	}
	return add(delta{Audio: &audioDelta{ExpiresAt: a.created + audioLifetime}}, nil)
}

// addCalls first names the calls, and then adds to the arguments of each in turn.
func addCalls(calls []call, add func(delta, *logprobs) bool) bool {
	longest := 0
	for i, each := range calls {
		longest = max(longest, len(each.tokens))
		if !add(each.delta(i, true, ""), nil) {
			return false
		}
	}
	for token := range longest {
		for i, each := range calls {
			if token < len(each.tokens) && !add(each.delta(i, false, each.tokens[token]), nil) {
				return false
			}
		}
	}
	return true
}

// delta adds a text to a call's arguments; the first one also says what is called.
func (c call) delta(index int, first bool, text string) delta {
	named := ""
	result := toolCallDelta{Index: index}
	if first {
		named, result.ID, result.Type = c.name, c.id, c.kind
	}
	switch c.kind {
	case toolLegacy:
		return delta{FunctionCall: &functionCallAdd{Name: named, Arguments: text}}
	case toolCustom:
		result.Custom = &customCallAdd{Name: named, Input: text}
	default:
		result.Function = &functionCallAdd{Name: named, Arguments: text}
	}
	return delta{ToolCalls: []toolCallDelta{result}}
}
