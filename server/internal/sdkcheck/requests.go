//nolint:staticcheck // The requests include deprecated fields.
package sdkcheck

import (
	"fmt"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"

	chatv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/chat/v1"
	sharedv1 "github.com/openai-connect/openai-connect/gen/openaiconnect/shared/v1"
)

// Request is a request in two forms: the typed API's and the SDK's.
type Request struct {
	// Name identifies it.
	Name  string
	Typed *chatv1.CreateChatCompletionRequest
	SDK   openai.ChatCompletionNewParams
}

// Requests returns requests that together have every field of OpenAI's Chat API in each
// of its forms. The first has one form of each field, the others have the exclusive
// alternatives.
func Requests() []Request {
	requests := []Request{everything()}
	add := func(name string, change func(*chatv1.CreateChatCompletionRequest, *openai.ChatCompletionNewParams)) {
		r := Request{
			Name: name,
			Typed: &chatv1.CreateChatCompletionRequest{
				Model:    "gpt-5.4-mini",
				Messages: []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, Content: new("Hello!")}},
			},
			SDK: openai.ChatCompletionNewParams{
				Model:    "gpt-5.4-mini",
				Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hello!")},
			},
		}
		change(r.Typed, &r.SDK)
		requests = append(requests, r)
	}
	add("the smallest", func(*chatv1.CreateChatCompletionRequest, *openai.ChatCompletionNewParams) {})
	addForms(add)
	addEnums(add)
	return requests
}

type adder func(name string, change func(*chatv1.CreateChatCompletionRequest, *openai.ChatCompletionNewParams))

const schema = `{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"number","minimum":0.5}},"required":["z"]}`

func schemaMap() map[string]any {
	return map[string]any{
		"type": "object",
		"properties": map[string]any{
			"z": map[string]any{"type": "string"},
			"a": map[string]any{"type": "number", "minimum": 0.5},
		},
		"required": []string{"z"},
	}
}

