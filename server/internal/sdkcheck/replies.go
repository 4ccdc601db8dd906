//nolint:staticcheck // The replies include deprecated fields.
package sdkcheck

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
)

// created returns the creation time of all replies.
func created() *timestamppb.Timestamp { return &timestamppb.Timestamp{Seconds: 1730000000} }

// Completions returns replies that together have every field of a completion.
func Completions() []*chatv1.ChatCompletion {
	return []*chatv1.ChatCompletion{
		{
			Id: "chatcmpl-1", Created: created(), Model: "gpt-5.4-mini-2026-01-01",
			Choices: []*chatv1.Choice{
				{
					Message:      replyWithEverything(),
					FinishReason: chatv1.FinishReason_FINISH_REASON_TOOL_CALLS,
					Logprobs:     logprobs(),
				},
				{
					Index:        1,
					Message:      &chatv1.Message{Role: chatv1.Role_ROLE_ASSISTANT, Refusal: new("No.")},
					FinishReason: chatv1.FinishReason_FINISH_REASON_CONTENT_FILTER,
				},
			},
			Usage: usage(), ServiceTier: sharedv1.ServiceTier_SERVICE_TIER_PRIORITY,
			Metadata: map[string]string{"k": "v", "": "é"}, Moderation: moderation(), SystemFingerprint: new("fp_1"),
		},
		{Id: "chatcmpl-2", Created: created(), Model: "gpt-5.4-mini"},
		reply(chatv1.FinishReason_FINISH_REASON_STOP, &chatv1.Message{Role: chatv1.Role_ROLE_ASSISTANT, Content: new("")}),
		reply(chatv1.FinishReason_FINISH_REASON_LENGTH, &chatv1.Message{Role: chatv1.Role_ROLE_ASSISTANT, Content: new("日本語 🙂 \x00\"")}),
		reply(chatv1.FinishReason_FINISH_REASON_FUNCTION_CALL, &chatv1.Message{
			Role: chatv1.Role_ROLE_ASSISTANT, FunctionCall: &chatv1.FunctionCall{Name: "f", Arguments: "{}"},
		}),
	}
}

func reply(reason chatv1.FinishReason, message *chatv1.Message) *chatv1.ChatCompletion {
	return &chatv1.ChatCompletion{
		Id: "chatcmpl-3", Created: created(), Model: "gpt-5.4-mini",
		Choices: []*chatv1.Choice{{Message: message, FinishReason: reason}},
	}
}

func replyWithEverything() *chatv1.Message {
	return &chatv1.Message{
		Role: chatv1.Role_ROLE_ASSISTANT, Content: new("See [1]."), Refusal: new("Partly."),
		ToolCalls: []*chatv1.ToolCall{
			{Id: "call_1", Tool: &chatv1.ToolCall_Function{Function: &chatv1.FunctionCall{Name: "f", Arguments: `{"a": 1}`}}},
			{Id: "call_2", Tool: &chatv1.ToolCall_Custom{Custom: &chatv1.CustomToolCall{Name: "c", Input: "x"}}},
		},
		Audio:        &chatv1.Audio{Id: "audio_1", ExpiresAt: created(), Data: []byte{0xFB, 0xFF, 0}, Transcript: new("See one.")},
		FunctionCall: &chatv1.FunctionCall{Name: "old", Arguments: "{"},
		Annotations: []*chatv1.Annotation{{Annotation: &chatv1.Annotation_UrlCitation{UrlCitation: &chatv1.URLCitation{
			StartIndex: 4, EndIndex: 7, Url: "https://a.example", Title: "A",
		}}}},
	}
}

func logprobs() *chatv1.Logprobs {
	return &chatv1.Logprobs{
		Content: []*chatv1.TokenLogprob{
			{Token: "é", Logprob: -0.125, Bytes: []byte("é"), TopLogprobs: []*chatv1.TopLogprob{
				{Token: "é", Logprob: -0.125, Bytes: []byte("é")}, {Token: "e", Logprob: -9999},
			}},
			{Token: "<|end|>", Logprob: 0},
		},
		Refusal: []*chatv1.TokenLogprob{{Token: "N", Logprob: -1e-7, Bytes: []byte("N")}},
	}
}

func usage() *chatv1.Usage {
	return &chatv1.Usage{
		PromptTokens: new(int32(9)), CompletionTokens: new(int32(12)), TotalTokens: new(int32(21)),
		PromptTokensDetails: &chatv1.PromptTokensDetails{
			AudioTokens: new(int32(1)), CachedTokens: new(int32(2)), CacheWriteTokens: new(int32(3)), TextTokens: new(int32(4)), ImageTokens: new(int32(5)),
		},
		CompletionTokensDetails: &chatv1.CompletionTokensDetails{
			ReasoningTokens: new(int32(1)), AudioTokens: new(int32(2)), TextTokens: new(int32(3)),
			AcceptedPredictionTokens: new(int32(4)), RejectedPredictionTokens: new(int32(5)),
		},
	}
}

