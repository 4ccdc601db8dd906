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

// An answer is what is said to a request, before it takes one of its two forms.
type response struct {
	request     *request
	requestHash requestHash
	id          string
	created     int64 // Unix seconds
	choices     []choice
	usage       usage
	moderation  *moderation
	unknown     *object // members of the request that go back as they came
}

// A choice is one of the n ways in which a model answers.
type choice struct {
	index       int
	content     []string // tokens; of the transcript, where there is audio
	refusal     []string // tokens
	calls       []generatedCall
	samples     []byte // of the audio
	audioID     string // empty for an answer in text
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
		return invalidControl(controlTokens, "with n choices these are more than 1000000 tokens")
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

// answer decides what to say.
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

// choice is one choice without a limit of its tokens.
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

// untilStop is the tokens of a text before the first stop sequence in it.
func (r *request) tokensBeforeStop(text string) []string {
	end := len(text)
	for _, stop := range r.stops {
		if at := strings.Index(text, stop); at >= 0 {
			end = min(end, at)
		}
	}
	return tokens(text[:end])
}

// keepWithin drops the tokens after so many. Calls that none is left for go too.
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

// exactly makes a text of so many tokens, by counting on after its end.
func textOfTokens(count int, text string) []string {
	result := tokens(text)
	for number := len(result) + 1; number <= count; number++ {
		result = append(result, " "+strconv.Itoa(number))
	}
	return result[:count]
}

// completion is the answer in one piece.
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

// systemFingerprint says that nothing about the sandbox changes between answers.
const systemFingerprint = "fp_sandbox"

// serviceTier is the one that served the request, as OpenAI reports it:
// auto is decided, and fast is a name of priority.
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

// unknownMembers are those of a body that its shape doesn't know.
func unknownFields(tree *object, known objectValidator) *object {
	result := newObject()
	for _, name := range tree.names {
		if known.validatorOf(name) == nil {
			result.set(name, tree.get(name))
		}
	}
	return result
}

// withMembers adds members to a value's JSON that it doesn't have itself.
func addFields(value any, members *object) any {
	if members.len() == 0 {
		return value
	}
	parsed, err := parse(encode(value))
	result, ok := parsed.(*object)
	if err != nil || !ok {
		return value
	}
	for _, name := range members.names {
		if !result.has(name) {
			result.set(name, members.get(name))
		}
	}
	return result
}