func everything() Request {
	return Request{
		Name: "everything",
		Typed: &chatv1.CreateChatCompletionRequest{
			Model:               "gpt-5.4-mini",
			Messages:            typedMessages(),
			Temperature:         new(float64(0)),
			TopP:                new(0.1),
			MaxCompletionTokens: new(int32(2147483647)),
			N:                   new(int32(2)),
			Stop:                []string{"\n", "END"},
			ReasoningEffort:     sharedv1.ReasoningEffort_REASONING_EFFORT_LOW,
			Verbosity:           sharedv1.Verbosity_VERBOSITY_HIGH,
			Tools:               typedTools(),
			ToolChoice: &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_AllowedTools{AllowedTools: &chatv1.AllowedTools{
				Mode:      sharedv1.AllowedToolsMode_ALLOWED_TOOLS_MODE_REQUIRED,
				ToolsJson: []string{`{"type":"function","function":{"name":"get_weather"}}`, `{"type":"custom","custom":{"name":"calculate"}}`},
			}}},
			ParallelToolCalls: new(false),
			ResponseFormat: &chatv1.ResponseFormat{Format: &chatv1.ResponseFormat_JsonSchema{JsonSchema: &chatv1.JSONSchema{
				Name: "answer", Description: new("The answer."), SchemaJson: schema, Strict: new(true),
			}}},
			StreamOptions:    &chatv1.StreamOptions{IncludeUsage: new(true), IncludeObfuscation: new(false)},
			FrequencyPenalty: new(-1.5),
			PresencePenalty:  new(1e-7),
			LogitBias:        map[string]int32{"50256": -100, "100": 5},
			Logprobs:         new(true),
			TopLogprobs:      new(int32(20)),
			Modalities:       []sharedv1.Modality{sharedv1.Modality_MODALITY_TEXT, sharedv1.Modality_MODALITY_AUDIO},
			Audio: &chatv1.AudioParam{
				Voice:  &sharedv1.Voice{Voice: &sharedv1.Voice_Name{Name: "alloy"}},
				Format: chatv1.AudioFormat_AUDIO_FORMAT_WAV,
			},
			Prediction: &chatv1.PredictionContent{ContentParts: []*chatv1.ContentPart{
				{Part: &chatv1.ContentPart_Text{Text: "func main() {\n"}},
				{Part: &chatv1.ContentPart_Text{Text: "}\n"}},
			}},
			WebSearchOptions: &chatv1.WebSearchOptions{
				UserLocation: &chatv1.UserLocation{Location: &chatv1.UserLocation_Approximate{Approximate: &chatv1.WebSearchLocation{
					Country: new("DE"), Region: new("Hesse"), City: new("Kassel"), Timezone: new("Europe/Berlin"),
				}}},
				SearchContextSize: sharedv1.WebSearchContextSize_WEB_SEARCH_CONTEXT_SIZE_LOW,
			},
			Store:            new(true),
			Metadata:         map[string]string{"team": "a", "": "empty", "ключ": "значение 🙂"},
			ServiceTier:      sharedv1.ServiceTier_SERVICE_TIER_FLEX,
			SafetyIdentifier: new("user-1"),
			PromptCacheKey:   new("key"),
			PromptCacheOptions: &sharedv1.PromptCacheOptions{
				Mode: sharedv1.PromptCacheMode_PROMPT_CACHE_MODE_EXPLICIT,
				Ttl:  sharedv1.PromptCacheTTL_PROMPT_CACHE_TTL_30M,
			},
			Moderation: &sharedv1.ModerationParam{
				Model: "omni-moderation-latest",
				Policy: &sharedv1.ModerationPolicy{
					Input:  &sharedv1.ModerationConfig{Mode: sharedv1.ModerationMode_MODERATION_MODE_BLOCK},
					Output: &sharedv1.ModerationConfig{Mode: sharedv1.ModerationMode_MODERATION_MODE_SCORE},
				},
			},
			PromptCacheRetention: sharedv1.PromptCacheRetention_PROMPT_CACHE_RETENTION_IN_MEMORY,
			MaxTokens:            new(int32(100)),
			Seed:                 new(int64(-9007199254740993)),
			User:                 new(""),
			Functions: []*chatv1.Function{
				{Name: "old", Description: new("An old function."), ParametersJson: schema},
				{Name: "bare"},
			},
			FunctionCall: &chatv1.FunctionCallChoice{Choice: &chatv1.FunctionCallChoice_Name{Name: "old"}},
		},
		SDK: openai.ChatCompletionNewParams{
			Model:               "gpt-5.4-mini",
			Messages:            sdkMessages(),
			Temperature:         openai.Float(0),
			TopP:                openai.Float(0.1),
			MaxCompletionTokens: openai.Int(2147483647),
			N:                   openai.Int(2),
			Stop:                openai.ChatCompletionNewParamsStopUnion{OfStringArray: []string{"\n", "END"}},
			ReasoningEffort:     shared.ReasoningEffortLow,
			Verbosity:           openai.ChatCompletionNewParamsVerbosityHigh,
			Tools:               sdkTools(),
			ToolChoice: openai.ChatCompletionToolChoiceOptionUnionParam{OfAllowedTools: &openai.ChatCompletionAllowedToolChoiceParam{
				AllowedTools: openai.ChatCompletionAllowedToolsParam{
					Mode: openai.ChatCompletionAllowedToolsModeRequired,
					Tools: []map[string]any{
						{"type": "function", "function": map[string]any{"name": "get_weather"}},
						{"type": "custom", "custom": map[string]any{"name": "calculate"}},
					},
				},
			}},
			ParallelToolCalls: openai.Bool(false),
			ResponseFormat: openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &shared.ResponseFormatJSONSchemaParam{
				JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
					Name: "answer", Description: openai.String("The answer."), Schema: schemaMap(), Strict: openai.Bool(true),
				},
			}},
			StreamOptions:    openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true), IncludeObfuscation: openai.Bool(false)},
			FrequencyPenalty: openai.Float(-1.5),
			PresencePenalty:  openai.Float(1e-7),
			LogitBias:        map[string]int64{"50256": -100, "100": 5},
			Logprobs:         openai.Bool(true),
			TopLogprobs:      openai.Int(20),
			Modalities:       []string{"text", "audio"},
			Audio: openai.ChatCompletionAudioParam{
				Voice:  openai.ChatCompletionAudioParamVoiceUnion{OfString: openai.String("alloy")},
				Format: openai.ChatCompletionAudioParamFormatWAV,
			},
			Prediction: openai.ChatCompletionPredictionContentParam{
				Content: openai.ChatCompletionPredictionContentContentUnionParam{
					OfArrayOfContentParts: []openai.ChatCompletionContentPartTextParam{{Text: "func main() {\n"}, {Text: "}\n"}},
				},
			},
			WebSearchOptions: openai.ChatCompletionNewParamsWebSearchOptions{
				UserLocation: openai.ChatCompletionNewParamsWebSearchOptionsUserLocation{
					Approximate: openai.ChatCompletionNewParamsWebSearchOptionsUserLocationApproximate{
						Country: openai.String("DE"), Region: openai.String("Hesse"), City: openai.String("Kassel"), Timezone: openai.String("Europe/Berlin"),
					},
				},
				SearchContextSize: "low",
			},
			Store:              openai.Bool(true),
			Metadata:           shared.Metadata{"team": "a", "": "empty", "ключ": "значение 🙂"},
			ServiceTier:        openai.ChatCompletionNewParamsServiceTierFlex,
			SafetyIdentifier:   openai.String("user-1"),
			PromptCacheKey:     openai.String("key"),
			PromptCacheOptions: openai.ChatCompletionNewParamsPromptCacheOptions{Mode: "explicit", Ttl: "30m"},
			Moderation: openai.ChatCompletionNewParamsModeration{
				Model: "omni-moderation-latest",
				Policy: openai.ChatCompletionNewParamsModerationPolicy{
					Input:  openai.ChatCompletionNewParamsModerationPolicyInput{Mode: "block"},
					Output: openai.ChatCompletionNewParamsModerationPolicyOutput{Mode: "score"},
				},
			},
			PromptCacheRetention: openai.ChatCompletionNewParamsPromptCacheRetentionInMemory,
			MaxTokens:            openai.Int(100),
			Seed:                 openai.Int(-9007199254740993),
			User:                 openai.String(""),
			Functions: []openai.ChatCompletionNewParamsFunction{
				{Name: "old", Description: openai.String("An old function."), Parameters: schemaMap()},
				{Name: "bare"},
			},
			FunctionCall: openai.ChatCompletionNewParamsFunctionCallUnion{
				OfFunctionCallOption: &openai.ChatCompletionFunctionCallOptionParam{Name: "old"},
			},
		},
	}
}