func moderation() *chatv1.Moderation {
	return &chatv1.Moderation{
		Input: &chatv1.ModerationOutcome{Outcome: &chatv1.ModerationOutcome_ModerationResults{ModerationResults: &chatv1.ModerationResults{
			Model: "omni-moderation-latest",
			Results: []*sharedv1.ModerationResult{{
				Model: "omni-moderation-latest", Flagged: true,
				Categories:     map[string]bool{"hate": true, "violence": false},
				CategoryScores: map[string]float64{"hate": 0.75, "violence": 1e-9},
				CategoryAppliedInputTypes: map[string]*sharedv1.ModerationInputTypes{
					"hate":     {Types: []sharedv1.ModerationInputType{sharedv1.ModerationInputType_MODERATION_INPUT_TYPE_TEXT, sharedv1.ModerationInputType_MODERATION_INPUT_TYPE_IMAGE}},
					"violence": {},
				},
			}},
		}}},
		Output: &chatv1.ModerationOutcome{Outcome: &chatv1.ModerationOutcome_Error{Error: &chatv1.ModerationError{
			Code: "timeout", Message: "Too slow.",
		}}},
	}
}

// Chunks returns the messages of a stream that together have every field of a chunk
// that is in OpenAI's specification.
func Chunks() []*chatv1.ChatCompletionChunk {
	chunk := func(choices ...*chatv1.ChunkChoice) *chatv1.ChatCompletionChunk {
		return &chatv1.ChatCompletionChunk{
			Id: "chatcmpl-1", Created: created(), Model: "gpt-5.4-mini", Choices: choices,
			ServiceTier: sharedv1.ServiceTier_SERVICE_TIER_DEFAULT, Obfuscation: new("x1"), SystemFingerprint: new("fp_1"),
		}
	}
	last := chunk()
	last.Usage, last.Moderation = usage(), moderation()
	return []*chatv1.ChatCompletionChunk{
		chunk(&chatv1.ChunkChoice{Delta: &chatv1.Delta{Role: chatv1.Role_ROLE_ASSISTANT, Content: new(""), Refusal: new("")}}),
		chunk(&chatv1.ChunkChoice{Index: 1, Delta: &chatv1.Delta{Content: new("é")}, Logprobs: logprobs()}),
		chunk(&chatv1.ChunkChoice{Delta: &chatv1.Delta{ToolCalls: []*chatv1.ToolCallDelta{{
			Index: new(int32(0)), Id: new("call_1"), Type: chatv1.ToolCallType_TOOL_CALL_TYPE_FUNCTION,
			Function: &chatv1.FunctionCallDelta{Name: new("f"), Arguments: new("")},
		}}}}),
		chunk(&chatv1.ChunkChoice{Delta: &chatv1.Delta{ToolCalls: []*chatv1.ToolCallDelta{
			{Index: new(int32(0)), Function: &chatv1.FunctionCallDelta{Arguments: new(`{"`)}},
			{Index: new(int32(1)), Function: &chatv1.FunctionCallDelta{Arguments: new(`}`)}},
		}}}),
		chunk(&chatv1.ChunkChoice{Delta: &chatv1.Delta{FunctionCall: &chatv1.FunctionCallDelta{Name: new("old"), Arguments: new("{")}}}),
		chunk(&chatv1.ChunkChoice{Delta: &chatv1.Delta{Audio: &chatv1.AudioDelta{
			Id: new("audio_1"), Data: []byte{1, 2}, Transcript: new("See"),
		}}}),
		chunk(&chatv1.ChunkChoice{Delta: &chatv1.Delta{Audio: &chatv1.AudioDelta{ExpiresAt: created()}}}),
		chunk(&chatv1.ChunkChoice{Delta: &chatv1.Delta{}, FinishReason: chatv1.FinishReason_FINISH_REASON_STOP}),
		last,
	}
}

// StoredMessages returns a page of the messages of a stored completion.
func StoredMessages() *chatv1.ChatCompletionMessageList {
	whole := replyWithEverything()
	whole.Id = new("chatcmpl-1-1")
	return &chatv1.ChatCompletionMessageList{
		Data: []*chatv1.Message{
			{
				Role: chatv1.Role_ROLE_ASSISTANT, Id: new("chatcmpl-1-0"), Content: new("Look"),
				ContentParts: []*chatv1.ContentPart{
					{Part: &chatv1.ContentPart_Text{Text: "Look"}, PromptCacheBreakpoint: &sharedv1.PromptCacheBreakpoint{}},
					{Part: &chatv1.ContentPart_ImageUrl{ImageUrl: &chatv1.ImageURL{Url: "https://a.example/b.png", Detail: chatv1.ImageDetail_IMAGE_DETAIL_LOW}}},
				},
			},
			whole,
		},
		FirstId: "chatcmpl-1-0", LastId: "chatcmpl-1-1", HasMore: true,
	}
}
