// Package codec measures the generated REST codec beside what else turns
// OpenAI's JSON into Go values: goccy/go-json, easyjson, encoding/json, its
// version 2, and protojson.
package codec

import (
	"encoding/json"

	"github.com/mailru/easyjson/jwriter"
)

//go:generate go run github.com/mailru/easyjson/easyjson@v0.9.2 -all -no_std_marshalers -output_filename plain_easyjson.go plain.go

// The structs for replies have every member of OpenAI's specification, as one
// writes them by hand: a value where zero stands for absent, a pointer where it
// can't.

// Completion is a whole answer.
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

// Choice is one answer of a completion.
type Choice struct {
	Index        int       `json:"index"`
	Message      Message   `json:"message"`
	FinishReason string    `json:"finish_reason"`
	Logprobs     *Logprobs `json:"logprobs"`
}

// Chunk is a piece of an answer that is being written.
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

// ChunkChoice is the next piece of one answer.
type ChunkChoice struct {
	Index        int       `json:"index"`
	Delta        Delta     `json:"delta"`
	FinishReason *string   `json:"finish_reason"`
	Logprobs     *Logprobs `json:"logprobs,omitempty"`
}

// Delta is what is added to an answer.
type Delta struct {
	Role         string          `json:"role,omitempty"`
	Content      *string         `json:"content,omitempty"`
	Refusal      *string         `json:"refusal,omitempty"`
	ToolCalls    []ToolCallDelta `json:"tool_calls,omitempty"`
	Audio        *Audio          `json:"audio,omitempty"`
	FunctionCall *Function       `json:"function_call,omitempty"`
}

// ToolCallDelta is a piece of a tool call.
type ToolCallDelta struct {
	Index    int         `json:"index"`
	ID       string      `json:"id,omitempty"`
	Type     string      `json:"type,omitempty"`
	Function *Function   `json:"function,omitempty"`
	Custom   *CustomCall `json:"custom,omitempty"`
}

// Message is a message of a reply.
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

// Function is the function that a call names.
type Function struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// CustomCall is the custom tool that a call names.
type CustomCall struct {
	Name  string `json:"name,omitempty"`
	Input string `json:"input"`
}

// Audio is speech in a reply.
type Audio struct {
	ID         string `json:"id,omitempty"`
	ExpiresAt  int64  `json:"expires_at,omitempty"`
	Data       []byte `json:"data,omitempty"`
	Transcript string `json:"transcript,omitempty"`
}

// Annotation is a note on a part of a text.
type Annotation struct {
	Type        string   `json:"type"`
	URLCitation Citation `json:"url_citation"`
}

// Citation is a place on the web that a text cites.
type Citation struct {
	StartIndex int    `json:"start_index"`
	EndIndex   int    `json:"end_index"`
	URL        string `json:"url"`
	Title      string `json:"title"`
}

// Logprobs are the log probabilities of an answer.
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

// TopLogprob is that of a token that might have come.
type TopLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// Usage is the tokens that were used.
type Usage struct {
	PromptTokens            int                `json:"prompt_tokens"`
	CompletionTokens        int                `json:"completion_tokens"`
	TotalTokens             int                `json:"total_tokens"`
	PromptTokensDetails     *PromptDetails     `json:"prompt_tokens_details,omitempty"`
	CompletionTokensDetails *CompletionDetails `json:"completion_tokens_details,omitempty"`
}

// PromptDetails are the kinds of tokens that a prompt has.
type PromptDetails struct {
	AudioTokens      int `json:"audio_tokens"`
	CachedTokens     int `json:"cached_tokens"`
	CacheWriteTokens int `json:"cache_write_tokens,omitempty"`
	TextTokens       int `json:"text_tokens,omitempty"`
	ImageTokens      int `json:"image_tokens,omitempty"`
}

// CompletionDetails are the kinds of tokens that an answer has.
type CompletionDetails struct {
	ReasoningTokens          int `json:"reasoning_tokens"`
	AudioTokens              int `json:"audio_tokens"`
	TextTokens               int `json:"text_tokens,omitempty"`
	AcceptedPredictionTokens int `json:"accepted_prediction_tokens"`
	RejectedPredictionTokens int `json:"rejected_prediction_tokens"`
}

// Moderation is the judgement of input and output.
type Moderation struct {
	Input  *Outcome `json:"input,omitempty"`
	Output *Outcome `json:"output,omitempty"`
}

// Outcome is the judgement of one of them, or why there is none.
type Outcome struct {
	Type    string   `json:"type"`
	Model   string   `json:"model,omitempty"`
	Results []Result `json:"results,omitempty"`
	Code    string   `json:"code,omitempty"`
	Message string   `json:"message,omitempty"`
}

// Result is the judgement by category.
type Result struct {
	Model                     string              `json:"model,omitempty"`
	Flagged                   bool                `json:"flagged"`
	Categories                map[string]bool     `json:"categories"`
	CategoryScores            map[string]float64  `json:"category_scores"`
	CategoryAppliedInputTypes map[string][]string `json:"category_applied_input_types"`
}

// Request has the members that the measured requests use.
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

// Text is the content of a message as a string.
type Text string

// MarshalEasyJSON writes the string.
func (t Text) MarshalEasyJSON(w *jwriter.Writer) { w.String(string(t)) }

// Parts is the content of a message as a list.
type Parts []Part

// Part is a text, an image, or speech.
type Part struct {
	Type       string      `json:"type"`
	Text       string      `json:"text,omitempty"`
	ImageURL   *ImageURL   `json:"image_url,omitempty"`
	InputAudio *InputAudio `json:"input_audio,omitempty"`
}

// ImageURL is where an image is, or the image.
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