func typedTools() []*chatv1.Tool {
	return []*chatv1.Tool{
		{Tool: &chatv1.Tool_Function{Function: &chatv1.FunctionTool{
			Name: "get_weather", Description: new("The weather."), ParametersJson: schema, Strict: new(true),
		}}},
		{Tool: &chatv1.Tool_Function{Function: &chatv1.FunctionTool{Name: "bare"}}},
		{Tool: &chatv1.Tool_Custom{Custom: &chatv1.CustomTool{
			Name: "calculate", Description: new("Calculates."),
			Format: &chatv1.CustomToolFormat{Format: &chatv1.CustomToolFormat_Grammar{Grammar: &chatv1.Grammar{
				Definition: `start: /[0-9+]+/`, Syntax: sharedv1.GrammarSyntax_GRAMMAR_SYNTAX_LARK,
			}}},
		}}},
		{Tool: &chatv1.Tool_Custom{Custom: &chatv1.CustomTool{
			Name: "write", Format: &chatv1.CustomToolFormat{Format: &chatv1.CustomToolFormat_Text{Text: &chatv1.CustomToolFormatText{}}},
		}}},
	}
}

func sdkTools() []openai.ChatCompletionToolUnionParam {
	text := openai.NewChatCompletionCustomToolCustomFormatTextParam()
	return []openai.ChatCompletionToolUnionParam{
		openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
			Name: "get_weather", Description: openai.String("The weather."), Parameters: schemaMap(), Strict: openai.Bool(true),
		}),
		openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "bare"}),
		openai.ChatCompletionCustomTool(openai.ChatCompletionCustomToolCustomParam{
			Name: "calculate", Description: openai.String("Calculates."),
			Format: openai.ChatCompletionCustomToolCustomFormatUnionParam{OfGrammar: &openai.ChatCompletionCustomToolCustomFormatGrammarParam{
				Grammar: openai.ChatCompletionCustomToolCustomFormatGrammarGrammarParam{Definition: `start: /[0-9+]+/`, Syntax: "lark"},
			}},
		}),
		openai.ChatCompletionCustomTool(openai.ChatCompletionCustomToolCustomParam{
			Name: "write", Format: openai.ChatCompletionCustomToolCustomFormatUnionParam{OfText: &text},
		}),
	}
}

