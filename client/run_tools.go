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

// ErrToolRounds is returned by [ChatService.RunTools] if the model still calls
// tools after the maximum number of rounds: see [WithMaxToolRounds].
var ErrToolRounds = errors.New("client: the model still calls tools after the last round")

// RunTools sends a conversation to the model and runs the tools that it calls,
// until it responds without a tool call. It returns the last completion and the
// whole conversation: the messages of the request, the model's messages and the
// results of the tools.
//
// Parallel tool calls run in parallel, each in its own goroutine, up to 128 at a
// time. An error of a tool, or of a call that cannot be made, is sent to the model
// as the result. A call of a tool that is only in the request ends the loop, so
// that the caller can run it. A tool_choice that forces a call applies to the
// first round only. If a completion has several choices, the first one is used.
//
// On failure, RunTools returns the last completion and the conversation so far.
// The error is [ErrToolRounds], the context's error or the error of a call.
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
		message := completion.GetChoices()[0].GetMessage()
		request.Messages = append(request.Messages, message)
		if len(message.GetToolCalls()) == 0 || slices.ContainsFunc(message.GetToolCalls(), callsAny(request.GetTools()[:offered])) {
			return completion, request.GetMessages(), nil
		}
		request.Messages = append(request.Messages, runAll(ctx, tools, message.GetToolCalls())...)
		if err := ctx.Err(); err != nil {
			return completion, request.GetMessages(), newError(ctx, err)
		}
		if choice, ok := withoutForce(request.GetToolChoice()); ok {
			request.ToolChoice = choice
		}
	}
	return last, request.GetMessages(), fmt.Errorf("%w, of %d", ErrToolRounds, s.maxRounds)
}

// maxParallelTools is the maximum number of tools running at a time. A message may
// contain millions of calls.
const maxParallelTools = 128

// runAll runs the calls and returns their results in the same order.
func runAll(ctx context.Context, tools []Tool, calls []*chatv1.ToolCall) []*chatv1.Message {
	results := make([]*chatv1.Message, len(calls))
	var running sync.WaitGroup
	slots := make(chan struct{}, maxParallelTools)
	for i, call := range calls {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			ctx, _ := connect.NewClientContext(ctx) // Calls made by a tool have separate headers.
			results[i] = ToolResult(call.GetId(), run(ctx, tools, call))
		})
	}
	running.Wait()
	return results
}

// run runs a call and returns the result to send to the model.
func run(ctx context.Context, tools []Tool, call *chatv1.ToolCall) string {
	i := slices.IndexFunc(tools, func(tool Tool) bool { return tool.name == call.GetFunction().GetName() })
	if i < 0 {
		return fmt.Sprintf("error: unknown function %q; available: %s", nameOf(call), names(tools))
	}
	text, err := tools[i].call(ctx, argumentsText(call.GetFunction()))
	if err != nil {
		return "error: " + err.Error()
	}
	return text
}

// argumentsText returns the arguments of a call. Some upstreams send them as an
// object, and some split a character into two chunks.
func argumentsText(function *chatv1.FunctionCall) string {
	for name, value := range jsonFields([]byte(function.GetExtraJson())) {
		if name == `"arguments"` && jsonKind(value) == '"' {
			return unquote(value)
		} else if name == `"arguments"` {
			return string(value)
		}
	}
	return function.GetArguments()
}

func nameOf(call *chatv1.ToolCall) string {
	return call.GetFunction().GetName() + call.GetCustom().GetName() // Only one is set.
}

func names(tools []Tool) string {
	all := make([]string, len(tools))
	for i, tool := range tools {
		all[i] = tool.name
	}
	return strings.Join(all, ", ")
}

// callsAny returns a function that reports whether a call names one of the tools.
func callsAny(tools []*chatv1.Tool) func(*chatv1.ToolCall) bool {
	return func(call *chatv1.ToolCall) bool {
		return slices.ContainsFunc(tools, func(tool *chatv1.Tool) bool {
			return nameOf(call) == tool.GetFunction().GetName()+tool.GetCustom().GetName()
		})
	}
}

// withoutForce returns a tool choice that lets the model respond without a tool
// call. It reports false if the given choice does so already.
func withoutForce(choice *chatv1.ToolChoice) (*chatv1.ToolChoice, bool) {
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
