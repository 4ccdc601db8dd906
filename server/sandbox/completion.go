package sandbox

import (
	"math"
	"strconv"
	"strings"
)

// The values of a choice's finish_reason.
const (
	finishStop          = "stop"
	finishLength        = "length"
	finishToolCalls     = "tool_calls"
	finishFunctionCall  = "function_call"
	finishContentFilter = "content_filter"
)

// A response holds the content of a completion, before it is encoded as a unary response
// or a stream.
type response struct {
	request     *request
	requestHash requestHash
	id          string
	created     int64 // Unix seconds
	choices     []choice
	usage       usage
	moderation  *moderation
	unknown     *object // unknown fields of the request, which are sent back
}

// A choice is one of the n choices of a response.
type choice struct {
	index       int
	content     []string // tokens of the text, or of the audio's transcript
	refusal     []string // tokens
	calls       []generatedCall
	samples     []byte // audio
	audioID     string // empty for a text response
	annotations []annotation
	finish      string
}

func (s *sandbox) createCompletion(x *exchange) error {
	if err := x.checkContentType(); err != nil {
		return err
	}
	r, err := parseRequest(s.completion.validate, x.body, x.strictness())
	if err != nil {
		return err
	}
	if !r.stream {
		if err := x.controls.checkUnary(); err != nil {
			return err
		}
	}
	if x.controls.tokens*r.choices > maxTokens {
		return invalidControl(controlTokens, "multiplied by n, it must not exceed 1000000")
	}
	resp, err := r.generate(x.controls)
	if err != nil {
		return err
	}
	resp.created = x.now().Unix()
	resp.unknown = unknownFields(r.tree, s.completion)
	if r.tree.boolean("store") {
		s.stored.add(resp)
	}
	if r.stream && x.controls.fault != faultJSON {
		x.stream(resp)
	} else {
		x.respond(addFields(resp.completion(), resp.unknown))
	}
	return nil
}

// generate returns the response to a request.
func (r *request) generate(c controls) (*response, error) {
	result := &response{request: r, requestHash: hashRequest(r.tree, c)}
	result.id = result.requestHash.id("chatcmpl-", 0)
	reasoning := r.reasoningTokens()
	limit := math.MaxInt
	if r.limit > 0 {
		reasoning = min(reasoning, r.limit)
		limit = r.limit - reasoning
	}
	var outputs []string
	for index := range r.choices {
		each, err := r.generateChoice(c, result.requestHash, index)
		if err != nil {
			return nil, err
		}
		text := strings.Join(each.content, "")
		outputs = append(outputs, text)
		if user := r.lastUser(); user != nil && r.isBlocked("input", user.text) || r.isBlocked("output", text) {
			each = choice{index: index, finish: finishContentFilter}
		}
		each.truncateTo(limit)
		if r.audioFormat != "" && len(each.calls)+len(each.refusal) == 0 {
			each.audioID = result.requestHash.id("audio_", index)
			each.samples = synthesizeAudio(each.content)
		}
		each.annotations = findAnnotations(strings.Join(each.content, ""))
		result.choices = append(result.choices, each)
	}
	result.moderation = r.moderate(outputs)
	result.usage = r.countUsage(result.choices, reasoning)
	return result, nil
}

// generateChoice returns a choice, without applying the token limit.
func (r *request) generateChoice(c controls, who requestHash, index int) (choice, error) {
	result := choice{index: index, finish: finishStop}
	toolsToCall := r.toolsToCall()
	switch {
	case c.answer == answerRefusal:
		result.refusal = tokens(r.refusal(index))
	case c.tokens > 0:
		result.content = r.tokensBeforeStop(strings.Join(textOfTokens(c.tokens, r.replyText(index)), ""))
	case len(toolsToCall) > 0 && c.answer == "":
		result.finish = finishToolCalls
		for i, each := range toolsToCall {
			call, err := r.generateCall(each, who.id("call_", index, i), index)
			if err != nil {
				return result, err
			}
			if call.kind == toolLegacy {
				result.finish = finishFunctionCall
			}
			result.calls = append(result.calls, call)
		}
	default:
		text, err := r.outputText(index)
		if err != nil {
			return result, err
		}
		result.content = r.tokensBeforeStop(text)
	}
	if c.answer == answerContentFilter {
		result.content = result.content[:len(result.content)/2]
		result.finish = finishContentFilter
	}
	return result, nil
}