func typedMessages() []*chatv1.Message {
	text := func(text string) *chatv1.ContentPart {
		return &chatv1.ContentPart{Part: &chatv1.ContentPart_Text{Text: text}}
	}
	return []*chatv1.Message{
		{Role: chatv1.Role_ROLE_DEVELOPER, Content: new("Be brief."), Name: new("dev")},
		{Role: chatv1.Role_ROLE_DEVELOPER, ContentParts: []*chatv1.ContentPart{text("Be"), text(" kind.")}},
		{Role: chatv1.Role_ROLE_SYSTEM, Content: new("Be exact."), Name: new("sys")},
		{Role: chatv1.Role_ROLE_SYSTEM, ContentParts: []*chatv1.ContentPart{
			{Part: &chatv1.ContentPart_Text{Text: "Be here."}, PromptCacheBreakpoint: &sharedv1.PromptCacheBreakpoint{}},
		}},
		{Role: chatv1.Role_ROLE_USER, Content: new("Quotes \", \\, \x00, \u2028 and 🙂."), Name: new("ann")},
		{Role: chatv1.Role_ROLE_USER, ContentParts: []*chatv1.ContentPart{
			text("Look, listen and read:"),
			{Part: &chatv1.ContentPart_ImageUrl{ImageUrl: &chatv1.ImageURL{
				Url: "data:image/png;base64,AAEC/+==", Detail: chatv1.ImageDetail_IMAGE_DETAIL_HIGH,
			}}, PromptCacheBreakpoint: &sharedv1.PromptCacheBreakpoint{}},
			{Part: &chatv1.ContentPart_ImageUrl{ImageUrl: &chatv1.ImageURL{Url: "https://a.example/b.png?c=d&e"}}},
			{Part: &chatv1.ContentPart_InputAudio{InputAudio: &chatv1.InputAudio{
				Data: []byte{0xFB, 0xFF, 0x00}, Format: chatv1.InputAudioFormat_INPUT_AUDIO_FORMAT_WAV,
			}}, PromptCacheBreakpoint: &sharedv1.PromptCacheBreakpoint{}},
			{Part: &chatv1.ContentPart_File{File: &chatv1.File{
				Filename: new("a.pdf"), FileData: new("data:application/pdf;base64,JVBERi0="),
			}}, PromptCacheBreakpoint: &sharedv1.PromptCacheBreakpoint{}},
			{Part: &chatv1.ContentPart_File{File: &chatv1.File{FileId: new("file-1")}}},
		}},
		{Role: chatv1.Role_ROLE_ASSISTANT, Content: new("Fine."), Name: new("bot"), Refusal: new("")},
		{Role: chatv1.Role_ROLE_ASSISTANT, ContentParts: []*chatv1.ContentPart{
			text("I can't:"),
			{Part: &chatv1.ContentPart_Refusal{Refusal: "no."}},
		}},
		{Role: chatv1.Role_ROLE_ASSISTANT, Audio: &chatv1.Audio{Id: "audio_1"}},
		{Role: chatv1.Role_ROLE_ASSISTANT, ToolCalls: []*chatv1.ToolCall{
			{Id: "call_1", Tool: &chatv1.ToolCall_Function{Function: &chatv1.FunctionCall{Name: "get_weather", Arguments: `{"z": "Kassel"}`}}},
			{Id: "call_2", Tool: &chatv1.ToolCall_Custom{Custom: &chatv1.CustomToolCall{Name: "calculate", Input: "1+1"}}},
		}},
		{Role: chatv1.Role_ROLE_TOOL, ToolCallId: new("call_1"), Content: new("Rain.")},
		{Role: chatv1.Role_ROLE_TOOL, ToolCallId: new("call_2"), ContentParts: []*chatv1.ContentPart{text("2")}},
		{Role: chatv1.Role_ROLE_ASSISTANT, FunctionCall: &chatv1.FunctionCall{Name: "old", Arguments: ""}},
		{Role: chatv1.Role_ROLE_FUNCTION, Name: new("old"), Content: new("")},
		{Role: chatv1.Role_ROLE_FUNCTION, Name: new("old")},
	}
}

