package sandbox

import (
	"encoding/json"
	"iter"
	"net/http"
)

// stream sends a response as Server-Sent Events, each in a separate write.
func (x *exchange) stream(resp *response) {
	x.w.Header().Set("Cache-Control", "no-cache")
	x.writeHeader(http.StatusOK, "text/event-stream; charset=utf-8")
	events := &eventWriter{exchange: x}
	for each := range resp.chunks() {
		if !events.send(encode(addFields(each, resp.unknown))) {
			return
		}
	}
	events.send([]byte(doneMarker))
}

// doneMarker is the data of a stream's last event.
const doneMarker = "[DONE]"

// An eventWriter sends events and injects the requested fault.
type eventWriter struct {
	*exchange

	sent   int
	failed bool // the fault was injected
}

// send sends an event, or injects the fault when it is due. It reports whether to continue.
func (e *eventWriter) send(data []byte) bool {
	if e.sent > 0 && wait(e.r.Context(), e.controls.chunkDelay) != nil {
		e.abort()
	}
	due := e.sent == e.controls.after || string(data) == doneMarker
	if due && !e.failed && e.controls.fault.isPositional() {
		e.failed = true
		return e.injectFault(data)
	}
	e.writeEvent(data)
	return true
}

func (e *eventWriter) writeEvent(data []byte) {
	e.write(formatEvent(data))
	e.flush()
	e.sent++
}

func formatEvent(data []byte) []byte {
	event := make([]byte, 0, len("data: \n\n")+len(data))
	event = append(event, "data: "...)
	event = append(event, data...)
	return append(event, "\n\n"...)
}

func (e *eventWriter) injectFault(data []byte) bool {
	switch e.controls.fault {
	case faultMalformed:
		e.writeEvent(data[:len(data)/2])
		return true
	case faultError:
		e.writeEvent(e.controls.apiError().body())
	case faultStall:
		e.flush()
		e.stall()
	case faultAbort:
		e.flush()
		e.abort()
	case faultCut:
		whole := formatEvent(data)
		e.write(whole[:len(whole)/2])
		e.flush()
		e.abort()
	default: // faultEnd: no more events, not even [DONE]
	}
	return false
}

// chunks returns the chunks of the stream: those of the choices, interleaved, followed by
// chunks without choices for moderation and usage.
func (resp *response) chunks() iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		for piece := range resp.interleave() {
			next := resp.chunk([]chunkChoice{piece})
			if resp.request.obfuscation {
				next.Obfuscation = resp.padding(next)
			}
			if !yield(next) {
				return
			}
		}
		if resp.moderation != nil {
			next := resp.chunk([]chunkChoice{})
			next.Moderation = resp.moderation
			if !yield(next) {
				return
			}
		}
		if resp.request.usage {
			next := resp.chunk([]chunkChoice{})
			next.Usage = resp.usage
			yield(next)
		}
	}
}

// chunk returns a chunk. Its usage is an explicit null if the request asks for usage.
func (resp *response) chunk(choices []chunkChoice) chunk {
	result := chunk{
		ID:                resp.id,
		Object:            "chat.completion.chunk",
		Created:           resp.created,
		Model:             Model,
		ServiceTier:       resp.serviceTier(),
		SystemFingerprint: systemFingerprint,
		Choices:           choices,
	}
	if resp.request.usage {
		result.Usage = null()
	}
	return result
}

// null returns a null that omitempty does not omit.
func null() any { return json.RawMessage("null") }

// obfuscationBlock is the number of bytes to a multiple of which chunks are padded.
const obfuscationBlock = 16

func (resp *response) padding(c chunk) string {
	c.Obfuscation = resp.requestHash.id("")[:1]
	missing := obfuscationBlock - len(encode(c))%obfuscationBlock
	return resp.requestHash.id("")[:1+missing%obfuscationBlock]
}

// interleave returns the first delta of each choice, then the second of each, and so on.
func (resp *response) interleave() iter.Seq[chunkChoice] {
	return func(yield func(chunkChoice) bool) {
		pulls := make([]func() (chunkChoice, bool), len(resp.choices))
		for i, each := range resp.choices {
			pull, stop := iter.Pull(resp.deltas(each))
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

// deltas returns the deltas of a choice: the role, the content token by token, and the
// finish reason.
func (resp *response) deltas(c choice) iter.Seq[chunkChoice] {
	return func(yield func(chunkChoice) bool) {
		opening := delta{Role: "assistant", Content: "", Refusal: null()}
		if len(c.refusal)+len(c.calls) > 0 || c.audioID != "" {
			opening.Content = null()
		}
		add := func(d delta, l *logprobs) bool { return yield(chunkChoice{Index: c.index, Delta: d, Logprobs: l}) }
		if !add(opening, nil) || !resp.addAudio(c, add) {
			return
		}
		for i, token := range c.content {
			if c.audioID == "" && !add(delta{Content: token}, resp.logprobs(choice{content: c.content[i : i+1]})) {
				return
			}
		}
		for i, token := range c.refusal {
			if !add(delta{Refusal: token}, resp.logprobs(choice{refusal: c.refusal[i : i+1]})) {
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

// audioPiece is the maximum number of audio bytes in a delta. It is a multiple of the
// sample size, and of three, so that the base64 strings can be concatenated.
const audioPiece = 4800

// addAudio adds the transcript's tokens and then the samples. OpenAI does this, but the
// specification does not mention it.
func (resp *response) addAudio(c choice, add func(delta, *logprobs) bool) bool {
	if c.audioID == "" {
		return true
	}
	if !add(delta{Audio: &audioDelta{ID: c.audioID}}, nil) {
		return false
	}
	for i, token := range c.content {
		if !add(delta{Audio: &audioDelta{Transcript: token}}, resp.logprobs(choice{content: c.content[i : i+1]})) {
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
	return add(delta{Audio: &audioDelta{ExpiresAt: resp.created + audioLifetime}}, nil)
}

// addCalls first adds the names of all calls, and then their arguments, interleaved.
func addCalls(calls []generatedCall, add func(delta, *logprobs) bool) bool {
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

// delta returns a delta that adds text to the arguments of a call. The first one also has
// the ID, type and name.
func (c generatedCall) delta(index int, first bool, text string) delta {
	named := ""
	result := toolCallDelta{Index: index}
	if first {
		named, result.ID, result.Type = c.name, c.id, c.kind
	}
	switch c.kind {
	case toolLegacy:
		return delta{FunctionCall: &functionCallDelta{Name: named, Arguments: text}}
	case toolCustom:
		result.Custom = &customCallDelta{Name: named, Input: text}
	default:
		result.Function = &functionCallDelta{Name: named, Arguments: text}
	}
	return delta{ToolCalls: []toolCallDelta{result}}
}
