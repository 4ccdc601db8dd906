package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
)

// ErrToolRounds is that the model still calls tools after as many rounds as
// [WithMaxToolRounds] allows.
var ErrToolRounds = errors.New("client: the model still calls tools after the last round")

// RunTools answers a conversation, and lets the model call the tools until it is
// done. It returns the last completion and the whole conversation: the request's
// messages, and what was said and called since, to go on from.
//
// Tools that the model calls at once run at once, each in a goroutine, up to 128
// of them. The model
// reads the text of an error that a tool returns, and of a call that can't be
// made. A call of a tool that only the request offers ends the loop: it is for
// the caller to answer. A tool_choice that forces a call does so in the first
// round alone, and of several choices the first one goes on.
//
// With an error, the completion and the conversation are those until then. The
// error is [ErrToolRounds], the context's, or that of a call.
func (s *ChatService) RunTools(
	ctx context.Context, request *chatv1.CreateChatCompletionRequest, tools ...Tool,
) (*chatv1.ChatCompletion, []*chatv1.Message, error) {
	request = proto.CloneOf(request)
	offered := len(request.GetTools())
	var last *chatv1.ChatCompletion
	for _, tool := range tools {
		request.Tools = append(request.Tools, tool.definition)
	}
	for range s.maxRounds {
		completion, err := s.Create(ctx, request)
		if err != nil {
			return last, request.GetMessages(), err
		}
		if last = completion; len(completion.GetChoices()) == 0 {
			return completion, request.GetMessages(), nil
		}
		answer := completion.GetChoices()[0].GetMessage()
		request.Messages = append(request.Messages, answer)
		if len(answer.GetToolCalls()) == 0 || slices.ContainsFunc(answer.GetToolCalls(), isOf(request.GetTools()[:offered])) {
			return completion, request.GetMessages(), nil
		}
		request.Messages = append(request.Messages, runAll(ctx, tools, answer.GetToolCalls())...)
		if err := ctx.Err(); err != nil {
			return completion, request.GetMessages(), newError(ctx, err)
		}
		if choice, ok := relaxed(request.GetToolChoice()); ok {
			request.ToolChoice = choice
		}
	}
	return last, request.GetMessages(), fmt.Errorf("%w, of %d", ErrToolRounds, s.maxRounds)
}

// maxRunning bounds how many tools run at once. A message may have millions of
// calls.
const maxRunning = 128

// runAll answers each of the calls, in their order.
func runAll(ctx context.Context, tools []Tool, calls []*chatv1.ToolCall) []*chatv1.Message {
	answers := make([]*chatv1.Message, len(calls))
	var running sync.WaitGroup
	free := make(chan struct{}, maxRunning)
	for i, call := range calls {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			ctx, _ := connect.NewClientContext(ctx) // A tool that makes calls has headers of its own.
			answers[i] = ToolResult(call.GetId(), answer(ctx, tools, call))
		})
	}
	running.Wait()
	return answers
}

// answer is what the model reads as the answer to a call.
func answer(ctx context.Context, tools []Tool, call *chatv1.ToolCall) string {
	i := slices.IndexFunc(tools, func(tool Tool) bool { return tool.name == call.GetFunction().GetName() })
	if i < 0 {
		return fmt.Sprintf("error: there is no function %q; there are %s", nameOf(call), names(tools))
	}
	text, err := tools[i].call(ctx, argumentsText(call.GetFunction()))
	if err != nil {
		return "error: " + err.Error()
	}
	return text
}

// argumentsText is the arguments of a call. Some servers send them as an object,
// and some cut characters in half.
func argumentsText(function *chatv1.FunctionCall) string {
	for name, value := range jsonMembers([]byte(function.GetExtraJson())) {
		if name == `"arguments"` && kindOfJSON(value) == '"' {
			return unquoted(value)
		} else if name == `"arguments"` {
			return string(value)
		}
	}
	return function.GetArguments()
}

func nameOf(call *chatv1.ToolCall) string {
	return call.GetFunction().GetName() + call.GetCustom().GetName() // It has one of them.
}

func names(tools []Tool) string {
	all := make([]string, len(tools))
	for i, tool := range tools {
		all[i] = tool.name
	}
	return strings.Join(all, ", ")
}

// isOf returns whether a call is of one of the tools.
func isOf(tools []*chatv1.Tool) func(*chatv1.ToolCall) bool {
	return func(call *chatv1.ToolCall) bool {
		return slices.ContainsFunc(tools, func(tool *chatv1.Tool) bool {
			return nameOf(call) == tool.GetFunction().GetName()+tool.GetCustom().GetName()
		})
	}
}

// relaxed is a choice of tools that lets the model answer. It is false for one
// that does so already.
func relaxed(choice *chatv1.ToolChoice) (*chatv1.ToolChoice, bool) {
	if allowed := choice.GetAllowedTools(); allowed != nil {
		if allowed.GetMode() != sharedv1.AllowedToolsMode_ALLOWED_TOOLS_MODE_REQUIRED {
			return nil, false
		}
		choice = proto.CloneOf(choice)
		choice.GetAllowedTools().Mode = sharedv1.AllowedToolsMode_ALLOWED_TOOLS_MODE_AUTO
		return choice, true
	}
	forces := choice.GetMode() == sharedv1.ToolChoiceMode_TOOL_CHOICE_MODE_REQUIRED ||
		choice.GetFunction() != nil || choice.GetCustom() != nil
	return nil, forces
}