func sdkMessages() []openai.ChatCompletionMessageParamUnion {
	type (
		message = openai.ChatCompletionMessageParamUnion
		text    = openai.ChatCompletionContentPartTextParam
		part    = openai.ChatCompletionContentPartUnionParam
	)
	named := func(m message, name string) message {
		switch {
		case m.OfDeveloper != nil:
			m.OfDeveloper.Name = openai.String(name)
		case m.OfSystem != nil:
			m.OfSystem.Name = openai.String(name)
		case m.OfUser != nil:
			m.OfUser.Name = openai.String(name)
		case m.OfAssistant != nil:
			m.OfAssistant.Name = openai.String(name)
		}
		return m
	}
	assistant := func(m openai.ChatCompletionAssistantMessageParam) message { return message{OfAssistant: &m} }
	return []message{
		named(openai.DeveloperMessage("Be brief."), "dev"),
		openai.DeveloperMessage([]text{{Text: "Be"}, {Text: " kind."}}),
		named(openai.SystemMessage("Be exact."), "sys"),
		openai.SystemMessage([]text{{Text: "Be here.", PromptCacheBreakpoint: openai.NewChatCompletionContentPartTextPromptCacheBreakpointParam()}}),
		named(openai.UserMessage("Quotes \", \\, \x00, \u2028 and 🙂."), "ann"),
		openai.UserMessage([]part{
			openai.TextContentPart("Look, listen and read:"),
			{OfImageURL: &openai.ChatCompletionContentPartImageParam{
				ImageURL:              openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64,AAEC/+==", Detail: "high"},
				PromptCacheBreakpoint: openai.NewChatCompletionContentPartImagePromptCacheBreakpointParam(),
			}},
			openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "https://a.example/b.png?c=d&e"}),
			{OfInputAudio: &openai.ChatCompletionContentPartInputAudioParam{
				InputAudio:            openai.ChatCompletionContentPartInputAudioInputAudioParam{Data: "+/8A", Format: "wav"},
				PromptCacheBreakpoint: openai.NewChatCompletionContentPartInputAudioPromptCacheBreakpointParam(),
			}},
			{OfFile: &openai.ChatCompletionContentPartFileParam{
				File: openai.ChatCompletionContentPartFileFileParam{
					Filename: openai.String("a.pdf"), FileData: openai.String("data:application/pdf;base64,JVBERi0="),
				},
				PromptCacheBreakpoint: openai.NewChatCompletionContentPartFilePromptCacheBreakpointParam(),
			}},
			openai.FileContentPart(openai.ChatCompletionContentPartFileFileParam{FileID: openai.String("file-1")}),
		}),
		assistant(openai.ChatCompletionAssistantMessageParam{
			Content: openai.ChatCompletionAssistantMessageParamContentUnion{OfString: openai.String("Fine.")},
			Name:    openai.String("bot"), Refusal: openai.String(""),
		}),
		assistant(openai.ChatCompletionAssistantMessageParam{
			Content: openai.ChatCompletionAssistantMessageParamContentUnion{
				OfArrayOfContentParts: []openai.ChatCompletionAssistantMessageParamContentArrayOfContentPartUnion{
					{OfText: &text{Text: "I can't:"}},
					{OfRefusal: &openai.ChatCompletionContentPartRefusalParam{Refusal: "no."}},
				},
			},
		}),
		assistant(openai.ChatCompletionAssistantMessageParam{Audio: openai.ChatCompletionAssistantMessageParamAudio{ID: "audio_1"}}),
		assistant(openai.ChatCompletionAssistantMessageParam{ToolCalls: []openai.ChatCompletionMessageToolCallUnionParam{
			{OfFunction: &openai.ChatCompletionMessageFunctionToolCallParam{
				ID: "call_1", Function: openai.ChatCompletionMessageFunctionToolCallFunctionParam{Name: "get_weather", Arguments: `{"z": "Kassel"}`},
			}},
			{OfCustom: &openai.ChatCompletionMessageCustomToolCallParam{
				ID: "call_2", Custom: openai.ChatCompletionMessageCustomToolCallCustomParam{Name: "calculate", Input: "1+1"},
			}},
		}}),
		openai.ToolMessage("Rain.", "call_1"),
		openai.ToolMessage([]text{{Text: "2"}}, "call_2"),
		assistant(openai.ChatCompletionAssistantMessageParam{
			FunctionCall: openai.ChatCompletionAssistantMessageParamFunctionCall{Name: "old", Arguments: ""},
		}),
		openai.ChatCompletionMessageParamOfFunction("", "old"),
		{OfFunction: &openai.ChatCompletionFunctionMessageParam{Name: "old", Content: param.Null[string]()}},
	}
}

