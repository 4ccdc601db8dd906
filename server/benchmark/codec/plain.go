// Package codec compares the generated REST codec with other JSON libraries:
// goccy/go-json, easyjson, encoding/json and its version 2, and protojson.
package codec

import (
	"encoding/json"

	"github.com/mailru/easyjson/jwriter"
)

//go:generate go run github.com/mailru/easyjson/easyjson@v0.9.2 -all -no_std_marshalers -output_filename plain_easyjson.go plain.go

// The structs for responses have all fields of OpenAI's specification. Optional fields are
// pointers only if zero is different from absent.

// Completion is a unary response.
type Completion struct {
	ID                string            `json:"id"`
	Object            string            `json:"object"`
	Created           int64             `json:"created"`
	Model             string            `json:"model"`
	Choices           []Choice          `json:"choices"`
	Usage             *Usage            `json:"usage,omitempty"`
	ServiceTier       string            `json:"service_tier,omitempty"`
	SystemFingerprint string            `json:"system_fingerprint,omitempty"`
	Metadata          map[string]string `json:"metadata,omitempty"`
	Moderation        *Moderation       `json:"moderation,omitempty"`
}

// Choice is a choice of a completion.
type Choice struct {
	Index        int       `json:"index"`
	Message      Message   `json:"message"`
	FinishReason string    `json:"finish_reason"`
	Logprobs     *Logprobs `json:"logprobs"`
}

// Chunk is a chunk of a stream.
type Chunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"`
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	Choices           []ChunkChoice `json:"choices"`
	Usage             *Usage        `json:"usage,omitempty"`
	ServiceTier       string        `json:"service_tier,omitempty"`
	SystemFingerprint string        `json:"system_fingerprint,omitempty"`
	Obfuscation       string        `json:"obfuscation,omitempty"`
	Moderation        *Moderation   `json:"moderation,omitempty"`
}

// ChunkChoice is a choice of a chunk.
type ChunkChoice struct {
	Index        int       `json:"index"`
	Delta        Delta     `json:"delta"`
	FinishReason *string   `json:"finish_reason"`
	Logprobs     *Logprobs `json:"logprobs,omitempty"`
}

// Delta is an addition to a message.
type Delta struct {
	Role         string          `json:"role,omitempty"`
	Content      *string         `json:"content,omitempty"`
	Refusal      *string         `json:"refusal,omitempty"`
	ToolCalls    []ToolCallDelta `json:"tool_calls,omitempty"`
	Audio        *Audio          `json:"audio,omitempty"`
	FunctionCall *Function       `json:"function_call,omitempty"`
}

// ToolCallDelta is an addition to a tool call.
type ToolCallDelta struct {
	Index    int         `json:"index"`
	ID       string      `json:"id,omitempty"`
	Type     string      `json:"type,omitempty"`
	Function *Function   `json:"function,omitempty"`
	Custom   *CustomCall `json:"custom,omitempty"`
}

// Message is a message of a response.
type Message struct {
	Role         string       `json:"role"`
	Content      *string      `json:"content"`
	Refusal      *string      `json:"refusal"`
	ToolCalls    []ToolCall   `json:"tool_calls,omitempty"`
	Audio        *Audio       `json:"audio,omitempty"`
	FunctionCall *Function    `json:"function_call,omitempty"`
	Annotations  []Annotation `json:"annotations,omitempty"`
}

// ToolCall is a call of a function or of a custom tool.
type ToolCall struct {
	ID       string      `json:"id"`
	Type     string      `json:"type"`
	Function *Function   `json:"function,omitempty"`
	Custom   *CustomCall `json:"custom,omitempty"`
}

// Function is the called function with its arguments.
type Function struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// CustomCall is the called custom tool with its input.
type CustomCall struct {
	Name  string `json:"name,omitempty"`
	Input string `json:"input"`
}

// Audio is speech in a response.
type Audio struct {
	ID         string `json:"id,omitempty"`
	ExpiresAt  int64  `json:"expires_at,omitempty"`
	Data       []byte `json:"data,omitempty"`
	Transcript string `json:"transcript,omitempty"`
}

// Annotation is an annotation of a message.
type Annotation struct {
	Type        string   `json:"type"`
	URLCitation Citation `json:"url_citation"`
}