// tokensBeforeStop returns the tokens of text before its first stop sequence.
func (r *request) tokensBeforeStop(text string) []string {
	end := len(text)
	for _, stop := range r.stops {
		if at := strings.Index(text, stop); at >= 0 {
			end = min(end, at)
		}
	}
	return tokens(text[:end])
}

// truncateTo drops tokens beyond the limit, and calls that have no tokens left.
func (c *choice) truncateTo(limit int) {
	cut := func(list []string) []string {
		kept := list[:min(limit, len(list))]
		if len(kept) < len(list) {
			c.finish = finishLength
		}
		limit -= len(kept)
		return kept
	}
	c.content = cut(c.content)
	c.refusal = cut(c.refusal)
	for i := range c.calls {
		if limit == 0 {
			c.calls, c.finish = c.calls[:i], finishLength
			break
		}
		c.calls[i].tokens = cut(c.calls[i].tokens)
	}
}

// textOfTokens returns exactly count tokens: those of text, followed by numbers.
func textOfTokens(count int, text string) []string {
	result := tokens(text)
	for number := len(result) + 1; number <= count; number++ {
		result = append(result, " "+strconv.Itoa(number))
	}
	return result[:count]
}

// completion returns the unary response.
func (resp *response) completion() completion {
	result := completion{
		ID:                resp.id,
		Object:            "chat.completion",
		Created:           resp.created,
		Model:             Model,
		Usage:             resp.usage,
		Moderation:        resp.moderation,
		Metadata:          resp.request.metadata,
		ServiceTier:       resp.serviceTier(),
		SystemFingerprint: systemFingerprint,
	}
	for _, each := range resp.choices {
		result.Choices = append(result.Choices, completionChoice{
			Index:        each.index,
			Message:      resp.message(each),
			Logprobs:     resp.logprobs(each),
			FinishReason: each.finish,
		})
	}
	return result
}

// systemFingerprint is constant, because the sandbox is deterministic.
const systemFingerprint = "fp_sandbox"

// serviceTier returns the tier that served the request as OpenAI reports it: never auto,
// and priority for its alias fast.
func (resp *response) serviceTier() string {
	switch tier := resp.request.serviceTier; tier {
	case "", "auto":
		return "default"
	case "fast":
		return "priority"
	default:
		return tier
	}
}

func (resp *response) message(c choice) replyMessage {
	result := replyMessage{Role: "assistant", Annotations: c.annotations}
	text := strings.Join(c.content, "")
	switch {
	case c.audioID != "":
		result.Audio = &audio{
			ID:         c.audioID,
			ExpiresAt:  resp.created + audioLifetime,
			Data:       encodeAudio(resp.request.audioFormat, c.samples),
			Transcript: text,
		}
	case len(c.refusal) > 0:
		refusal := strings.Join(c.refusal, "")
		result.Refusal = &refusal
	case len(c.calls) == 0:
		result.Content = &text
	}
	for _, each := range c.calls {
		if each.kind == toolLegacy {
			result.FunctionCall = each.asFunction()
		} else {
			result.ToolCalls = append(result.ToolCalls, each.asTool())
		}
	}
	return result
}

// unknownFields returns the fields of a request that its validator does not know.
func unknownFields(tree *object, known objectValidator) *object {
	result := newObject()
	for _, name := range tree.names {
		if known.validatorOf(name) == nil {
			result.set(name, tree.get(name))
		}
	}
	return result
}

// addFields returns a value with additional JSON fields. It does not replace fields.
func addFields(value any, fields *object) any {
	if fields.len() == 0 {
		return value
	}
	parsed, err := parse(encode(value))
	result, ok := parsed.(*object)
	if err != nil || !ok {
		return value
	}
	for _, name := range fields.names {
		if !result.has(name) {
			result.set(name, fields.get(name))
		}
	}
	return result
}