// addForms adds the fields that a request has in one of several forms.
func addForms(add adder) {
	type (
		typed = *chatv1.CreateChatCompletionRequest
		sdk   = *openai.ChatCompletionNewParams
	)
	add("one stop", func(r typed, p sdk) {
		r.Stop = []string{"END"}
		p.Stop.OfStringArray = []string{"END"}
	})
	add("a function to call", func(r typed, p sdk) {
		r.ToolChoice = &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_Function{Function: &chatv1.FunctionChoice{Name: "f"}}}
		p.ToolChoice = openai.ToolChoiceOptionFunctionToolChoice(openai.ChatCompletionNamedToolChoiceFunctionParam{Name: "f"})
	})
	add("a custom tool to call", func(r typed, p sdk) {
		r.ToolChoice = &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_Custom{Custom: &chatv1.CustomToolChoice{Name: "c"}}}
		p.ToolChoice = openai.ToolChoiceOptionCustomToolChoice(openai.ChatCompletionNamedToolChoiceCustomCustomParam{Name: "c"})
	})
	add("no tools that are allowed", func(r typed, p sdk) {
		r.ToolChoice = &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_AllowedTools{
			AllowedTools: &chatv1.AllowedTools{Mode: sharedv1.AllowedToolsMode_ALLOWED_TOOLS_MODE_AUTO},
		}}
		p.ToolChoice = openai.ToolChoiceOptionAllowedTools(openai.ChatCompletionAllowedToolsParam{
			Mode: openai.ChatCompletionAllowedToolsModeAuto, Tools: []map[string]any{},
		})
	})
	add("text", func(r typed, p sdk) {
		r.ResponseFormat = &chatv1.ResponseFormat{Format: &chatv1.ResponseFormat_Text{}}
		p.ResponseFormat.OfText = &shared.ResponseFormatTextParam{Type: "text"}
	})
	add("any JSON object", func(r typed, p sdk) {
		r.ResponseFormat = &chatv1.ResponseFormat{Format: &chatv1.ResponseFormat_JsonObject{}}
		p.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{Type: "json_object"}
	})
	add("a schema without a schema", func(r typed, p sdk) {
		r.ResponseFormat = &chatv1.ResponseFormat{Format: &chatv1.ResponseFormat_JsonSchema{JsonSchema: &chatv1.JSONSchema{Name: "n"}}}
		p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "n"}}
	})
	add("a voice of one's own", func(r typed, p sdk) {
		r.Audio = &chatv1.AudioParam{Voice: &sharedv1.Voice{Voice: &sharedv1.Voice_Id{Id: "voice_1"}}, Format: chatv1.AudioFormat_AUDIO_FORMAT_PCM16}
		p.Audio = openai.ChatCompletionAudioParam{
			Voice:  openai.ChatCompletionAudioParamVoiceUnion{OfChatCompletionAudioVoiceID: &openai.ChatCompletionAudioParamVoiceID{ID: "voice_1"}},
			Format: openai.ChatCompletionAudioParamFormatPcm16,
		}
	})
	add("a prediction as one text", func(r typed, p sdk) {
		r.Prediction = &chatv1.PredictionContent{Content: new("a")}
		p.Prediction.Content.OfString = openai.String("a")
	})
	add("a grammar of regular expressions", func(r typed, p sdk) {
		r.Tools = []*chatv1.Tool{{Tool: &chatv1.Tool_Custom{Custom: &chatv1.CustomTool{
			Name: "c", Format: &chatv1.CustomToolFormat{Format: &chatv1.CustomToolFormat_Grammar{
				Grammar: &chatv1.Grammar{Definition: "[a-z]+", Syntax: sharedv1.GrammarSyntax_GRAMMAR_SYNTAX_REGEX},
			}},
		}}}}
		p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionCustomTool(openai.ChatCompletionCustomToolCustomParam{
			Name: "c", Format: openai.ChatCompletionCustomToolCustomFormatUnionParam{OfGrammar: &openai.ChatCompletionCustomToolCustomFormatGrammarParam{
				Grammar: openai.ChatCompletionCustomToolCustomFormatGrammarGrammarParam{Definition: "[a-z]+", Syntax: "regex"},
			}},
		})}
	})
}