// Citation is a citation of a web page.
type Citation struct {
	StartIndex int    `json:"start_index"`
	EndIndex   int    `json:"end_index"`
	URL        string `json:"url"`
	Title      string `json:"title"`
}

// Logprobs holds the log probabilities of a choice.
type Logprobs struct {
	Content []TokenLogprob `json:"content"`
	Refusal []TokenLogprob `json:"refusal"`
}

// TokenLogprob is the log probability of a token.
type TokenLogprob struct {
	Token       string       `json:"token"`
	Logprob     float64      `json:"logprob"`
	Bytes       []int        `json:"bytes"`
	TopLogprobs []TopLogprob `json:"top_logprobs"`
}

// TopLogprob is the log probability of an alternative token.
type TopLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// Usage holds the numbers of tokens.
type Usage struct {
	PromptTokens            int                `json:"prompt_tokens"`
	CompletionTokens        int                `json:"completion_tokens"`
	TotalTokens             int                `json:"total_tokens"`
	PromptTokensDetails     *PromptDetails     `json:"prompt_tokens_details,omitempty"`
	CompletionTokensDetails *CompletionDetails `json:"completion_tokens_details,omitempty"`
}

// PromptDetails holds the numbers of prompt tokens by kind.
type PromptDetails struct {
	AudioTokens      int `json:"audio_tokens"`
	CachedTokens     int `json:"cached_tokens"`
	CacheWriteTokens int `json:"cache_write_tokens,omitempty"`
	TextTokens       int `json:"text_tokens,omitempty"`
	ImageTokens      int `json:"image_tokens,omitempty"`
}

// CompletionDetails holds the numbers of completion tokens by kind.
type CompletionDetails struct {
	ReasoningTokens          int `json:"reasoning_tokens"`
	AudioTokens              int `json:"audio_tokens"`
	TextTokens               int `json:"text_tokens,omitempty"`
	AcceptedPredictionTokens int `json:"accepted_prediction_tokens"`
	RejectedPredictionTokens int `json:"rejected_prediction_tokens"`
}

// Moderation is the moderation of input and output.
type Moderation struct {
	Input  *Outcome `json:"input,omitempty"`
	Output *Outcome `json:"output,omitempty"`
}

// Outcome holds moderation results, or an error.
type Outcome struct {
	Type    string   `json:"type"`
	Model   string   `json:"model,omitempty"`
	Results []Result `json:"results,omitempty"`
	Code    string   `json:"code,omitempty"`
	Message string   `json:"message,omitempty"`
}

// Result is a moderation result by category.
type Result struct {
	Model                     string              `json:"model,omitempty"`
	Flagged                   bool                `json:"flagged"`
	Categories                map[string]bool     `json:"categories"`
	CategoryScores            map[string]float64  `json:"category_scores"`
	CategoryAppliedInputTypes map[string][]string `json:"category_applied_input_types"`
}

// Request has the fields of the measured requests.
type Request struct {
	Model               string           `json:"model"`
	Messages            []RequestMessage `json:"messages"`
	Temperature         *float64         `json:"temperature,omitempty"`
	MaxCompletionTokens *int             `json:"max_completion_tokens,omitempty"`
	Tools               []Tool           `json:"tools,omitempty"`
}

// RequestMessage is a message of a request. Its content is nil, a [Text], or
// [Parts].
type RequestMessage struct {
	Role       string     `json:"role"`
	Content    any        `json:"content,omitempty"`
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

// Text is message content in the form of a string.
type Text string

// MarshalEasyJSON writes the string.
func (t Text) MarshalEasyJSON(w *jwriter.Writer) { w.String(string(t)) }

// Parts is message content in the form of an array.
type Parts []Part

// Part is a content part: text, an image, or speech.
type Part struct {
	Type       string      `json:"type"`
	Text       string      `json:"text,omitempty"`
	ImageURL   *ImageURL   `json:"image_url,omitempty"`
	InputAudio *InputAudio `json:"input_audio,omitempty"`
}

// ImageURL is an image or its URL.
type ImageURL struct {
	URL    string `json:"url"`
	Detail string `json:"detail,omitempty"`
}

// InputAudio is speech in a request.
type InputAudio struct {
	Data   []byte `json:"data"`
	Format string `json:"format"`
}

// Tool is a function that the model may call.
type Tool struct {
	Type     string       `json:"type"`
	Function FunctionTool `json:"function"`
}

// FunctionTool describes the function.
type FunctionTool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}