// addEnums adds each value of the enums in a request.
func addEnums(add adder) {
	type (
		typed = *chatv1.CreateChatCompletionRequest
		sdk   = *openai.ChatCompletionNewParams
	)
	for i, value := range []shared.ReasoningEffort{
		shared.ReasoningEffortNone, shared.ReasoningEffortMinimal, shared.ReasoningEffortLow, shared.ReasoningEffortMedium,
		shared.ReasoningEffortHigh, shared.ReasoningEffortXhigh, shared.ReasoningEffortMax,
	} {
		add(fmt.Sprintf("reasoning effort %s", value), func(r typed, p sdk) {
			r.ReasoningEffort, p.ReasoningEffort = sharedv1.ReasoningEffort(i+1), value
		})
	}
	for i, value := range []openai.ChatCompletionNewParamsVerbosity{
		openai.ChatCompletionNewParamsVerbosityLow, openai.ChatCompletionNewParamsVerbosityMedium, openai.ChatCompletionNewParamsVerbosityHigh,
	} {
		add(fmt.Sprintf("verbosity %s", value), func(r typed, p sdk) {
			r.Verbosity, p.Verbosity = sharedv1.Verbosity(i+1), value
		})
	}
	for i, value := range []openai.ChatCompletionNewParamsServiceTier{
		openai.ChatCompletionNewParamsServiceTierAuto, openai.ChatCompletionNewParamsServiceTierDefault, openai.ChatCompletionNewParamsServiceTierFlex,
		openai.ChatCompletionNewParamsServiceTierScale, openai.ChatCompletionNewParamsServiceTierPriority, openai.ChatCompletionNewParamsServiceTierFast,
	} {
		add(fmt.Sprintf("service tier %s", value), func(r typed, p sdk) {
			r.ServiceTier, p.ServiceTier = sharedv1.ServiceTier(i+1), value
		})
	}
	for i, value := range []openai.ChatCompletionNewParamsPromptCacheRetention{
		openai.ChatCompletionNewParamsPromptCacheRetentionInMemory, openai.ChatCompletionNewParamsPromptCacheRetention24h,
	} {
		add(fmt.Sprintf("cache retention %s", value), func(r typed, p sdk) {
			r.PromptCacheRetention, p.PromptCacheRetention = sharedv1.PromptCacheRetention(i+1), value
		})
	}
	for i, value := range []string{"implicit", "explicit"} {
		add("cache mode "+value, func(r typed, p sdk) {
			r.PromptCacheOptions = &sharedv1.PromptCacheOptions{Mode: sharedv1.PromptCacheMode(i + 1)}
			p.PromptCacheOptions.Mode = value
		})
	}
	for i, value := range []string{"low", "medium", "high"} {
		add("search context "+value, func(r typed, p sdk) {
			r.WebSearchOptions = &chatv1.WebSearchOptions{SearchContextSize: sharedv1.WebSearchContextSize(i + 1)}
			p.WebSearchOptions.SearchContextSize = value
		})
	}
	for i, value := range []openai.ChatCompletionAudioParamFormat{
		openai.ChatCompletionAudioParamFormatWAV, openai.ChatCompletionAudioParamFormatAAC, openai.ChatCompletionAudioParamFormatMP3,
		openai.ChatCompletionAudioParamFormatFLAC, openai.ChatCompletionAudioParamFormatOpus, openai.ChatCompletionAudioParamFormatPcm16,
	} {
		add(fmt.Sprintf("audio format %s", value), func(r typed, p sdk) {
			r.Audio = &chatv1.AudioParam{Voice: &sharedv1.Voice{Voice: &sharedv1.Voice_Name{Name: "ash"}}, Format: chatv1.AudioFormat(i + 1)}
			p.Audio = openai.ChatCompletionAudioParam{Voice: openai.ChatCompletionAudioParamVoiceUnion{OfString: openai.String("ash")}, Format: value}
		})
	}
	for i, value := range []openai.ChatCompletionToolChoiceOptionAuto{
		openai.ChatCompletionToolChoiceOptionAutoNone, openai.ChatCompletionToolChoiceOptionAutoAuto, openai.ChatCompletionToolChoiceOptionAutoRequired,
	} {
		add(fmt.Sprintf("tool choice %s", value), func(r typed, p sdk) {
			r.ToolChoice = &chatv1.ToolChoice{Choice: &chatv1.ToolChoice_Mode{Mode: sharedv1.ToolChoiceMode(i + 1)}}
			p.ToolChoice.OfAuto = openai.String(string(value))
		})
	}
	for i, value := range []openai.ChatCompletionNewParamsFunctionCallFunctionCallMode{
		openai.ChatCompletionNewParamsFunctionCallFunctionCallModeNone, openai.ChatCompletionNewParamsFunctionCallFunctionCallModeAuto,
	} {
		add(fmt.Sprintf("function call %s", value), func(r typed, p sdk) {
			r.FunctionCall = &chatv1.FunctionCallChoice{Choice: &chatv1.FunctionCallChoice_Mode{Mode: chatv1.FunctionCallMode(i + 1)}}
			p.FunctionCall.OfFunctionCallMode = openai.String(string(value))
		})
	}
	for i, value := range []string{"auto", "low", "high"} {
		add("image detail "+value, func(r typed, p sdk) {
			r.Messages = []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, ContentParts: []*chatv1.ContentPart{
				{Part: &chatv1.ContentPart_ImageUrl{ImageUrl: &chatv1.ImageURL{Url: "u", Detail: chatv1.ImageDetail(i + 1)}}},
			}}}
			p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
				openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "u", Detail: value}),
			})}
		})
	}
	for i, value := range []string{"wav", "mp3"} {
		add("input audio format "+value, func(r typed, p sdk) {
			r.Messages = []*chatv1.Message{{Role: chatv1.Role_ROLE_USER, ContentParts: []*chatv1.ContentPart{
				{Part: &chatv1.ContentPart_InputAudio{InputAudio: &chatv1.InputAudio{Data: []byte("R"), Format: chatv1.InputAudioFormat(i + 1)}}},
			}}}
			p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
				openai.InputAudioContentPart(openai.ChatCompletionContentPartInputAudioInputAudioParam{Data: "Ug==", Format: value}),
			})}
		})
	}
}
